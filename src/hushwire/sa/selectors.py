"""Traffic selectors as policy: narrowing (RFC 7296 §2.9) and matching (RFC 4301 §4.4.1.1).

The structure itself, one range of addresses and ports, is `wire`'s `TrafficSelector`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, summarize_address_range
from typing import NamedTuple

from hushwire.wire.ike.payloads.ts import TrafficSelector
from hushwire.wire.ip import Flow
from hushwire.wire.registry import IpProtocol

ANY_PROTOCOL = 0
ANY_PORT = (0, 65535)
OPAQUE_PORT = (65535, 0)
"""Matches only packets whose port cannot be seen; ANY includes it (RFC 7296 §3.13.1)."""

_ICMP = (IpProtocol.ICMP, IpProtocol.ICMPV6)
_PROTOCOL_NAMES = {
    ANY_PROTOCOL: "any",
    IpProtocol.ICMP: "icmp",
    IpProtocol.TCP: "tcp",
    IpProtocol.UDP: "udp",
    IpProtocol.ICMPV6: "icmpv6",
}


def from_network(network: IPv4Network | IPv6Network) -> TrafficSelector:
    """Every address of the network, every protocol, every port."""
    return TrafficSelector(network.network_address, network.broadcast_address)


def narrow(
    proposed: Iterable[TrafficSelector], allowed: Iterable[TrafficSelector]
) -> tuple[TrafficSelector, ...]:
    """What both sides want: the intersections, in the order of `proposed` (RFC 7296 §2.9).

    None is a part of another. Empty means that nothing is in common (TS_UNACCEPTABLE).
    """
    allowed = tuple(allowed)
    common: list[TrafficSelector] = []
    for theirs in proposed:
        for ours in allowed:
            both = _intersection(theirs, ours)
            if both is None or any(_contains(other, both) for other in common):
                continue
            common = [other for other in common if not _contains(both, other)]
            common.append(both)
    return tuple(common)


def covers(
    selectors: Iterable[TrafficSelector],
    version: int,
    address: int,
    protocol: int,
    port: int | None,
) -> bool:
    """Whether one end of a packet is inside any of the selectors.

    `address` is the integer of an address of IP `version`; `port` is None when the packet does
    not show it: then only ANY and OPAQUE match (RFC 4301 §4.4.1.1).
    """
    return _covers(_prepare(selectors), version, address, protocol, port)


def describe(selector: TrafficSelector) -> str:
    """`10.0.1.2/32`, `10.0.1.5-10.0.1.9`, `10.0.1.0/24[tcp/443]`, `10.0.1.2/32[icmp/8(0)]`."""
    networks = summarize_address_range(selector.start, selector.end)
    addresses = str(next(networks))
    if next(networks, None) is not None:
        addresses = f"{selector.start}-{selector.end}"
    ports = (selector.start_port, selector.end_port)
    if selector.protocol == ANY_PROTOCOL and ports == ANY_PORT:
        return addresses
    protocol = _PROTOCOL_NAMES.get(selector.protocol, str(selector.protocol))
    if ports == ANY_PORT:
        return f"{addresses}[{protocol}]"
    if ports == OPAQUE_PORT:
        return f"{addresses}[{protocol}/opaque]"
    names = [_port_name(selector.protocol, port) for port in ports]
    return f"{addresses}[{protocol}/{names[0] if names[0] == names[1] else '-'.join(names)}]"


def overlap(a: Iterable[TrafficSelector], b: Iterable[TrafficSelector]) -> bool:
    """Is there a packet that both would take?"""
    return bool(narrow(a, b))


class FlowMatcher:
    """Whether a packet belongs to an SA, prepared once so that a packet costs little.

    RFC 7296 §2.9: any local selector combines with any remote one.
    """

    __slots__ = ("_local", "_remote")

    def __init__(self, local: Iterable[TrafficSelector], remote: Iterable[TrafficSelector]) -> None:
        self._local = _prepare(local)
        self._remote = _prepare(remote)

    def outbound(self, flow: Flow) -> bool:
        """From a local address to a remote one."""
        return _covers(
            self._local, flow.version, flow.source, flow.protocol, flow.source_port
        ) and _covers(
            self._remote, flow.version, flow.destination, flow.protocol, flow.destination_port
        )

    def remote_span(self, flow: Flow) -> int | None:
        """How many addresses the narrowest remote selector for an outbound flow holds, or None.

        The longest prefix is the smallest span.
        """
        if not self.outbound(flow):
            return None
        return min(
            one.end - one.start + 1
            for one in self._remote
            if _covers((one,), flow.version, flow.destination, flow.protocol, flow.destination_port)
        )

    def inbound(self, flow: Flow) -> bool:
        """From a remote address to a local one (checked after decryption, RFC 4301 §5.2)."""
        return _covers(
            self._remote, flow.version, flow.source, flow.protocol, flow.source_port
        ) and _covers(
            self._local, flow.version, flow.destination, flow.protocol, flow.destination_port
        )


class _Range(NamedTuple):
    version: int
    start: int
    end: int
    protocol: int
    start_port: int
    end_port: int
    unseen_port: bool  # a packet whose port cannot be seen is inside


def _prepare(selectors: Iterable[TrafficSelector]) -> tuple[_Range, ...]:
    return tuple(
        _Range(
            selector.start.version,
            int(selector.start),
            int(selector.end),
            selector.protocol,
            selector.start_port,
            selector.end_port,
            (selector.start_port, selector.end_port) in (ANY_PORT, OPAQUE_PORT),
        )
        for selector in selectors
    )


def _covers(
    ranges: tuple[_Range, ...], version: int, address: int, protocol: int, port: int | None
) -> bool:
    for candidate in ranges:
        if (
            candidate.version == version
            and candidate.start <= address <= candidate.end
            and candidate.protocol in (ANY_PROTOCOL, protocol)
            and (
                candidate.unseen_port
                if port is None
                else candidate.start_port <= port <= candidate.end_port
            )
        ):
            return True
    return False


def _intersection(a: TrafficSelector, b: TrafficSelector) -> TrafficSelector | None:
    if a.start.version != b.start.version:
        return None
    start = max(a.start, b.start, key=int)
    end = min(a.end, b.end, key=int)
    if int(start) > int(end):
        return None
    if a.protocol not in (ANY_PROTOCOL, b.protocol) and b.protocol != ANY_PROTOCOL:
        return None
    ports = _common_ports((a.start_port, a.end_port), (b.start_port, b.end_port))
    if ports is None:
        return None
    return TrafficSelector(start, end, a.protocol or b.protocol, *ports)


def _common_ports(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int] | None:
    if OPAQUE_PORT in (a, b):
        return OPAQUE_PORT if a in (ANY_PORT, b) or b == ANY_PORT else None
    start, end = max(a[0], b[0]), min(a[1], b[1])
    return (start, end) if start <= end else None


def _contains(whole: TrafficSelector, part: TrafficSelector) -> bool:
    return _intersection(whole, part) == part


def _port_name(protocol: int, port: int) -> str:
    # ICMP type and code stand in the port field (RFC 7296 §3.13.1).
    return f"{port >> 8}({port & 0xFF})" if protocol in _ICMP else str(port)
