"""Key Exchange payload (RFC 7296 §3.4)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.registry import PayloadType


@dataclass(frozen=True, slots=True)
class KeyExchangePayload:
    """The sender's public value for one key exchange method (transform type 4).

    How long `data` must be depends on the method: that check belongs to the exchange itself.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.KE

    method: int
    data: bytes

    def build(self) -> bytes:
        return self.method.to_bytes(2, "big") + bytes(2) + self.data

    @classmethod
    def parse(cls, body: bytes) -> KeyExchangePayload:
        """Raises `TruncatedError` when the fixed part is not whole."""
        reader = Reader(body, "KE payload")
        method = reader.u16()
        reader.skip(2)
        return cls(method, reader.rest())
