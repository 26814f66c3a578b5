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
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute

from hushwire.system.mark import MARK
from hushwire.system.netlink import ask

PROTOCOL = 72
"""Who made a rule (`ip rule` shows it as `proto 72`): the letter H."""

PRIORITY = 18519
"""0x4857, the letters HW: before the main table (32766), after that of local addresses (0)."""

_TABLES = 0x48000000
_MOST_DEVICES = 1 << 22
_INVERT = 2  # FIB_RULE_INVERT of <linux/fib_rules.h>
_UNREACHABLE = 7  # RTN_UNREACHABLE of <linux/rtnetlink.h>
_THROW = 9  # RTN_THROW: the search goes on in the next table
_ONLINK = 4  # RTNH_F_ONLINK
_WORST_METRIC = 0xFFFF
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_UNSPECIFIED: dict[int, str] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network
_Answer = TypeVar("_Answer")


def capture(index: int, host: IpAddress, source: IpAddress) -> None:
    """What this host sends to `host` goes into the device, and its address is `source`.

    Marked packets are left alone. Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule that leads packets for {host} into the tunnel device"
    _add_rule(what, host, _capture_table(index), _INVERT)
    _replace_route(what, host, _capture_table(index), oif=index, prefsrc=str(source))


def capture_network(index: int, network: IpNetwork, source: IpAddress | None) -> None:
    """What this host sends into `network` goes into the device, preferring `source`.

    Marked packets are left alone, so the network may hold the peer's endpoint, or be everything.
    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule that leads packets for {network} into the tunnel device"
    options = {} if source is None else {"prefsrc": str(source)}
    _add_rule(what, network.network_address, _capture_table(index), _INVERT)
    _replace_route(what, network, _capture_table(index), oif=index, **options)


def spare(index: int, network: IpNetwork) -> None:
    """What is captured around `network` is not captured in it: the main table knows the way.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"route that leaves {network} out of the tunnel device"
    _replace_route(what, network, _capture_table(index), type=_THROW)


def refuse(index: int, host: IpAddress) -> None:
    """Marked packets to `host` go nowhere while no `lead` says where to.

    By the main table they would enter the device that they have come from.
    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"rule for sealed packets to {host}"
    _add_rule(what, host, _lead_table(index), 0)
    metric = {"priority": _WORST_METRIC}
    _replace_route(what, host, _lead_table(index), type=_UNREACHABLE, **metric)


def lead(index: int, host: IpAddress, hop: IpAddress, device: int) -> None:
    """Marked packets to `host` go to its neighbour `hop` on the device with the index `device`.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    what = f"route for sealed packets to {host}"
    gateway = str(hop).partition("%")[0]
    _replace_route(
        what, host, _lead_table(index), oif=device, gateway=gateway, flags=_ONLINK, priority=1
    )


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
    def remove(iproute: IPRoute) -> None:
        for family in _here():
            for rule in iproute.get_rules(family=family):
                table = rule.get("table")
                if rule.get("protocol") == PROTOCOL and _ours(table) and doomed(table):
                    _unless_gone(iproute.rule, "del", **_rule_of(rule, family))
            for route in iproute.get_routes(family=family):
                table = route.get("table")
                if _ours(table) and doomed(table):
                    _unless_gone(iproute.route, "del", **_route_of(route, family))

    ask("routing rules of the tunnel", remove)


def _rule_of(rule: dict[str, Any], family: int) -> dict[str, Any]:
    return {
        "family": family,
        "table": rule.get("table"),
        "priority": rule.get("priority"),
        "fwmark": MARK,
        "flags": rule["flags"],
        "protocol": PROTOCOL,
    }


def _route_of(route: dict[str, Any], family: int) -> dict[str, Any]:
    found = {
        "family": family,
        "table": route.get("table"),
        # A default route has no destination.
        "dst": f"{route.get('dst') or _UNSPECIFIED[family]}/{route['dst_len']}",
        "type": route["type"],
    }
    if route.get("priority"):
        found["priority"] = route.get("priority")
    return found


def _unless_gone(order: Callable[..., object], *arguments: object, **options: object) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        order(*arguments, **options)
    except NetlinkError as error:
        if error.code not in (errno.ENOENT, errno.ESRCH):
            raise


def _add_rule(what: str, host: IpAddress, table: int, flags: int) -> None:
    # No destination: the table holds nothing but the hosts, and for all others the search goes on.
    options: dict[str, Any] = {
        "family": _family(host),
        "priority": PRIORITY,
        "table": table,
        "fwmark": MARK,
        "fwmask": 0xFFFFFFFF,
        "flags": flags,
        "protocol": PROTOCOL,
    }

    def add(iproute: IPRoute) -> None:
        iproute.rule("add", **options)

    ask(what, add, {errno.EEXIST: None})


def _replace_route(what: str, target: IpAddress | IpNetwork, table: int, **options: object) -> None:
    def replace(iproute: IPRoute) -> None:
        iproute.route(
            "replace",
            family=_family(target),
            dst=str(ip_network(target)),
            table=table,
            proto=PROTOCOL,
            **options,
        )

    ask(what, replace)


def _capture_table(index: int) -> int:
    return _TABLES + 2 * (index % _MOST_DEVICES)


def _lead_table(index: int) -> int:
    return _capture_table(index) + 1


def _ours(table: int | None) -> bool:
    return table is not None and _TABLES <= table < _TABLES + 2 * _MOST_DEVICES


def _owner(table: int) -> int:
    return (table - _TABLES) // 2


def _family(host: IpAddress | IpNetwork) -> int:
    return socket.AF_INET if host.version == 4 else socket.AF_INET6


def _here() -> tuple[int, ...]:
    return _FAMILIES if Path("/proc/net/if_inet6").exists() else _FAMILIES[:1]
