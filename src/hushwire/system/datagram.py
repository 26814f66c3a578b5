"""Sockets for IKE and ESP that know both ends of every datagram.

A host with several addresses must answer from the very address it was asked at, and must notice
when its own address changes (RFC 7296 §2.11), so each datagram comes and goes with a `Path`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from hushwire.sa.association import Address, Path
from hushwire.system.addresses import device_index, scope_index
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.mark import mark_outer

IpAddress = IPv4Address | IPv6Address

# From <linux/in.h>, <linux/in6.h> and <asm-generic/socket.h>; Python's socket module lacks the
# first three and the last one in some or all of its versions.
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_DONT = 0
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32

_PKTINFO4 = struct.Struct("=i4s4s")  # struct in_pktinfo: index, our address, header's destination
_PKTINFO6 = struct.Struct("=16sI")  # struct in6_pktinfo: address, index
_ANCILLARY_OCTETS = socket.CMSG_SPACE(_PKTINFO4.size) + socket.CMSG_SPACE(_PKTINFO6.size)

_BUFFER_OCTETS = 7 << 20  # removes bursts of loss at high speed
_LARGEST = 65536


def open_udp(family: int, port: int, device: str | None = None) -> socket.socket:
    """A non-blocking UDP socket on `port` of every address of the family, or of `device` only.

    Raises `SystemFailureError` (port in use, no such family or device) and `NotPermittedError`.
    """
    what = f"UDP port {port} ({_family_name(family)})"
    sock = _open(what, family, socket.SOCK_DGRAM, socket.IPPROTO_UDP, device)
    try:
        sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", port))
    except PermissionError as error:
        sock.close()
        raise NotPermittedError(
            [f"{what}: ports this low need CAP_NET_BIND_SERVICE. Run it with sudo."]
        ) from error
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise SystemFailureError(
                what,
                "another program listens there already",
                f"`ss -ulpn sport = :{port}` names it; often it is another IPsec daemon "
                "(strongSwan's charon, Libreswan's pluto): stop it.",
            ) from error
        raise _failure(what, error) from error
    return sock


def receive(sock: socket.socket) -> tuple[bytes, Path] | None:
    """The next datagram and its path, `local` being our end; None when nothing waits.

    Raises `OSError` as the kernel does, such as ENETDOWN.
    """
    got = _receive(sock)
    if got is None:
        return None
    data, sender, local = got
    port = sock.getsockname()[1]
    return data, Path(Address(local, port), Address(_sender_ip(sender), sender[1]))


def send(sock: socket.socket, data: bytes, path: Path) -> None:
    """Send from `path.local` to `path.remote`; the local port is the socket's own.

    Raises `OSError`: BlockingIOError when the buffer is full, ENETUNREACH without a route, that
    or EINVAL when `path.local` is not ours, EINVAL for a link-local address without a device.
    """
    _send(sock, data, path, path.remote.port)


def open_raw_esp(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking raw socket that gets every ESP packet (IP protocol 50) of the family.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"raw socket for ESP ({_family_name(family)})"
    return _open(what, family, socket.SOCK_RAW, socket.IPPROTO_ESP, device)


def receive_esp(sock: socket.socket) -> tuple[bytes, IpAddress, IpAddress] | None:
    """The next ESP packet without its IP header, its source and our own address; None: nothing.

    Raises `OSError` as the kernel does.
    """
    while True:
        got = _receive(sock)
        if got is None:
            return None
        packet, sender, local = got
        if sock.family == socket.AF_INET:
            # A raw IPv4 socket hands over the IP header too (raw(7)), a raw IPv6 one does not.
            header_octets = (packet[0] & 0x0F) * 4 if packet else 0
            if not 20 <= header_octets <= len(packet):
                continue
            packet = packet[header_octets:]
        return packet, _sender_ip(sender), local


def send_esp(sock: socket.socket, packet: bytes, path: Path) -> None:
    """Send an ESP packet from `path.local` to `path.remote`; the kernel adds the IP header.

    Raises `OSError` as `send` does.
    """
    _send(sock, packet, path, 0)


def _open(what: str, family: int, kind: int, protocol: int, device: str | None) -> socket.socket:
    if device is not None:
        device_index(device)
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    except PermissionError as error:
        raise NotPermittedError([f"{what}: this needs CAP_NET_RAW. Run it with sudo."]) from error
    except OSError as error:
        raise _failure(what, error) from error
    try:
        _prepare(sock, device)
    except OSError as error:
        sock.close()
        raise _failure(what, error) from error
    return sock


def _prepare(sock: socket.socket, device: str | None) -> None:
    mark_outer(sock)
    # No path MTU discovery on the outer packet: the kernel fragments it where it must, so a
    # smaller link on the way costs speed but never makes a black hole (RFC 4301 §8.1).
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
    else:
        if sock.type == socket.SOCK_DGRAM:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
    if device is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    for force, ask in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER_OCTETS)
        except PermissionError:
            # Without CAP_NET_ADMIN over the host: as much as net.core.*mem_max allows.
            sock.setsockopt(socket.SOL_SOCKET, ask, _BUFFER_OCTETS)


def _receive(
    sock: socket.socket,
) -> tuple[bytes, tuple[str, int, int, int], IpAddress] | None:
    try:
        data, ancillary, _, sender = sock.recvmsg(_LARGEST, _ANCILLARY_OCTETS)
    except BlockingIOError:
        return None
    return data, sender, _local_address(ancillary)


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> IpAddress:
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, _ = _PKTINFO4.unpack(content)
            return IPv4Address(local)
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            packed, index = _PKTINFO6.unpack(content)
            return _scoped(IPv6Address(packed), index)
    raise OSError(errno.EPROTO, "the kernel did not say at which address a datagram arrived")


def _sender_ip(sender: tuple[str, int, int, int]) -> IpAddress:
    if len(sender) == 2:
        return IPv4Address(sender[0])
    return _scoped(IPv6Address(sender[0].partition("%")[0]), sender[3])


def _scoped(address: IPv6Address, index: int) -> IPv6Address:
    """A link-local address means something only together with its device (RFC 4007 §6)."""
    return IPv6Address(f"{address}%{index}") if address.is_link_local else address


def _send(sock: socket.socket, data: bytes, path: Path, port: int) -> None:
    remote = path.remote.ip
    local = path.local.ip
    if isinstance(remote, IPv4Address):
        info = _PKTINFO4.pack(0, local.packed, bytes(4))
        sock.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, (str(remote), port))
        return
    scope = scope_index(remote)
    if remote.is_link_local and not scope:
        raise OSError(errno.EINVAL, f"{remote} is link-local: name its device, {remote}%DEVICE")
    info = _PKTINFO6.pack(local.packed, scope)
    destination = (str(remote).partition("%")[0], port, 0, scope)
    sock.sendmsg([data], [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, info)], 0, destination)


def _family_name(family: int) -> str:
    return "IPv4" if family == socket.AF_INET else "IPv6"


def _failure(what: str, error: OSError) -> SystemFailureError:
    if error.errno == errno.EAFNOSUPPORT:
        return SystemFailureError(
            what,
            "this kernel has the family switched off",
            "Use the other address family, or boot without ipv6.disable=1.",
        )
    return SystemFailureError(
        what, os.strerror(error.errno or 0).lower(), "`ss -uanp` and `ip address` may show why."
    )
