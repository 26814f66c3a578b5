"""Routes into a tunnel, and what the kernel's routes say about a remote host."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple

from pyroute2 import IPRoute

from hushwire.system.addresses import device_index, scope_index
from hushwire.system.errors import SystemFailureError
from hushwire.system.mark import MARK, mark
from hushwire.system.netlink import ask

# From <linux/in.h> and <linux/in6.h>; Python's socket module lacks them.
_IP_MTU = 14
_IPV6_MTU = 24

_ANY_PORT = 9  # discard; connecting a UDP socket sends nothing


def add_route(
    ifname: str,
    network: IPv4Network | IPv6Network,
    source: IPv4Address | IPv6Address | None = None,
) -> None:
    """Send `network` through the device, preferring `source` as the packets' own address.

    Nothing happens if the device has the route already, as the connected route of its own prefix.
    Raises `SystemFailureError` (also where another device has the very same route: it is not
    ours to replace) and `NotPermittedError`.
    """
    index = device_index(ifname)
    what = f"route to {network} through {ifname}"
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    options: dict[str, Any] = {"family": family, "dst": str(network), "oif": index}
    if source is not None:
        options["prefsrc"] = str(source)

    def add(iproute: IPRoute) -> bool:
        iproute.route("add", **options)
        return True

    if ask(what, add, {errno.EEXIST: False}):
        return
    holders = _devices_with_route(what, network)
    if index in holders:
        return
    other = ", ".join(sorted(_device_name(holder) for holder in holders)) or "another route"
    raise SystemFailureError(
        what,
        f"{other} has exactly this route already",
        f"Choose other networks, or remove it: `ip route del {network}`.",
    )


def source_address(
    remote: IPv4Address | IPv6Address, device: str | None = None
) -> IPv4Address | IPv6Address:
    """The address of ours that the kernel would send from to reach `remote`.

    Raises `SystemFailureError` when there is no route.
    """
    with _towards(remote, device) as sock:
        name = sock.getsockname()
    local = ip_address(name[0].partition("%")[0])
    if local.version == 6 and local.is_link_local and name[3]:
        return IPv6Address(f"{local}%{name[3]}")
    return local


def device_mtu(remote: IPv4Address | IPv6Address, device: str | None = None) -> int:
    """Octets of the largest IP packet that the way to `remote` takes as far as this host knows.

    That is the MTU of the device its route goes through, or of the route or path if the kernel
    knows a smaller one. Raises `SystemFailureError` when there is no route.
    """
    with _towards(remote, device) as sock:
        if remote.version == 4:
            return sock.getsockopt(socket.IPPROTO_IP, _IP_MTU)
        return sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)


class Hop(NamedTuple):
    """The next step to a host: a device, its index, and the gateway unless the host is on-link."""

    device: str
    number: int
    gateway: IPv4Address | IPv6Address | None


def next_hop(remote: IPv4Address | IPv6Address, device: str | None = None) -> Hop:
    """Where our own, marked packets to `remote` go next.

    Raises `SystemFailureError` when there is no route, and `NotPermittedError`.
    """
    bare = str(remote).partition("%")[0]
    options: dict[str, Any] = {"dst": bare, "mark": MARK}
    scope = scope_index(remote) if isinstance(remote, IPv6Address) else 0
    if device is not None or scope:
        options["oif"] = scope or device_index(str(device))

    def find(iproute: IPRoute) -> tuple[int, str | None]:
        (route,) = iproute.route("get", **options)
        return route.get("oif"), route.get("gateway")

    index, gateway = ask(f"way to {remote}", find)
    return Hop(_device_name(index), index, ip_address(gateway) if gateway else None)


def link_mtu(remote: IPv4Address | IPv6Address, device: str | None = None) -> int:
    """The MTU of the device that the route to `remote` goes through, whatever is known of the path.

    Not what the kernel has learned by ICMP, which anybody may have sent. Raises
    `SystemFailureError` when there is no route.
    """
    what = f"way to {remote}"
    if device is None and isinstance(remote, IPv6Address) and remote.scope_id is not None:
        index = scope_index(remote)
    elif device is None:
        family = socket.AF_INET if remote.version == 4 else socket.AF_INET6
        bare = str(remote).partition("%")[0]
        index = ask(
            what, lambda ip: int(ip.route("get", family=family, dst=bare, mark=MARK)[0].get("oif"))
        )
    else:
        index = device_index(device)
    return ask(what, lambda ip: int(ip.get_links(index)[0].get("mtu")))


def _towards(remote: IPv4Address | IPv6Address, device: str | None) -> socket.socket:
    family = socket.AF_INET if remote.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        with suppress(PermissionError):  # then there are no rules of ours either
            mark(sock)
        if device is not None:
            device_index(device)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if isinstance(remote, IPv6Address):
            bare = str(remote).partition("%")[0]
            sock.connect((bare, _ANY_PORT, 0, scope_index(remote)))
        else:
            sock.connect((str(remote), _ANY_PORT))
    except OSError as error:
        sock.close()
        through = f" through {device}" if device else ""
        raise SystemFailureError(
            f"way to {remote}{through}",
            (error.strerror or str(error)).lower(),
            f"`ip route get {remote}` shows what the kernel knows.",
        ) from error
    except SystemFailureError:
        sock.close()
        raise
    return sock


def _devices_with_route(what: str, network: IPv4Network | IPv6Network) -> set[int]:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6

    def find(iproute: IPRoute) -> set[int]:
        # A default route carries no RTA_DST, so the match is made here and not by the kernel.
        wanted = str(network.network_address) if network.prefixlen else None
        return {
            route.get("oif")
            for route in iproute.get_routes(family=family, table=254)
            if route["dst_len"] == network.prefixlen and route.get("dst") == wanted
        } - {None}

    return ask(what, find)


def _device_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"device {index}"
