"""Raw sockets that hear “unreachable” and “time exceeded”, to explain silence. Nothing else.

Anybody can forge these errors, so they end nothing (RFC 7296 §2.4): they are told to a person.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from hushwire.system.datagram import open_raw
from hushwire.wire.errors import WireError
from hushwire.wire.registry import IpProtocol
from hushwire.wire.unreachable import Unreachable, parse_unreachable4, parse_unreachable6

# From <linux/icmp.h> and <linux/icmpv6.h>; a bit that is set blocks the type of its number.
_SOL_RAW = 255
_ICMP_FILTER = 1
_ICMPV6_FILTER = 1
_TYPES4 = (3, 11)
_TYPES6 = (1, 3)
_LARGEST = 2048
_PASSED_OVER_AT_ONCE = 64


def open_unreachable(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking one. Raises `SystemFailureError` and `NotPermittedError`."""
    if family == socket.AF_INET:
        sock = open_raw(family, IpProtocol.ICMP, device)
        wanted = sum(1 << number for number in _TYPES4)
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~wanted & 0xFFFFFFFF))
        return sock
    sock = open_raw(family, IpProtocol.ICMPV6, device)
    blocked = [0xFFFFFFFF] * 8
    blocked[0] &= ~sum(1 << number for number in _TYPES6)
    sock.setsockopt(IpProtocol.ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *blocked))
    return sock


def receive_unreachable(sock: socket.socket) -> tuple[Unreachable, str] | None:
    """The next error about a UDP datagram, and who says so; None when nothing waits.

    What is malformed, or about something else, is passed over. After many such it is None too,
    though more may wait: whoever floods us with them does not keep us here.
    """
    for _ in range(_PASSED_OVER_AT_ONCE):
        try:
            message, sender = sock.recvfrom(_LARGEST)
        except OSError:
            return None
        try:
            if sock.family == socket.AF_INET:
                header = (message[0] & 0x0F) * 4 if message else 0
                error = parse_unreachable4(message[header:])
            else:
                error = parse_unreachable6(message)
        except WireError:
            continue
        if error is not None:
            return error, str(ip_address(str(sender[0]).partition("%")[0]))
    return None
