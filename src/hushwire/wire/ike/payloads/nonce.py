"""Nonce payload (RFC 7296 §3.9)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.registry import PayloadType

_LEAST_OCTETS = 16
_MOST_OCTETS = 256


@dataclass(frozen=True, slots=True)
class Nonce:
    """16 to 256 random octets of the sender. Raises `WireError` for any other length."""

    payload_type: ClassVar[PayloadType] = PayloadType.NONCE

    data: bytes

    def __post_init__(self) -> None:
        if not _LEAST_OCTETS <= len(self.data) <= _MOST_OCTETS:
            raise WireError(
                f"nonce: {len(self.data)} octets, must be {_LEAST_OCTETS} to {_MOST_OCTETS}"
            )

    def build(self) -> bytes:
        return self.data

    @classmethod
    def parse(cls, body: bytes) -> Nonce:
        """Raises `WireError` for a nonce too short or too long."""
        return cls(body)
