"""Encrypted payload, whole or a fragment (RFC 7296 §3.14, RFC 5282 for AEAD, RFC 7383 §2.5)."""

from __future__ import annotations

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Part:
    """Fragment Number, from 1, and Total Fragments."""

    number: int
    total: int

    def build(self) -> bytes:
        return self.number.to_bytes(2, "big") + self.total.to_bytes(2, "big")

    @classmethod
    def parse(cls, reader: Reader) -> Part:
        """The first four octets of an SKF body. Raises `WireError` (RFC 7383 §2.6)."""
        number, total = reader.u16(), reader.u16()
        if not 1 <= number <= total:
            raise WireError(f"SKF payload: fragment {number} of {total}")
        return cls(number, total)


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The SK or SKF payload of a received message, still sealed.

    `aad` is every octet of the message before `body` (RFC 5282 §5.1); `body` is IV, ciphertext and
    ICV. `first_payload` is the type of the first payload inside, 0 for none. `reserved` is the
    second octet of its generic header. `part` says which fragment it is, None for a whole message.
    """

    first_payload: int
    aad: bytes
    body: bytes
    reserved: int = 0
    part: Part | None = None
