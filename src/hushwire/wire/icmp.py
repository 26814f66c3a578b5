"""“Too big”: ICMP Fragmentation Needed (RFC 792, RFC 1191) and ICMPv6 Packet Too Big (RFC 4443)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hushwire.wire.errors import WireError
from hushwire.wire.ip import IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, checksum
from hushwire.wire.registry import IpProtocol

IpAddress = IPv4Address | IPv6Address

_UNREACHABLE, _FRAGMENTATION_NEEDED = 3, 4
_PACKET_TOO_BIG = 2
_ICMP_HEADER_OCTETS = 8
_HOPS = 64

# RFC 1812 §4.3.2.3 and RFC 4443 §3.2: quote as much as fits, the whole error no larger than this.
_LARGEST_ERROR = {4: 576, 6: 1280}

_ECHO_AND_QUERIES = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
_ICMPV6_INFORMATIONAL = 128
_DONT_FRAGMENT = 0x4000
_FRAGMENT_OFFSET = 0x1FFF
_IPV6_EXTENSIONS = frozenset(
    {IpProtocol.HOP_BY_HOP, IpProtocol.ROUTING, IpProtocol.DESTINATION_OPTIONS}
)


class TooBig(NamedTuple):
    """What such an error says: `mtu` octets would pass where the quoted packet did not.

    `payload` is as much as was quoted behind the IP header (and fragment header) of that packet;
    it is empty for a later fragment, whose payload says nothing.
    """

    mtu: int
    source: IpAddress
    destination: IpAddress
    protocol: int
    payload: bytes


def build_too_big(packet: bytes, mtu: int) -> bytes | None:
    """The IP packet that tells the sender of `packet`, a well-formed IP packet, of `mtu`.

    None where no error may be sent (RFC 1122 §3.2.2, RFC 4443 §2.4): about another error, about a
    later fragment, to or from what is not one host. Its source is the destination of `packet`: an
    address that the sender can reach this way. One of this host's own would be the natural one,
    but a kernel drops what comes in from a device with its own address as source.
    """
    if packet[0] >> 4 == 4:
        return _build4(packet, mtu)
    return _build6(packet, mtu)


def may_fragment(packet: bytes) -> bool:
    """Whether an IP packet may be cut on its way: IPv4 without DF (RFC 791)."""
    return packet[0] >> 4 == 4 and not packet[6] & (_DONT_FRAGMENT >> 8)


def parse_too_big4(message: bytes) -> TooBig | None:
    """An ICMP message without its IP header; None when it is another one.

    Raises `WireError` when it is one and malformed, also by its checksum.
    """
    if len(message) < _ICMP_HEADER_OCTETS:
        raise WireError(f"ICMP: {len(message)} octets, its header has {_ICMP_HEADER_OCTETS}")
    if message[0] != _UNREACHABLE or message[1] != _FRAGMENTATION_NEEDED:
        return None
    if checksum(message):
        raise WireError("ICMP: wrong checksum")
    mtu = int.from_bytes(message[6:8], "big")
    quoted = message[_ICMP_HEADER_OCTETS:]
    header = (quoted[0] & 0x0F) * 4 if quoted else 0
    if len(quoted) < IPV4_HEADER_OCTETS or quoted[0] >> 4 != 4 or header < IPV4_HEADER_OCTETS:
        raise WireError("ICMP: it quotes no IPv4 packet")
    later = int.from_bytes(quoted[6:8], "big") & _FRAGMENT_OFFSET
    payload = b"" if later else quoted[header:]
    source, destination = IPv4Address(quoted[12:16]), IPv4Address(quoted[16:20])
    return TooBig(mtu, source, destination, quoted[9], payload)


def parse_too_big6(message: bytes) -> TooBig | None:
    """An ICMPv6 message, its checksum verified by the kernel; None when it is another one.

    Raises `WireError` when it is one and malformed.
    """
    if len(message) < _ICMP_HEADER_OCTETS:
        raise WireError(f"ICMPv6: {len(message)} octets, its header has {_ICMP_HEADER_OCTETS}")
    if message[0] != _PACKET_TOO_BIG:
        return None
    mtu = int.from_bytes(message[4:8], "big")
    quoted = message[_ICMP_HEADER_OCTETS:]
    if len(quoted) < IPV6_HEADER_OCTETS or quoted[0] >> 4 != 6:
        raise WireError("ICMPv6: it quotes no IPv6 packet")
    protocol, payload = quoted[6], quoted[IPV6_HEADER_OCTETS:]
    if protocol == IpProtocol.FRAGMENT and len(payload) >= 8:
        later = int.from_bytes(payload[2:4], "big") >> 3
        protocol, payload = payload[0], b"" if later else payload[8:]
    source, destination = IPv6Address(quoted[8:24]), IPv6Address(quoted[24:40])
    return TooBig(mtu, source, destination, protocol, payload)


def _build4(packet: bytes, mtu: int) -> bytes | None:
    header = (packet[0] & 0x0F) * 4
    if (
        int.from_bytes(packet[6:8], "big") & _FRAGMENT_OFFSET
        or _not_one_host4(packet[12:16])
        or _not_one_host4(packet[16:20])
        or (packet[9] == IpProtocol.ICMP and packet[header] not in _ECHO_AND_QUERIES)
    ):
        return None
    quoted = packet[: _LARGEST_ERROR[4] - IPV4_HEADER_OCTETS - _ICMP_HEADER_OCTETS]
    icmp = struct.pack(">BBHHH", _UNREACHABLE, _FRAGMENTATION_NEEDED, 0, 0, min(mtu, 0xFFFF))
    body = _summed(icmp + quoted, icmp + quoted, 2)
    ip = struct.pack(
        ">BBHHHBBH4s4s",
        0x45, 0, IPV4_HEADER_OCTETS + len(body), 0, _DONT_FRAGMENT, _HOPS, IpProtocol.ICMP, 0,
        packet[16:20], packet[12:16],
    )  # fmt: skip
    return _summed(ip, ip, 10) + body


def _build6(packet: bytes, mtu: int) -> bytes | None:
    if _not_one_host6(packet[8:24]) or packet[24] == 0xFF or _is_icmpv6_error(packet):
        return None
    quoted = packet[: _LARGEST_ERROR[6] - IPV6_HEADER_OCTETS - _ICMP_HEADER_OCTETS]
    source, destination = packet[24:40], packet[8:24]
    icmp = struct.pack(">BBHI", _PACKET_TOO_BIG, 0, 0, mtu) + quoted
    pseudo = source + destination + struct.pack(">II", len(icmp), IpProtocol.ICMPV6)
    body = _summed(icmp, pseudo + icmp, 2)
    ip = struct.pack(">IHBB", 6 << 28, len(body), IpProtocol.ICMPV6, _HOPS)
    return ip + source + destination + body


def _summed(message: bytes, covered: bytes, at: int) -> bytes:
    return message[:at] + checksum(covered).to_bytes(2, "big") + message[at + 2 :]


def _not_one_host4(packed: bytes) -> bool:
    # 0/8, 127/8, and everything from 224.0.0.0 on: multicast, reserved, broadcast.
    return packed[0] in {0, 127} or packed[0] >= 224


def _not_one_host6(packed: bytes) -> bool:
    return packed[0] == 0xFF or packed in {bytes(16), bytes(15) + b"\1"}


def _is_icmpv6_error(packet: bytes) -> bool:
    protocol, at = packet[6], IPV6_HEADER_OCTETS
    while protocol in _IPV6_EXTENSIONS and at + 8 <= len(packet):
        protocol, at = packet[at], at + 8 + packet[at + 1] * 8
    if protocol == IpProtocol.FRAGMENT and at + 8 <= len(packet):
        if int.from_bytes(packet[at + 2 : at + 4], "big") >> 3:
            return False  # its type is in the first fragment; this one cannot be told apart
        protocol, at = packet[at], at + 8
    return protocol == IpProtocol.ICMPV6 and at < len(packet) and packet[at] < _ICMPV6_INFORMATIONAL
