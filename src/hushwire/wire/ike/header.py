"""The IKE header (RFC 7296 §3.1)."""

from __future__ import annotations

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import UnsupportedVersionError, WireError
from hushwire.wire.registry import HeaderFlag

HEADER_OCTETS = 28
SPI_OCTETS = 8

_MAJOR_VERSION = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The 28 octets in front of every IKE message.

    Both SPIs have 8 octets; `responder_spi` is zero until the responder has chosen one.
    `initiator` says that the sender is the original initiator of the IKE SA, whoever began this
    exchange. `length` counts the whole message, this header too; the builders fill it in.
    """

    initiator_spi: bytes
    responder_spi: bytes
    exchange: int
    message_id: int
    initiator: bool
    response: bool
    next_payload: int = 0
    length: int = 0
    major: int = _MAJOR_VERSION
    minor: int = 0

    def build(self) -> bytes:
        flags = HeaderFlag(0)
        if self.initiator:
            flags |= HeaderFlag.INITIATOR
        if self.response:
            flags |= HeaderFlag.RESPONSE
        return (
            self.initiator_spi
            + self.responder_spi
            + bytes([self.next_payload, self.major << 4 | self.minor, self.exchange, flags])
            + self.message_id.to_bytes(4, "big")
            + self.length.to_bytes(4, "big")
        )

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """The header of the whole message `data`.

        Raises `UnsupportedVersionError` for a major version above 2, and `WireError` for IKEv1, a
        zero initiator SPI or a length other than that of `data`. Reserved flags, the version flag
        and the minor version mean nothing to a receiver (§2.5, §3.1).
        """
        reader = Reader(data, "IKE header")
        initiator_spi = reader.take(SPI_OCTETS)
        responder_spi = reader.take(SPI_OCTETS)
        next_payload = reader.u8()
        version = reader.u8()
        exchange = reader.u8()
        flags = reader.u8()
        message_id = reader.u32()
        length = reader.u32()
        major, minor = version >> 4, version & 0x0F
        if major > _MAJOR_VERSION:
            raise UnsupportedVersionError(major)
        if major < _MAJOR_VERSION:
            raise WireError(f"IKE header: major version {major}, retired by RFC 9395")
        if not any(initiator_spi):
            raise WireError("IKE header: the initiator's SPI is zero")
        if length != len(data):
            raise WireError(f"IKE header: says {length} octets, {len(data)} are there")
        return cls(
            initiator_spi,
            responder_spi,
            exchange,
            message_id,
            initiator=bool(flags & HeaderFlag.INITIATOR),
            response=bool(flags & HeaderFlag.RESPONSE),
            next_payload=next_payload,
            length=length,
            major=major,
            minor=minor,
        )
