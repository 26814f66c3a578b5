"""One Ethernet interface: its number, that it is still there, and frames sent by it."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from hushwire.system.errors import SystemFailureError

ETHERNET = 1  # ARPHRD_ETHER of <linux/if_arp.h>
_LOOPBACK = 772

_SIOCGIFHWADDR = 0x8927
_RTMGRP_LINK = 1
_SO_MARK = 36  # <asm-generic/socket.h>
_IFREQ = struct.Struct("16sH22x")


def hardware_type(name: str) -> int:
    """ARPHRD_... of the interface, in this network namespace. Raises `SystemFailureError`.

    Asked by ioctl, because /sys may be that of another namespace.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFHWADDR, _IFREQ.pack(name.encode()[:15], 0))
        except OSError as error:
            raise SystemFailureError(
                f"interface {name}",
                "no interface has this name" if error.errno == errno.ENODEV else str(error),
                "`ip link` lists the interfaces of this host.",
            ) from error
    return int(_IFREQ.unpack(answer)[1])


def index_of(name: str) -> int:
    """The kernel's number of an Ethernet interface. Raises `SystemFailureError`."""
    kind = hardware_type(name)
    if kind != ETHERNET:
        loopback = kind == _LOOPBACK
        raise SystemFailureError(
            f"interface {name}",
            "there is nobody between its two ends" if loopback else "it carries no Ethernet frames",
            "Name the interface that leads to the other host; `ip link` lists them.",
        )
    return socket.if_nametoindex(name)


def name_of(index: int) -> str | None:
    """The interface's name; None when it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


def link_news() -> socket.socket:
    """Readable when an interface comes, goes or changes; what it says is of no interest."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.bind((0, _RTMGRP_LINK))
    return sock


def drain(sock: socket.socket) -> None:
    """Read away all that waits in a socket that does not block."""
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno != errno.ENOBUFS:  # more news than room: that is news as well
            raise


def frame_socket(name: str, mark: int) -> socket.socket:
    """Sends whole frames by the interface, each with the mark, and receives nothing.

    They pass the interface's egress programs like any other. Raises `OSError`.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.bind((name, 0))
        sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
    except OSError:
        sock.close()
        raise
    return sock


def claim(name: str) -> socket.socket | None:
    """Be the only process in this network namespace that has `name`; None when another one has it.

    It ends with the process, however that ends: an abstract Unix socket leaves no file.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(f"\0hushwire/{name}")
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return sock


def is_claimed(name: str) -> bool:
    """Whether a process in this network namespace has it."""
    own = claim(name)
    if own is None:
        return True
    own.close()
    return False
