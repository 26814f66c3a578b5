"""Policy routing, where a packet's destination may be the same before and after ESP.

So it is in transport mode, and in tunnel mode where the tunnel carries the peer's own endpoint.

The mark on our own packets tells the two apart (`ip-rule(8)`):

    not fwmark MARK  lookup CAPTURE     applications': into the device, from the right address
        fwmark MARK  lookup LEAD        our own, sealed: to the peer's host on the wire

Each device has two tables of its own, whose numbers follow from its index. Rules and tables do not
vanish with a device: `clear` removes them, `clear_stale` those that a killed process has left.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

from hushwire.system.mark import MARK
from hushwire.system.netlink import ask
from hushwire.system.routes import (
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
)
from hushwire.system.rtnetlink import (
    CREATE,
    DELETE_ROUTE,
    DELETE_RULE,
    EXCL,
    GET_ROUTE,
    GET_RULE,
    NEW_ROUTE,
    NEW_RULE,
    REPLACE,
    ROUTE,
    Message,
    Rtnetlink,
    attribute,
    route_header,
)

PROTOCOL = 72
"""Who made a rule (`ip rule` shows it as `proto 72`): the letter H."""

PRIORITY = 18519
"""0x4857, the letters HW: before the main table (32766), after that of local addresses (0)."""

_TABLES = 0x48000000
_MOST_DEVICES = 1 << 22
_INVERT = 2  # FIB_RULE_INVERT of <linux/fib_rules.h>
_UNICAST = 1  # RTN_UNICAST
_UNREACHABLE = 7  # RTN_UNREACHABLE of <linux/rtnetlink.h>
_THROW = 9  # RTN_THROW: the search goes on in the next table
_ONLINK = 4  # RTNH_F_ONLINK
_WORST_METRIC = 0xFFFF
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

# From <linux/fib_rules.h>: the attributes of a rule, and what it does.
_FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE, _FRA_FWMASK, _FRA_PROTOCOL = 6, 10, 15, 16, 21
_TO_TABLE = 1
_TABLE_IN_ATTRIBUTE = 252  # RT_TABLE_COMPAT: its number does not fit into the header

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network


def capture(index: int, host: IpAddress, source: IpAddress) -> None:
    """What this host sends to `host` goes into the device, and its address is `source`.

    Marked packets are left alone. Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule that leads packets for {host} into the tunnel device"
    _add_rule(what, host, _capture_table(index), _INVERT)
    _replace_route(what, host, _capture_table(index), device=index, source=source)


def capture_network(index: int, network: IpNetwork, source: IpAddress | None) -> None:
    """What this host sends into `network` goes into the device, preferring `source`.

    Marked packets are left alone, so the network may hold the peer's endpoint, or be everything.
    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule that leads packets for {network} into the tunnel device"
    _add_rule(what, network.network_address, _capture_table(index), _INVERT)
    _replace_route(what, network, _capture_table(index), device=index, source=source)


def spare(index: int, network: IpNetwork) -> None:
    """What is captured around `network` is not captured in it: the main table knows the way.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"route that leaves {network} out of the tunnel device"
    _replace_route(what, network, _capture_table(index), kind=_THROW)


def refuse(index: int, host: IpAddress) -> None:
    """Marked packets to `host` go nowhere while no `lead` says where to.

    By the main table they would enter the device that they have come from.
    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule for sealed packets to {host}"
    _add_rule(what, host, _lead_table(index), 0)
    _replace_route(what, host, _lead_table(index), kind=_UNREACHABLE, metric=_WORST_METRIC)


def lead(index: int, host: IpAddress, hop: IpAddress, device: int) -> None:
    """Marked packets to `host` go to its neighbour `hop` on the device with the index `device`.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"route for sealed packets to {host}"
    _replace_route(what, host, _lead_table(index), device=device, gateway=hop, metric=1)


def clear(index: int) -> None:
    """Remove the rules and tables of the device with this index; it need not be there any more.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    _clear(lambda table: _owner(table) == index)


def clear_stale() -> None:
    """Remove the rules and tables of devices that are gone. Raises as `clear`."""
    alive = {index for index, _ in socket.if_nameindex()}
    _clear(lambda table: _owner(table) not in alive)


def _clear(doomed: Callable[[int], bool]) -> None:
    def remove(rtnetlink: Rtnetlink) -> None:
        for family in _here():
            everything = route_header(family)
            for rule in rtnetlink.all(GET_RULE, everything):
                table = rule.number(_FRA_TABLE)
                if rule.attributes.get(_FRA_PROTOCOL) == bytes([PROTOCOL]) and _ours(table, doomed):
                    _delete(rtnetlink, DELETE_RULE, rule)
            for route in rtnetlink.all(GET_ROUTE, everything):
                if _ours(route.number(RTA_TABLE), doomed):
                    _delete(rtnetlink, DELETE_ROUTE, route)

    ask("routing rules of the tunnel", remove)


def _delete(rtnetlink: Rtnetlink, kind: int, found: Message) -> None:
    """What the kernel has told is what it removes."""
    with _suppress_gone():
        parts = [attribute(one, value) for one, value in found.attributes.items()]
        rtnetlink.order(kind, ROUTE.pack(*found.header), *parts)


@contextmanager
def _suppress_gone() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise


def _add_rule(what: str, host: IpAddress, table: int, flags: int) -> None:
    # No destination: the table holds nothing but the hosts, and for all others the search goes on.
    header = route_header(_family(host), table=_TABLE_IN_ATTRIBUTE, kind=_TO_TABLE, flags=flags)
    parts = (
        attribute(_FRA_PRIORITY, PRIORITY),
        attribute(_FRA_TABLE, table),
        attribute(_FRA_FWMARK, MARK),
        attribute(_FRA_FWMASK, 0xFFFFFFFF),
        attribute(_FRA_PROTOCOL, bytes([PROTOCOL])),
    )
    ask(
        what,
        lambda rtnetlink: rtnetlink.order(NEW_RULE, header, *parts, flags=CREATE | EXCL),
        {errno.EEXIST: None},
    )


def _replace_route(
    what: str,
    target: IpAddress | IpNetwork,
    table: int,
    *,
    kind: int = _UNICAST,
    device: int | None = None,
    gateway: IpAddress | None = None,
    source: IpAddress | None = None,
    metric: int | None = None,
) -> None:
    network = ip_network(target)
    flags = 0 if gateway is None else _ONLINK
    header = route_header(
        _family(network),
        prefix=network.prefixlen,
        table=_TABLE_IN_ATTRIBUTE,
        protocol=PROTOCOL,
        kind=kind,
        flags=flags,
    )
    parts = [attribute(RTA_TABLE, table), attribute(RTA_DST, network.network_address.packed)]
    for number, value in ((RTA_OIF, device), (RTA_PRIORITY, metric)):
        if value is not None:
            parts.append(attribute(number, value))
    for number, address in ((RTA_GATEWAY, gateway), (RTA_PREFSRC, source)):
        if address is not None:
            parts.append(attribute(number, address.packed))
    ask(what, lambda rtnetlink: rtnetlink.order(NEW_ROUTE, header, *parts, flags=CREATE | REPLACE))


def _capture_table(index: int) -> int:
    return _TABLES + 2 * (index % _MOST_DEVICES)


def _lead_table(index: int) -> int:
    return _capture_table(index) + 1


def _ours(table: int | None, doomed: Callable[[int], bool]) -> bool:
    ours = table is not None and _TABLES <= table < _TABLES + 2 * _MOST_DEVICES
    return table is not None and ours and doomed(table)


def _owner(table: int) -> int:
    return (table - _TABLES) // 2


def _family(host: IpAddress | IpNetwork) -> int:
    return socket.AF_INET if host.version == 4 else socket.AF_INET6


def _here() -> tuple[int, ...]:
    return _FAMILIES if Path("/proc/net/if_inet6").exists() else _FAMILIES[:1]
