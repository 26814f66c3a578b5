"""Delete payload (RFC 7296 §3.11)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import PayloadType, ProtocolId

_SPI_OCTETS: dict[int, int] = {ProtocolId.IKE: 0, ProtocolId.AH: 4, ProtocolId.ESP: 4}


@dataclass(frozen=True, slots=True)
class Delete:
    """The SAs that the sender has deleted, by the SPIs that it receives with (4 octets each).

    For IKE `spis` is empty: the SA that carries the message is meant.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.DELETE

    protocol: int
    spis: tuple[bytes, ...]

    def build(self) -> bytes:
        spi_size = 0 if self.protocol == ProtocolId.IKE else 4
        return (
            bytes([self.protocol, spi_size])
            + len(self.spis).to_bytes(2, "big")
            + b"".join(self.spis)
        )

    @classmethod
    def parse(cls, body: bytes) -> Delete:
        """Raises `WireError` for an unknown protocol, or SPIs that do not fit it or the count."""
        reader = Reader(body, "delete payload")
        protocol = reader.u8()
        spi_size = reader.u8()
        count = reader.u16()
        expected = _SPI_OCTETS.get(protocol)
        if expected is None:
            raise WireError(f"delete payload: protocol {protocol} has no SAs")
        if spi_size != expected:
            raise WireError(f"delete payload: SPI of {spi_size} octets, must be {expected}")
        if protocol == ProtocolId.IKE and count:
            raise WireError(f"delete payload: {count} IKE SAs, only this one can be deleted")
        spis = tuple(reader.take(spi_size) for _ in range(count))
        reader.expect_end()
        return cls(protocol, spis)
