"""ICMP errors that say why a UDP datagram did not arrive (RFC 792, RFC 1812 §5.2.7, RFC 4443)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hushwire.wire.errors import WireError
from hushwire.wire.ip import IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, checksum
from hushwire.wire.registry import IpProtocol

_ICMP_HEADER_OCTETS = 8
_PORTS_OCTETS = 4
_FRAGMENT_OFFSET = 0x1FFF
_PORT, _PROHIBITED = "port unreachable", "prohibited"
_HOST, _NETWORK, _TIME = "host unreachable", "network unreachable", "time exceeded"
# By type and code; None stands for every other code of the type.
_KINDS4: dict[tuple[int, int | None], str] = {
    (3, 0): _NETWORK, (3, 1): _HOST, (3, 3): _PORT, (3, 6): _NETWORK, (3, 7): _HOST,
    (3, 9): _PROHIBITED, (3, 10): _PROHIBITED, (3, 11): _NETWORK, (3, 12): _HOST,
    (3, 13): _PROHIBITED, (11, None): _TIME,
}  # fmt: skip
_KINDS6: dict[tuple[int, int | None], str] = {
    (1, 0): _NETWORK, (1, 1): _PROHIBITED, (1, 3): _HOST, (1, 4): _PORT, (1, 5): _PROHIBITED,
    (1, 6): _NETWORK, (3, None): _TIME,
}  # fmt: skip


class Unreachable(NamedTuple):
    """What we sent by UDP from `source_port` to `port` of `destination` did not arrive.

    `kind` is one of the five texts above.
    """

    kind: str
    destination: IPv4Address | IPv6Address
    source_port: int
    port: int


def parse_unreachable4(message: bytes) -> Unreachable | None:
    """An ICMP message without its IP header; None when it is about something else.

    Raises `WireError` when it is one and malformed, also by its checksum.
    """
    kind = _kind(message, _KINDS4)
    if kind is None:
        return None
    if checksum(message):
        raise WireError("ICMP: wrong checksum")
    quoted = message[_ICMP_HEADER_OCTETS:]
    header = (quoted[0] & 0x0F) * 4 if quoted else 0
    if len(quoted) < IPV4_HEADER_OCTETS or quoted[0] >> 4 != 4 or header < IPV4_HEADER_OCTETS:
        raise WireError("ICMP: it quotes no IPv4 packet")
    later = int.from_bytes(quoted[6:8], "big") & _FRAGMENT_OFFSET
    if quoted[9] != IpProtocol.UDP or later:
        return None
    return _about(kind, IPv4Address(quoted[16:20]), quoted[header:])


def parse_unreachable6(message: bytes) -> Unreachable | None:
    """An ICMPv6 message, its checksum verified by the kernel; None when it is about another thing.

    Raises `WireError` when it is one and malformed.
    """
    kind = _kind(message, _KINDS6)
    if kind is None:
        return None
    quoted = message[_ICMP_HEADER_OCTETS:]
    if len(quoted) < IPV6_HEADER_OCTETS or quoted[0] >> 4 != 6:
        raise WireError("ICMPv6: it quotes no IPv6 packet")
    if quoted[6] != IpProtocol.UDP:
        return None
    return _about(kind, IPv6Address(quoted[24:40]), quoted[IPV6_HEADER_OCTETS:])


def _kind(message: bytes, kinds: dict[tuple[int, int | None], str]) -> str | None:
    if len(message) < _ICMP_HEADER_OCTETS:
        raise WireError(f"ICMP: {len(message)} octets, its header has {_ICMP_HEADER_OCTETS}")
    return kinds.get((message[0], message[1]), kinds.get((message[0], None)))


def _about(kind: str, destination: IPv4Address | IPv6Address, udp: bytes) -> Unreachable:
    if len(udp) < _PORTS_OCTETS:
        raise WireError("ICMP: it quotes no UDP ports")
    source, port = int.from_bytes(udp[:2], "big"), int.from_bytes(udp[2:4], "big")
    return Unreachable(kind, destination, source, port)
