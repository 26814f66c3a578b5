"""Raw sockets that hear “unreachable” and “time exceeded”, to explain silence. Nothing else.

Anybody can forge these errors, so they end nothing (RFC 7296 §2.4): they are told to a person.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

from hushwire.system.icmp import open_icmp
from hushwire.wire.errors import WireError
from hushwire.wire.unreachable import Unreachable, parse_unreachable4, parse_unreachable6

# "Unreachable" and "time exceeded" of ICMP and of ICMPv6.
_TYPES4 = (3, 11)
_TYPES6 = (1, 3)
_LARGEST = 2048
_PASSED_OVER_AT_ONCE = 64


def open_unreachable(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking one. Raises `SystemFailureError` and `NotPermittedError`."""
    return open_icmp(family, _TYPES4, _TYPES6, device)


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
