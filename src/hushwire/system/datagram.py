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
from hushwire.system.mark import mark
from hushwire.system.own_header import HEADER_OPTIONS, ipv6_front
from hushwire.wire.errors import WireError
from hushwire.wire.front import Front, split
from hushwire.wire.registry import IpProtocol

IpAddress = IPv4Address | IPv6Address

# From <linux/in.h>, <linux/in6.h> and <asm-generic/socket.h>; Python's socket module lacks the
# first three and the last one in some or all of its versions.
_IP_TOS = 1
_IP_TTL = 2
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_RECVTOS = 13
_IPV6_UNICAST_HOPS = 16
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_OMIT = 5
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_IPV6_RECVTCLASS = 66
_IPV6_TCLASS = 67
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32

_PKTINFO4 = struct.Struct("=i4s4s")  # struct in_pktinfo: index, our address, header's destination
_PKTINFO6 = struct.Struct("=16sI")  # struct in6_pktinfo: address, index
_INT = struct.Struct("=i")
_ANCILLARY_OCTETS_WITH_HEADERS = 8192  # an IPv6 packet may have 2 KiB in each extension header
_ANCILLARY_OCTETS = (
    socket.CMSG_SPACE(_PKTINFO4.size)
    + socket.CMSG_SPACE(_PKTINFO6.size)
    + socket.CMSG_SPACE(_INT.size)
)

HOPS = 64
"""TTL or hop limit of every outer packet, whatever the inner one has (RFC 4301 §5.1.2.1)."""

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
    got = receive_marked(sock)
    return None if got is None else got[:2]


def receive_marked(sock: socket.socket) -> tuple[bytes, Path, int] | None:
    """As `receive`, and the traffic class (DSCP and ECN, 8 bits) of the IP header."""
    got = _receive(sock)
    if got is None:
        return None
    data, sender, local, tos = got
    port = sock.getsockname()[1]
    return data, Path(Address(local, port), Address(_sender_ip(sender), sender[1])), tos


def send(sock: socket.socket, data: bytes, path: Path, tos: int = 0) -> None:
    """Send from `path.local` to `path.remote`; the local port is the socket's own.

    `tos` is the traffic class of the IP header, DSCP and ECN. Raises `OSError`: BlockingIOError
    when the buffer is full, ENETUNREACH without a route, that or EINVAL when `path.local` is not
    ours, EINVAL for a link-local address without a device.
    """
    _send(sock, data, path, path.remote.port, tos)


def open_raw_esp(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking raw socket that gets every ESP packet (IP protocol 50) of the family.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    sock = open_raw(family, IpProtocol.ESP, device)
    if family == socket.AF_INET6:
        for option in HEADER_OPTIONS:
            sock.setsockopt(socket.IPPROTO_IPV6, option, 1)
    return sock


def open_raw_whole(family: int, device: str | None = None) -> socket.socket:
    """A non-blocking raw socket for packets that bring their own IP header; it receives nothing.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"raw socket for whole packets ({_family_name(family)})"
    return _open(what, family, socket.SOCK_RAW, socket.IPPROTO_RAW, device)


def send_whole(sock: socket.socket, packet: bytes) -> None:
    """Send an IP packet as it is, to its own destination. The kernel does not fragment it.

    Raises `OSError` as `send` does; EMSGSIZE where it is larger than the device's MTU.
    """
    if sock.family == socket.AF_INET:
        sock.sendto(packet, (socket.inet_ntop(socket.AF_INET, packet[16:20]), 0))
    else:
        sock.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0, 0, 0))


def receive_esp_whole(sock: socket.socket) -> tuple[Front, bytes] | None:
    """The next ESP packet with the IP headers that it came under; None: nothing.

    IPv6's headers are put together again from what the kernel tells of them. Raises `OSError`.
    """
    while True:
        try:
            data, ancillary, _, sender = sock.recvmsg(_LARGEST, _ANCILLARY_OCTETS_WITH_HEADERS)
        except BlockingIOError:
            return None
        if sock.family == socket.AF_INET:
            try:
                return split(data)
            except WireError:
                continue
        local, _ = _local_address_and_tos(ancillary)
        return ipv6_front(_sender_ip(sender).packed, local.packed, ancillary), data


def open_raw(family: int, protocol: IpProtocol, device: str | None = None) -> socket.socket:
    """The same for another IP protocol."""
    what = f"raw socket for {protocol.name} ({_family_name(family)})"
    return _open(what, family, socket.SOCK_RAW, protocol, device)


def receive_esp(sock: socket.socket) -> tuple[bytes, IpAddress, IpAddress] | None:
    """The next ESP packet without its IP header, its source and our own address; None: nothing.

    Raises `OSError` as the kernel does.
    """
    got = receive_esp_marked(sock)
    return None if got is None else got[:3]


def receive_esp_marked(sock: socket.socket) -> tuple[bytes, IpAddress, IpAddress, int] | None:
    """As `receive_esp`, and the traffic class (DSCP and ECN, 8 bits) of the IP header."""
    while True:
        got = _receive(sock)
        if got is None:
            return None
        packet, sender, local, tos = got
        if sock.family == socket.AF_INET:
            # A raw IPv4 socket hands over the IP header too (raw(7)), a raw IPv6 one does not.
            header_octets = (packet[0] & 0x0F) * 4 if packet else 0
            if not 20 <= header_octets <= len(packet):
                continue
            packet = packet[header_octets:]
        return packet, _sender_ip(sender), local, tos


def send_esp(sock: socket.socket, packet: bytes, path: Path, tos: int = 0) -> None:
    """Send an ESP packet from `path.local` to `path.remote`; the kernel adds the IP header.

    `tos` and errors are as with `send`.
    """
    _send(sock, packet, path, 0, tos)


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
        mark(sock)
        _prepare(sock, device)
    except PermissionError as error:
        sock.close()
        raise NotPermittedError([f"{what}: this needs CAP_NET_ADMIN. Run it with sudo."]) from error
    except OSError as error:
        sock.close()
        raise _failure(what, error) from error
    return sock


def _prepare(sock: socket.socket, device: str | None) -> None:
    # DF is clear, and the kernel fragments what is larger than the device, so a smaller link on
    # the way costs speed but never makes a black hole (RFC 4301 §8.1). OMIT is that, and deaf to
    # ICMP: the kernel would believe any error that quotes our addresses.
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_TTL, HOPS)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
    else:
        if sock.type == socket.SOCK_DGRAM:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVTCLASS, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, HOPS)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
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
) -> tuple[bytes, tuple[str, int, int, int], IpAddress, int] | None:
    try:
        data, ancillary, _, sender = sock.recvmsg(_LARGEST, _ANCILLARY_OCTETS)
    except BlockingIOError:
        return None
    return data, sender, *_local_address_and_tos(ancillary)


def _local_address_and_tos(ancillary: list[tuple[int, int, bytes]]) -> tuple[IpAddress, int]:
    local: IpAddress | None = None
    tos = 0
    for level, kind, content in ancillary:
        if level == socket.IPPROTO_IP:
            if kind == _IP_PKTINFO:
                local = IPv4Address(_PKTINFO4.unpack(content)[1])
            elif kind == _IP_TOS:
                tos = content[0]
        elif level == socket.IPPROTO_IPV6:
            if kind == _IPV6_PKTINFO:
                packed, index = _PKTINFO6.unpack(content)
                local = _scoped(IPv6Address(packed), index)
            elif kind == _IPV6_TCLASS:
                tos = _INT.unpack(content)[0]
    if local is None:
        raise OSError(errno.EPROTO, "the kernel did not say at which address a datagram arrived")
    return local, tos


def _sender_ip(sender: tuple[str, int, int, int]) -> IpAddress:
    if len(sender) == 2:
        return IPv4Address(sender[0])
    return _scoped(IPv6Address(sender[0].partition("%")[0]), sender[3])


def _scoped(address: IPv6Address, index: int) -> IPv6Address:
    """A link-local address means something only together with its device (RFC 4007 §6)."""
    return IPv6Address(f"{address}%{index}") if address.is_link_local else address


def _send(
    sock: socket.socket,
    data: bytes,
    path: Path,
    port: int,
    tos: int = 0,
) -> None:
    remote = path.remote.ip
    local = path.local.ip
    if isinstance(remote, IPv4Address):
        info = _PKTINFO4.pack(0, local.packed, bytes(4))
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
        if tos:
            ancillary.append((socket.IPPROTO_IP, _IP_TOS, _INT.pack(tos)))
        sock.sendmsg([data], ancillary, 0, (str(remote), port))
        return
    scope = scope_index(remote)
    if remote.is_link_local and not scope:
        raise OSError(errno.EINVAL, f"{remote} is link-local: name its device, {remote}%DEVICE")
    info = _PKTINFO6.pack(local.packed, scope)
    destination = (str(remote).partition("%")[0], port, 0, scope)
    ancillary = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, info)]
    if tos:
        ancillary.append((socket.IPPROTO_IPV6, _IPV6_TCLASS, _INT.pack(tos)))
    sock.sendmsg([data], ancillary, 0, destination)


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
