"""The SK payload: sealing and opening IKE messages (RFC 7296 §3.14, RFC 5282)."""

from __future__ import annotations

from hushwire.crypto.suites import IkeSuite
from hushwire.ike.keys import IkeKeys
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_chain, build_sk_head, parse_chain
from hushwire.wire.ike.payloads.encrypted import Encrypted


class Protection:
    """Both directions of one IKE SA's encryption."""

    def __init__(self, suite: IkeSuite, keys: IkeKeys, *, initiator: bool) -> None:
        ours, theirs = (keys.ei, keys.er) if initiator else (keys.er, keys.ei)
        self._cipher = suite.cipher
        self._outbound = suite.cipher.keyed(ours)
        self._inbound = suite.cipher.keyed(theirs)
        self._iv = 0

    def seal(self, header: Header, payloads: tuple[Payload, ...]) -> bytes:
        """A whole message whose payloads are all inside SK. Each call uses a new IV."""
        first, chain = build_chain(payloads)
        plaintext = chain + b"\0"  # Pad Length 0: an AEAD needs no padding (RFC 5282 §3)
        self._iv += 1
        iv = self._iv.to_bytes(self._cipher.iv_octets, "big")
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
