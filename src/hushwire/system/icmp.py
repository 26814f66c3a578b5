"""Raw sockets that hear one kind of ICMP errors and no other: here, “too big”.

The sockets of IKE and ESP do not listen to ICMP themselves: the kernel would believe every error
that quotes their addresses. Here each error comes whole, so that its reader can match what it
quotes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from hushwire.system.datagram import open_raw
from hushwire.wire.errors import WireError
from hushwire.wire.icmp import TooBig, parse_too_big4, parse_too_big6
from hushwire.wire.ip import IPV4_HEADER_OCTETS
from hushwire.wire.registry import IpProtocol

# From <linux/icmp.h> and <linux/icmpv6.h>; a bit that is set blocks the type of its number.
_SOL_RAW = 255
_ICMP_FILTER = 1
_UNREACHABLE = 3
_ICMPV6_FILTER = 1
_PACKET_TOO_BIG = 2
_TYPES_OF_ICMPV6 = 256

_IP_PKTINFO = 8
_IPV6_PKTINFO = 50
_INDEX4 = struct.Struct("=i")  # struct in_pktinfo begins with it
_INDEX6 = struct.Struct("=16xI")  # struct in6_pktinfo ends with it

_LARGEST = 2048
_ANCILLARY_OCTETS = 128
_PASSED_OVER_AT_ONCE = 64


def open_too_big(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking one. Raises `SystemFailureError` and `NotPermittedError`."""
    return open_icmp(family, (_UNREACHABLE,), (_PACKET_TOO_BIG,), device)


def open_icmp(
    family: int, types4: Iterable[int], types6: Iterable[int], device: str | None = None
) -> socket.socket:
    """A raw socket, not blocking, that hears ICMP or ICMPv6 of these types alone, each below 32.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    if family == socket.AF_INET:
        sock = open_raw(family, IpProtocol.ICMP, device)
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", _all_but(types4)))
        return sock
    sock = open_raw(family, IpProtocol.ICMPV6, device)
    blocked = [_all_but(types6), *[0xFFFFFFFF] * (_TYPES_OF_ICMPV6 // 32 - 1)]
    sock.setsockopt(IpProtocol.ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *blocked))
    return sock


def _all_but(types: Iterable[int]) -> int:
    return 0xFFFFFFFF & ~sum(1 << number for number in types)


def receive_too_big(sock: socket.socket, but_from: int) -> TooBig | None:
    """The next error; None when nothing waits. What is malformed is passed over.

    So is what came in by the device of index `but_from`: the TUN device's own errors are about
    inner packets, and nobody inside may say anything about the path outside. After many such it
    is None though more may wait: whoever floods us with them does not keep us here.
    """
    for _ in range(_PASSED_OVER_AT_ONCE):
        try:
            message, ancillary, _, _ = sock.recvmsg(_LARGEST, _ANCILLARY_OCTETS)
        except BlockingIOError:
            return None
        if _device(ancillary) == but_from:
            continue
        try:
            if sock.family == socket.AF_INET:
                header = (message[0] & 0x0F) * 4 if message else IPV4_HEADER_OCTETS
                error = parse_too_big4(message[header:])
            else:
                error = parse_too_big6(message)
        except WireError:
            continue
        if error is not None:
            return error
    return None


def _device(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return int(_INDEX4.unpack_from(content)[0])
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return int(_INDEX6.unpack_from(content)[0])
    return 0
