"""Notify payload (RFC 7296 §3.10)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import FIRST_STATUS_NOTIFY, PayloadType, ProtocolId

_CHILD_SPI_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Notify:
    """An error or a status message. `protocol` means something only beside an `spi`."""

    payload_type: ClassVar[PayloadType] = PayloadType.NOTIFY

    type: int
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""

    @property
    def is_error(self) -> bool:
        """True for types of the error range, known here or not (§3.10.1)."""
        return self.type < FIRST_STATUS_NOTIFY

    def build(self) -> bytes:
        return (
            bytes([self.protocol, len(self.spi)])
            + self.type.to_bytes(2, "big")
            + self.spi
            + self.data
        )

    @classmethod
    def parse(cls, body: bytes) -> Notify:
        """Raises `WireError` for an AH or ESP SPI that has not 4 octets."""
        reader = Reader(body, "notify payload")
        protocol = reader.u8()
        spi_size = reader.u8()
        notify_type = reader.u16()
        of_child = protocol in (ProtocolId.AH, ProtocolId.ESP)
        if of_child and spi_size not in (0, _CHILD_SPI_OCTETS):
            raise WireError(f"notify payload: an AH or ESP SPI has 4 octets, not {spi_size}")
        spi = reader.take(spi_size)
        return cls(notify_type, reader.rest(), protocol, spi)
