"""Traffic Selector payloads (RFC 7296 §3.13)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Self

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import PayloadType, TsType

IpAddress = IPv4Address | IPv6Address

_ADDRESS_OCTETS = {TsType.IPV4_ADDR_RANGE: 4, TsType.IPV6_ADDR_RANGE: 16}


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """One range of addresses, ports and one protocol (RFC 7296 §3.13.1).

    `protocol` 0 means any. `start_port` 65535 with `end_port` 0 means OPAQUE. Both ends of each
    range belong to it.
    """

    start: IpAddress
    end: IpAddress
    protocol: int = 0
    start_port: int = 0
    end_port: int = 65535

    def __post_init__(self) -> None:
        if self.start.version != self.end.version:
            raise WireError("traffic selector: start and end are of different address families")


@dataclass(frozen=True, slots=True)
class TrafficSelectors:
    """What TSi and TSr share. `unknown` counts selectors of types not known here (§3.13)."""

    selectors: tuple[TrafficSelector, ...]
    unknown: int = 0

    def build(self) -> bytes:
        parts = [_build_selector(selector) for selector in self.selectors]
        return bytes([len(parts), 0, 0, 0]) + b"".join(parts)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises `WireError` for a wrong count, length or order of a range."""
        reader = Reader(body, "traffic selector payload")
        count = reader.u8()
        reader.skip(3)
        if count == 0:
            raise WireError("traffic selector payload: holds no selector")
        selectors = []
        unknown = 0
        for _ in range(count):
            selector = _parse_selector(reader)
            if selector is None:
                unknown += 1
            else:
                selectors.append(selector)
        reader.expect_end()
        return cls(tuple(selectors), unknown)


@dataclass(frozen=True, slots=True)
class TsInitiator(TrafficSelectors):
    """TSi: the traffic at the end of the initiator of this exchange."""

    payload_type: ClassVar[PayloadType] = PayloadType.TSI


@dataclass(frozen=True, slots=True)
class TsResponder(TrafficSelectors):
    """TSr: the traffic at the end of the responder of this exchange."""

    payload_type: ClassVar[PayloadType] = PayloadType.TSR


def _build_selector(selector: TrafficSelector) -> bytes:
    ts_type = TsType.IPV4_ADDR_RANGE if selector.start.version == 4 else TsType.IPV6_ADDR_RANGE
    length = 8 + 2 * _ADDRESS_OCTETS[ts_type]
    return (
        bytes([ts_type, selector.protocol])
        + length.to_bytes(2, "big")
        + selector.start_port.to_bytes(2, "big")
        + selector.end_port.to_bytes(2, "big")
        + selector.start.packed
        + selector.end.packed
    )


def _parse_selector(reader: Reader) -> TrafficSelector | None:
    ts_type = reader.u8()
    protocol = reader.u8()
    length = reader.u16()
    if length < 8:
        raise WireError(f"traffic selector: length {length} is shorter than its own header")
    body = Reader(reader.take(length - 4), "traffic selector")
    start_port = body.u16()
    end_port = body.u16()
    address: type[IPv4Address] | type[IPv6Address]
    if ts_type == TsType.IPV4_ADDR_RANGE:
        address, octets = IPv4Address, 4
    elif ts_type == TsType.IPV6_ADDR_RANGE:
        address, octets = IPv6Address, 16
    else:
        return None
    start = address(body.take(octets))
    end = address(body.take(octets))
    body.expect_end()
    if int(start) > int(end):
        raise WireError(f"traffic selector: {start} to {end} is not a range")
    opaque = (start_port, end_port) == (65535, 0)
    if start_port > end_port and not opaque:
        raise WireError(f"traffic selector: ports {start_port} to {end_port} are not a range")
    return TrafficSelector(start, end, protocol, start_port, end_port)
