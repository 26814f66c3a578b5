"""The SK payload: sealing and opening IKE messages (RFC 7296 §3.14, RFC 5282)."""

from __future__ import annotations

from hushwire.crypto.exchange import Rng
from hushwire.crypto.suites import IkeSuite
from hushwire.ike.keys import IkeKeys
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_chain, build_sk_head, parse_chain
from hushwire.wire.ike.payloads.encrypted import Encrypted


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
        first, chain = build_chain(payloads)
        # §3.14: as little padding as fills whole blocks, for an AEAD none (RFC 5282 §3).
        pad_length = -(len(chain) + 1) % self._cipher.block_octets
        plaintext = chain + bytes(pad_length) + bytes([pad_length])
        self._sealed += 1
        iv = self._cipher.iv(self._sealed, self._rng)
        body_octets = len(iv) + len(plaintext) + self._cipher.icv_octets
        head = build_sk_head(header, first, body_octets)
        return head + iv + self._outbound.seal(iv, plaintext, head)

    def open(self, encrypted: Encrypted) -> bytes:
        """The chain of inner payloads, still to be parsed from `encrypted.first_payload`.

        Raises `BadIcvError` when it is not from the peer, which one too short for IV and ICV
        cannot be, and `WireError` only when it is and is malformed.
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
