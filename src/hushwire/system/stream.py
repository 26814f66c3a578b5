"""TCP sockets for IKE and ESP inside TCP (RFC 9329): listening, accepting, connecting."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address, IPv6Address

from hushwire.sa.association import Address, Carrier, Path
from hushwire.system.addresses import device_index, scope_index
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.mark import mark

IpAddress = IPv4Address | IPv6Address

DEAD_SECONDS = 10
"""A connection on which the peer's host acknowledges nothing for so long is given up."""

# From <linux/in6.h>, <linux/tcp.h>; Python's socket module lacks them in some or all versions.
_IPV6_AUTOFLOWLABEL = 70
_TCP_USER_TIMEOUT = 18
_TCP_NOTSENT_LOWAT = 25

_UNSENT_OCTETS = 128 << 10
"""What waits in the kernel beyond what the network can take. More would only be delay: TCP inside
the tunnel has to see that the tunnel is full (RFC 9329 §9.1)."""

_BACKLOG = 128


def open_listener(family: int, port: int, device: str | None = None) -> socket.socket:
    """A non-blocking socket that listens on `port` of all addresses, or of `device` only.

    Raises `SystemFailureError` (port in use, no such family or device) and `NotPermittedError`.
    """
    what = f"TCP port {port} ({'IPv4' if family == socket.AF_INET else 'IPv6'})"
    if device is not None:
        device_index(device)
    try:
        sock = _socket(family, device)
    except OSError as error:
        raise _failure(what, error) from error
    try:
        # Connections of the run before, still in TIME_WAIT, are no reason to refuse.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _failure(what, error, port) from error
    return sock


def accept(listener: socket.socket) -> tuple[socket.socket, Path] | None:
    """The next connection and its path; None when nobody waits.

    Raises `OSError`: EMFILE, ENFILE, ENOBUFS or ENOMEM when this host can hold no more, and
    others as the kernel does for a connection that has failed before it was accepted.
    """
    try:
        sock, _ = listener.accept()
    except BlockingIOError:
        return None
    try:
        _prepare(sock)
        return sock, path_of(sock)
    except OSError:
        sock.close()
        raise


def open_stream(remote: IpAddress, device: str | None = None) -> socket.socket:
    """A non-blocking socket to connect to `remote` with. Raises `OSError`."""
    return _socket(socket.AF_INET if remote.version == 4 else socket.AF_INET6, device)


def socket_address(remote: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """`remote` as `socket.connect` wants it. Raises `OSError` for a device that is not there."""
    if isinstance(remote.ip, IPv4Address):
        return str(remote.ip), remote.port
    return str(remote.ip).partition("%")[0], remote.port, 0, scope_index(remote.ip)


def path_of(sock: socket.socket) -> Path:
    """The path that names a connection. Raises `OSError` when it is none any more."""
    return Path(_address(sock.getsockname()), _address(sock.getpeername()), Carrier.TCP)


def _socket(family: int, device: str | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        mark(sock)  # a listener's mark is on its connections too
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        _prepare(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    if sock.family == socket.AF_INET6:
        # RFC 9329 §6.1: the flow label stays the same from one connection to the next: zero.
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_AUTOFLOWLABEL, 0)
    # A packet of the tunnel must not wait for the next one (Nagle's algorithm).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, DEAD_SECONDS * 1000)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_OCTETS)


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    if len(name) == 2:
        return Address(IPv4Address(name[0]), name[1])
    ip = IPv6Address(name[0].partition("%")[0])
    # A link-local address means something only together with its device (RFC 4007 §6).
    return Address(IPv6Address(f"{ip}%{name[3]}") if ip.is_link_local else ip, name[1])


def _failure(
    what: str, error: OSError, port: int | None = None
) -> SystemFailureError | NotPermittedError:
    if isinstance(error, PermissionError):
        return NotPermittedError(
            [f"{what}: this needs CAP_NET_BIND_SERVICE and CAP_NET_ADMIN. Run it with sudo."]
        )
    if error.errno == errno.EADDRINUSE:
        return SystemFailureError(
            what,
            "another program listens there already",
            f"`ss -tlpn sport = :{port}` names it: stop it, or give another tcp_port in "
            "[interface], and to the peers.",
        )
    if error.errno == errno.EAFNOSUPPORT:
        return SystemFailureError(
            what,
            "this kernel has the family switched off",
            "Use the other address family, or boot without ipv6.disable=1.",
        )
    return SystemFailureError(
        what, os.strerror(error.errno or 0).lower(), "`ss -tanp` and `ip address` may show why."
    )
