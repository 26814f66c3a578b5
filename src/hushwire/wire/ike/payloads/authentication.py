"""Authentication payload (RFC 7296 §3.8)."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.registry import PayloadType


@dataclass(frozen=True, slots=True)
class Authentication:
    """The proof of the sender's identity: a MIC, or a signature as RFC 7427 §3 lays it out."""

    payload_type: ClassVar[PayloadType] = PayloadType.AUTH

    method: int
    data: bytes = field(repr=False)

    def build(self) -> bytes:
        return bytes([self.method, 0, 0, 0]) + self.data

    @classmethod
    def parse(cls, body: bytes) -> Authentication:
        """Raises `TruncatedError` when the fixed part is not whole."""
        reader = Reader(body, "AUTH payload")
        method = reader.u8()
        reader.skip(3)
        return cls(method, reader.rest())
