"""Identification payloads (RFC 7296 §3.5)."""

from __future__ import annotations

from typing import ClassVar, Self

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import IdType, PayloadType

_ADDRESS_OCTETS: dict[int, int] = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}


@dataclass(frozen=True, slots=True)
class Identification:
    """What IDi and IDr share: who the sender says it is, proven by AUTH alone.

    `build()` is also the octets that AUTH covers as `RestOfInitIDPayload` (§2.15).
    """

    id_type: int
    data: bytes

    def build(self) -> bytes:
        return bytes([self.id_type, 0, 0, 0]) + self.data

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises `WireError` for an address of the wrong length."""
        reader = Reader(body, "identification payload")
        id_type = reader.u8()
        reader.skip(3)
        data = reader.rest()
        if len(data) != _ADDRESS_OCTETS.get(id_type, len(data)):
            raise WireError(f"identification payload: an address of {len(data)} octets")
        return cls(id_type, data)


@dataclass(frozen=True, slots=True)
class IdInitiator(Identification):
    """IDi: the original initiator."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDI


@dataclass(frozen=True, slots=True)
class IdResponder(Identification):
    """IDr: the original responder, or in a request the one that the initiator asks for."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDR
