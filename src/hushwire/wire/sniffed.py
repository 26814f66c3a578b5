"""From a captured frame to what concerns IPsec in it: UDP 500 and 4500, TCP 4500, ESP, ICMP."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hushwire.wire.registry import IpProtocol

_ETHERNET, _NULL, _RAW, _SLL, _SLL2 = 1, 0, 101, 113, 276
_RAW_TYPES = (_RAW, 12, 14, 228, 229)
_ETHERTYPES = (0x0800, 0x86DD)
_VLANS = (0x8100, 0x88A8)
_EXTENSIONS = (IpProtocol.HOP_BY_HOP, IpProtocol.ROUTING, IpProtocol.DESTINATION_OPTIONS)
_PORTS = (500, 4500)
_MOST_EXTENSIONS = 8
_TCP_OCTETS, _SYN = 20, 0x02


class Kind(Enum):
    UDP = "udp"
    TCP = "tcp"
    ESP = "esp"
    ICMP = "icmp"
    FRAGMENT = "fragment"


class Sniffed(NamedTuple):
    """Addresses, ports (0 where there are none), and what is behind the header of UDP, TCP or IP.

    `number` is the sequence number of a TCP segment's first octet; `opens` says that it is a SYN.
    """

    kind: Kind
    source: IPv4Address | IPv6Address
    target: IPv4Address | IPv6Address
    ports: tuple[int, int]
    payload: bytes
    number: int = 0
    opens: bool = False


def sniff(link: int, frame: bytes) -> Sniffed | None:
    """None for what is something else, cut too short, or malformed."""
    packet = _packet(link, frame)
    if not packet:
        return None
    found = _ipv4(packet) if packet[0] >> 4 == 4 else _ipv6(packet)
    if found is None:
        return None
    protocol, source, target, payload, fragment = found
    if fragment:
        return Sniffed(Kind.FRAGMENT, source, target, (0, 0), b"")
    if protocol == IpProtocol.ESP:
        return Sniffed(Kind.ESP, source, target, (0, 0), payload)
    if protocol in (IpProtocol.ICMP, IpProtocol.ICMPV6):
        return Sniffed(Kind.ICMP, source, target, (0, 0), payload)
    if protocol not in (IpProtocol.UDP, IpProtocol.TCP) or len(payload) < 8:
        return None
    ports = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    if not set(ports) & set(_PORTS):
        return None
    if protocol == IpProtocol.TCP:
        return _tcp(source, target, ports, payload)
    length = int.from_bytes(payload[4:6], "big")
    if not 8 <= length <= len(payload):
        return None
    return Sniffed(Kind.UDP, source, target, ports, payload[8:length])


def _tcp(
    source: IPv4Address | IPv6Address,
    target: IPv4Address | IPv6Address,
    ports: tuple[int, int],
    segment: bytes,
) -> Sniffed | None:
    """Behind the options (RFC 9293 §3.1); a SYN has a sequence number of its own."""
    header = (segment[12] >> 4) * 4 if len(segment) >= _TCP_OCTETS else 0
    if not _TCP_OCTETS <= header <= len(segment):
        return None
    opens = bool(segment[13] & _SYN)
    number = (int.from_bytes(segment[4:8], "big") + opens) & 0xFFFFFFFF
    return Sniffed(Kind.TCP, source, target, ports, segment[header:], number, opens)


def _packet(link: int, frame: bytes) -> bytes:
    """The IP packet in a frame, b"" for none."""
    if link in _RAW_TYPES:
        return frame
    if link == _NULL:
        return frame[4:]
    at = {_ETHERNET: 12, _SLL: 14, _SLL2: 0}.get(link)
    if at is None:
        return b""
    behind = 20 if link == _SLL2 else at + 2
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in _VLANS and len(frame) >= behind + 4:
        kind = int.from_bytes(frame[behind + 2 : behind + 4], "big")
        behind += 4
    return frame[behind:] if kind in _ETHERTYPES else b""


_Found = tuple[int, IPv4Address | IPv6Address, IPv4Address | IPv6Address, bytes, bool]


def _ipv4(packet: bytes) -> _Found | None:
    if len(packet) < 20:
        return None
    header, total = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4], "big")
    total = total or len(packet)  # as a card that cuts packets up leaves it
    if header < 20 or not header <= total <= len(packet):
        return None
    fragment = bool(int.from_bytes(packet[6:8], "big") & 0x3FFF)
    source, target = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    return packet[9], source, target, packet[header:total], fragment


def _ipv6(packet: bytes) -> _Found | None:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    total = 40 + int.from_bytes(packet[4:6], "big")
    if total > len(packet):
        return None
    source, target = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    protocol, at, fragment = packet[6], 40, False
    for _ in range(_MOST_EXTENSIONS):
        if at + 8 > total:
            break
        if protocol == IpProtocol.FRAGMENT:
            fragment = bool(int.from_bytes(packet[at + 2 : at + 4], "big") & 0xFFF9)
            protocol, at = packet[at], at + 8
        elif protocol in _EXTENSIONS:
            protocol, at = packet[at], at + 8 + packet[at + 1] * 8
        else:
            break
    return protocol, source, target, packet[at:total], fragment
