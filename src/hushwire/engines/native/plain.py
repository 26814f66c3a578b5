"""What crosses the border to Rust: plain numbers and octets, and back."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from hushwire.engines.base import Interface
from hushwire.sa.association import Address, Carrier, ChildSa, Mode, Path
from hushwire.system.addresses import scope_index
from hushwire.wire.ike.payloads.ts import TrafficSelector

PlainEndpoint = tuple[bytes, int, int]
"""4 or 16 octets of address, the index of a link-local address's device or 0, the port."""

PlainPath = tuple[PlainEndpoint, PlainEndpoint, bool]
"""Ours, the peer's, and whether it names a TCP connection."""

PlainSelector = tuple[int, int, int, int, int, int]
"""IP version, first and last address, protocol, first and last port."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class PlainSa(NamedTuple):
    """A `ChildSa`, field by field."""

    peer: str
    inbound_spi: int
    outbound_spi: int
    cipher: str
    esn: bool
    inbound_key: bytes
    outbound_key: bytes
    local_selectors: list[PlainSelector]
    remote_selectors: list[PlainSelector]
    encapsulation: str
    path: PlainPath
    keepalive: bool
    follow: bool
    replay_window: int
    await_proof: bool
    transport: bool
    rewritten: bool
    copy_dscp: bool


class PlainInterface(NamedTuple):
    """An `Interface`: descriptors for IPv4 and IPv6, -1 where there is none."""

    name: str
    tun: int
    udp: tuple[int, int]
    raw: tuple[int, int]
    whole: tuple[int, int]
    fragmenter: int
    keepalive_seconds: float


def plain_sa(sa: ChildSa) -> PlainSa:
    return PlainSa(
        sa.peer,
        sa.inbound_spi,
        sa.outbound_spi,
        sa.suite.cipher.name,
        sa.suite.esn,
        sa.inbound_key,
        sa.outbound_key,
        [_selector(one) for one in sa.local_selectors],
        [_selector(one) for one in sa.remote_selectors],
        sa.encapsulation.value,
        plain_path(sa.path),
        sa.keepalive,
        sa.follow,
        sa.replay_window,
        sa.await_proof,
        sa.mode is Mode.TRANSPORT,
        sa.rewritten,
        sa.copy_dscp,
    )


def plain_interface(interface: Interface) -> PlainInterface:
    return PlainInterface(
        interface.name,
        interface.tun_fd,
        _by_family(interface.udp),
        _by_family(interface.raw),
        _by_family(interface.whole),
        -1 if interface.fragmenter is None else interface.fragmenter.fileno(),
        interface.keepalive_seconds,
    )


def plain_path(path: Path) -> PlainPath:
    return _endpoint(path.local), _endpoint(path.remote), path.carrier is Carrier.TCP


def path_of(plain: PlainPath) -> Path:
    local, remote, in_tcp = plain
    return Path(_address(local), _address(remote), Carrier.TCP if in_tcp else Carrier.UDP)


def _endpoint(address: Address) -> PlainEndpoint:
    try:
        scope = scope_index(address.ip) if isinstance(address.ip, IPv6Address) else 0
    except OSError:
        scope = 0  # its device is gone: what is sent there is refused, and counted
    return address.ip.packed, scope, address.port


def _address(plain: PlainEndpoint) -> Address:
    packed, scope, port = plain
    ip: IPv4Address | IPv6Address = ip_address(bytes(packed))
    return Address(IPv6Address(f"{ip}%{scope}") if scope else ip, port)


def _selector(one: TrafficSelector) -> PlainSelector:
    return (
        one.start.version,
        int(one.start),
        int(one.end),
        one.protocol,
        one.start_port,
        one.end_port,
    )


def _by_family(sockets: tuple[socket.socket, ...]) -> tuple[int, int]:
    fds = {sock.family: sock.fileno() for sock in sockets}
    ipv4, ipv6 = (fds.get(family, -1) for family in _FAMILIES)
    return ipv4, ipv6
