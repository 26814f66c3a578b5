"""The IP headers that a selector looks at (RFC 791, RFC 8200, RFC 4301 §4.4.1.1)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hushwire.wire.errors import TruncatedError, WireError
from hushwire.wire.registry import IpProtocol

IPV4_HEADER_OCTETS = 20
IPV6_HEADER_OCTETS = 40

_MAX_EXTENSION_HEADERS = 8
_FRAGMENT_OFFSET = 0x1FFF

_WITH_PORTS = frozenset({IpProtocol.TCP, IpProtocol.UDP, 33, 132, 136})
"""TCP, UDP, DCCP, SCTP and UDP-Lite begin with a source and a destination port."""

_ICMP = frozenset({IpProtocol.ICMP, IpProtocol.ICMPV6})

# RFC 4301 §4.4.1.1: these are skipped on the way to the next layer protocol. AH and ESP are not.
_EXTENSION_HEADERS = frozenset(
    {
        IpProtocol.HOP_BY_HOP,
        IpProtocol.ROUTING,
        IpProtocol.FRAGMENT,
        IpProtocol.DESTINATION_OPTIONS,
    }
)

_U16 = struct.Struct(">H")
_PORTS = struct.Struct(">HH")


class Flow(NamedTuple):
    """What selectors compare: addresses as integers, the protocol after extension headers.

    Ports are None where the packet has none to show: other protocols, and later fragments. ICMP
    has its type << 8 | code in both port fields (RFC 7296 §3.13.1).
    """

    version: int
    source: int
    destination: int
    protocol: int
    source_port: int | None
    destination_port: int | None

    def reversed(self) -> Flow:
        """The flow of an answer."""
        return Flow(
            self.version,
            self.destination,
            self.source,
            self.protocol,
            self.destination_port,
            self.source_port,
        )


def parse_flow(packet: bytes) -> Flow:
    """The flow of a whole IP packet; octets after its total length are not looked at.

    Raises `WireError` for a wrong version, header length, total length or header chain.
    """
    end = total_length(packet)
    if packet[0] >> 4 == 4:
        return _parse_ipv4(packet, end)
    return _parse_ipv6(packet, end)


def total_length(packet: bytes) -> int:
    """Octets of the IP packet that `packet` begins with, by its own length field.

    Raises `WireError` when that is less than the header or more than `packet` holds.
    """
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        least = IPV4_HEADER_OCTETS
    elif version == 6:
        least = IPV6_HEADER_OCTETS
    else:
        raise WireError(f"IP packet: neither version 4 nor 6 in {len(packet)} octets")
    if len(packet) < least:
        raise TruncatedError(f"IPv{version} packet: {len(packet)} octets, its header has {least}")
    if version == 4:
        length = int(_U16.unpack_from(packet, 2)[0])
    else:
        length = least + int(_U16.unpack_from(packet, 4)[0])
    if length > len(packet):
        raise TruncatedError(f"IPv{version} packet: says {length} octets, {len(packet)} are there")
    if length < least:
        raise WireError(f"IPv{version} packet: total length {length} is less than its header")
    return length


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071, as the 16 bits to write in network byte order."""
    if len(data) % 2:
        data += b"\0"
    # 2^16 is 1 modulo 65535, so the remainder is the one's complement sum of all 16-bit words.
    total = int.from_bytes(data, "big")
    folded = total % 0xFFFF
    if folded == 0 and total:
        folded = 0xFFFF
    return 0xFFFF - folded


def _parse_ipv4(packet: bytes, end: int) -> Flow:
    header = (packet[0] & 0x0F) * 4
    if not IPV4_HEADER_OCTETS <= header <= end:
        raise WireError(f"IPv4 packet: header length {header} does not fit in {end} octets")
    later_fragment = bool(_U16.unpack_from(packet, 6)[0] & _FRAGMENT_OFFSET)
    protocol = packet[9]
    source = int.from_bytes(packet[12:16], "big")
    destination = int.from_bytes(packet[16:20], "big")
    ports = (None, None) if later_fragment else _ports(packet, header, end, protocol)
    return Flow(4, source, destination, protocol, *ports)


def _parse_ipv6(packet: bytes, end: int) -> Flow:
    source = int.from_bytes(packet[8:24], "big")
    destination = int.from_bytes(packet[24:40], "big")
    protocol = packet[6]
    offset = IPV6_HEADER_OCTETS
    later_fragment = False
    passed = 0
    while protocol in _EXTENSION_HEADERS and not later_fragment:
        passed += 1
        if passed > _MAX_EXTENSION_HEADERS:
            raise WireError(f"IPv6 packet: more than {_MAX_EXTENSION_HEADERS} extension headers")
        if offset + 8 > end:
            raise TruncatedError("IPv6 packet: ends inside an extension header")
        if protocol == IpProtocol.FRAGMENT:
            # RFC 8200 §4.5: always 8 octets; the offset has 13 bits, then come 3 flag bits.
            later_fragment = bool(_U16.unpack_from(packet, offset + 2)[0] >> 3)
            length = 8
        else:
            length = 8 + packet[offset + 1] * 8
        protocol = packet[offset]
        offset += length
    if offset > end:
        raise TruncatedError("IPv6 packet: ends inside an extension header")
    ports = (None, None) if later_fragment else _ports(packet, offset, end, protocol)
    return Flow(6, source, destination, protocol, *ports)


def _ports(packet: bytes, offset: int, end: int, protocol: int) -> tuple[int | None, int | None]:
    """The two port fields at `offset`, for a protocol that has them.

    Raises `TruncatedError` when the packet ends before them: no selector could judge it.
    """
    if protocol in _WITH_PORTS:
        if offset + 4 > end:
            raise TruncatedError(f"IP packet: ends before the ports of protocol {protocol}")
        source, destination = _PORTS.unpack_from(packet, offset)
        return source, destination
    if protocol in _ICMP:
        if offset + 2 > end:
            raise TruncatedError("IP packet: ends before its ICMP type and code")
        type_and_code = int(_U16.unpack_from(packet, offset)[0])
        return type_and_code, type_and_code
    return None, None


def adjusted_checksum(checksum: bytes, before: bytes, after: bytes) -> bytes:
    """The two octets of a header's checksum after whole 16-bit words of what it covers changed.

    RFC 1624 §3, equation 3: HC' = ~(~HC + ~m + m').
    """
    total = 0xFFFF - int.from_bytes(checksum, "big")
    for offset in range(0, len(before), 2):
        total += 0xFFFF - _U16.unpack_from(before, offset)[0] + _U16.unpack_from(after, offset)[0]
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return _U16.pack(0xFFFF - total)
