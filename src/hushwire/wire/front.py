"""The headers at the front of an IP packet that stay in front of ESP in transport mode.

RFC 4303 §3.1.1: ESP comes after the IPv4 header and its options, and after IPv6's hop-by-hop,
routing and fragment headers with the destination options that precede a routing header. The same
headers are the "unfragmentable part" of an IPv6 packet (RFC 8200 §4.5).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hushwire.wire.errors import TruncatedError, WireError
from hushwire.wire.ip import IPV6_HEADER_OCTETS, checksum, total_length
from hushwire.wire.registry import IpProtocol

_MAX_EXTENSION_HEADERS = 8
_LARGEST_IPV4 = 65535
_LARGEST_IPV6_PAYLOAD = 65535
_PROTOCOL_AT = {4: 9, 6: 6}
_WALKED = (IpProtocol.HOP_BY_HOP, IpProtocol.ROUTING, IpProtocol.DESTINATION_OPTIONS)

_U16 = struct.Struct(">H")


class Front(NamedTuple):
    """`octets` of headers; `protocol_at` is the place in them that names what follows."""

    octets: bytes
    protocol_at: int

    @property
    def protocol(self) -> int:
        return self.octets[self.protocol_at]

    @property
    def version(self) -> int:
        return self.octets[0] >> 4

    @property
    def traffic_class(self) -> int:
        """DSCP and ECN: IPv4's TOS octet, IPv6's Traffic Class."""
        if self.version == 4:
            return self.octets[1]
        return int.from_bytes(self.octets[:2], "big") >> 4 & 0xFF


def split(packet: bytes) -> tuple[Front, bytes]:
    """The front, and all that follows it up to the packet's own total length.

    An IPv6 fragment header is not walked over: it begins what follows. Raises `WireError`.
    """
    end = total_length(packet)
    if packet[0] >> 4 == 4:
        header = (packet[0] & 0x0F) * 4
        if not 20 <= header <= end:
            raise WireError(f"IPv4 packet: header length {header} does not fit in {end} octets")
        return Front(packet[:header], _PROTOCOL_AT[4]), packet[header:end]
    front = _ipv6_front(packet, end)
    return front, packet[len(front.octets) : end]


def join(front: Front, protocol: int, payload: bytes) -> bytes:
    """A packet with these headers that says `protocol` and its own length; checksum made anew.

    Raises `WireError` when that is more than an IP packet can hold.
    """
    octets = bytearray(front.octets)
    octets[front.protocol_at] = protocol
    if front.version == 6:
        length = len(octets) - IPV6_HEADER_OCTETS + len(payload)
        if length > _LARGEST_IPV6_PAYLOAD:
            raise WireError(f"IPv6 packet: {length} octets of payload")
        _U16.pack_into(octets, 4, length)
        return bytes(octets) + payload
    length = len(octets) + len(payload)
    if length > _LARGEST_IPV4:
        raise WireError(f"IPv4 packet: {length} octets")
    _U16.pack_into(octets, 2, length)
    _U16.pack_into(octets, 10, 0)
    _U16.pack_into(octets, 10, checksum(bytes(octets)))
    return bytes(octets) + payload


def _ipv6_front(packet: bytes, end: int) -> Front:
    at, protocol_at = IPV6_HEADER_OCTETS, _PROTOCOL_AT[6]
    front = Front(packet[:at], protocol_at)
    for _ in range(_MAX_EXTENSION_HEADERS):
        kind = packet[protocol_at]
        if kind not in _WALKED:
            return front
        if at + 8 > end or (after := at + 8 + packet[at + 1] * 8) > end:
            raise TruncatedError("IPv6 packet: ends inside an extension header")
        at, protocol_at = after, at
        if kind != IpProtocol.DESTINATION_OPTIONS:  # those before a routing header come with it
            front = Front(packet[:at], protocol_at)
    raise WireError(f"IPv6 packet: {_MAX_EXTENSION_HEADERS} extension headers or more")
