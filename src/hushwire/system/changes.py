"""That the network of this host has changed: links, addresses, routes, rules (rtnetlink(7))."""

from __future__ import annotations

import socket
from contextlib import suppress

# Groups of <linux/rtnetlink.h>: links, then addresses, routes and rules of IPv4 and IPv6.
_GROUPS = 0x001 | 0x010 | 0x040 | 0x080 | 0x100 | 0x400
_MOST_OCTETS = 1 << 16


def open_changes() -> socket.socket:
    """A socket, not blocking, that is readable when something has changed. Raises `OSError`."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except BaseException:
        sock.close()
        raise
    return sock


def drain(sock: socket.socket) -> None:
    """Take all that waits. What it says does not matter: the kernel is asked how things are now."""
    with suppress(OSError):  # BlockingIOError: that was all; ENOBUFS: there was more
        while sock.recv(_MOST_OCTETS):
            pass
