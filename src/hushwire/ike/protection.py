"""The SK payload: sealing and opening IKE messages (RFC 7296 §3.14, RFC 5282, RFC 7383 §2.5)."""

from __future__ import annotations

from hushwire.crypto.exchange import Rng
from hushwire.crypto.suites import IkeSuite
from hushwire.ike.keys import IkeKeys
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_chain, build_sk_head, parse_chain
from hushwire.wire.ike.payloads.encrypted import Encrypted, Part

MOST_FRAGMENTS = 255
"""Of one message. 64 KiB in datagrams of 576 octets are fewer."""


class Protection:
    """Both directions of one IKE SA's encryption; `rng` is for the IVs that must be random."""

    def __init__(self, suite: IkeSuite, keys: IkeKeys, rng: Rng, *, initiator: bool) -> None:
        from_initiator = suite.cipher.keyed(keys.ei + keys.ai)
        from_responder = suite.cipher.keyed(keys.er + keys.ar)
        self._cipher = suite.cipher
        self._rng = rng
        self._outbound = from_initiator if initiator else from_responder
        self._inbound = from_responder if initiator else from_initiator
        self._sealed = 0

    def seal(self, header: Header, payloads: tuple[Payload, ...]) -> bytes:
        """A whole message whose payloads are all inside SK. Each call uses a new IV."""
        return self._seal(header, *build_chain(payloads))

    def seal_fragments(
        self, header: Header, payloads: tuple[Payload, ...], most_octets: int
    ) -> tuple[bytes, ...]:
        """The same, as fragments of `most_octets` at most; whole where it fits (RFC 7383 §2.5)."""
        first, chain = build_chain(payloads)
        body_octets = self._body_octets(len(chain))
        if len(build_sk_head(header, first, body_octets)) + body_octets <= most_octets:
            return (self._seal(header, first, chain),)
        overhead = len(build_sk_head(header, first, 0, Part(1, 1))) + self._body_octets(0)
        blocks = (most_octets - overhead) // self._cipher.block_octets
        room = (blocks + 1) * self._cipher.block_octets - 1
        room = max(room, -(-len(chain) // MOST_FRAGMENTS))
        chunks = [chain[at : at + room] for at in range(0, len(chain), room)]
        return tuple(
            # Only the first one tells what the chain begins with.
            self._seal(header, 0 if number > 1 else first, chunk, Part(number, len(chunks)))
            for number, chunk in enumerate(chunks, start=1)
        )

    def _body_octets(self, octets: int) -> int:
        """Of IV, so many octets with their padding, and ICV."""
        cipher = self._cipher
        return cipher.iv_octets + octets + self._pad_octets(octets) + 1 + cipher.icv_octets

    def _pad_octets(self, octets: int) -> int:
        # §3.14: as little padding as fills whole blocks, for an AEAD none (RFC 5282 §3).
        return -(octets + 1) % self._cipher.block_octets

    def _seal(self, header: Header, first: int, chain: bytes, part: Part | None = None) -> bytes:
        pad_octets = self._pad_octets(len(chain))
        plaintext = chain + bytes(pad_octets) + bytes([pad_octets])
        self._sealed += 1
        iv = self._cipher.iv(self._sealed, self._rng)
        head = build_sk_head(header, first, self._body_octets(len(chain)), part)
        return head + iv + self._outbound.seal(iv, plaintext, head)

    def open(self, encrypted: Encrypted) -> bytes:
        """The chain of inner payloads, still to be parsed from `encrypted.first_payload`.

        Of a fragment it is a piece of the chain. Raises `BadIcvError` when it is not from the peer,
        which one too short for IV and ICV cannot be, and `WireError` only when it is and is
        malformed.
        """
        iv_octets = self._cipher.iv_octets
        iv, sealed = encrypted.body[:iv_octets], encrypted.body[iv_octets:]
        plaintext = self._inbound.open(iv, sealed, encrypted.aad)
        if not plaintext or plaintext[-1] >= len(plaintext):
            raise WireError(f"SK payload: its padding is longer than its {len(plaintext)} octets")
        return plaintext[: len(plaintext) - 1 - plaintext[-1]]

    def open_payloads(self, encrypted: Encrypted) -> tuple[Payload, ...]:
        """Open and parse. Raises as `open` and `parse_chain` do."""
        return parse_chain(encrypted.first_payload, self.open(encrypted))
