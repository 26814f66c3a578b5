"""The SAs at work (RFC 4301 §4.4.2, the SAD), as snapshots that one thread swaps for another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from hushwire.engines.base import SaCounters
from hushwire.engines.python.boundary import Fit
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.esp.transport import front_of
from hushwire.sa.association import ChildSa, Encapsulation, Mode, Path
from hushwire.sa.selectors import FlowMatcher, overlap
from hushwire.wire.ip import Flow, parse_flow


class Tunnel:
    """One installed Child SA and its state.

    The packet thread alone changes it, except `route`, `keepalive`, `follow`, `fit`, `proved` and
    `retired`, each replaced as a whole.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "child",
        "fit",
        "follow",
        "front",
        "inbound",
        "keepalive",
        "last_in",
        "last_out",
        "matcher",
        "near_end_told",
        "outbound",
        "packets_in",
        "packets_out",
        "proved",
        "retired",
        "route",
    )

    def __init__(self, child: ChildSa, now: float) -> None:
        self.child = child
        self.inbound = InboundSa(child)
        self.outbound = OutboundSa(child)
        self.matcher = FlowMatcher(child.local_selectors, child.remote_selectors)
        self.route: tuple[Encapsulation, Path] = (child.encapsulation, child.path)
        self.keepalive = child.keepalive
        self.follow = child.follow
        # Transport mode, inside UDP: the header that inbound packets get back.
        self.front = front_of(child) if child.mode is Mode.TRANSPORT else None
        self.fit: Fit | None = None  # until the path MTU is told: everything fits
        self.proved = not child.await_proof
        self.retired = False
        self.near_end_told = False
        self.packets_out = self.bytes_out = self.packets_in = self.bytes_in = 0
        self.last_in: float | None = None
        self.last_out = now

    def counters(self) -> SaCounters:
        return SaCounters(
            self.packets_out, self.bytes_out, self.packets_in, self.bytes_in, self.last_in
        )


class Table:
    """Immutable: every change makes a new table, so a reader needs no lock."""

    __slots__ = ("_by_spi", "_nested", "_newest_first", "pairs")

    def __init__(self, oldest_first: Iterable[Tunnel] = (), *, nested: bool = False) -> None:
        self._by_spi = {tunnel.child.inbound_spi: tunnel for tunnel in oldest_first}
        self._newest_first = tuple(reversed(self._by_spi.values()))
        # Two peers have networks one within the other: then every packet costs a little more.
        self._nested = nested
        # Between these two hosts only whole datagrams are sealed (RFC 4303 §3.3.4).
        self.pairs = frozenset(
            (local.version, int(local), int(remote))
            for tunnel in self._newest_first
            if tunnel.child.mode is Mode.TRANSPORT
            for local, remote in [tunnel.child.hosts()]
        )

    def __iter__(self) -> Iterator[Tunnel]:
        return iter(self._newest_first)

    def __len__(self) -> int:
        return len(self._newest_first)

    def inbound(self, spi: int) -> Tunnel | None:
        """The tunnel whose inbound SPI this is."""
        return self._by_spi.get(spi)

    def outbound(self, flow: Flow) -> Tunnel | None:
        """The newest tunnel that carries the flow and that the peer has proved to hold.

        Only where none is proved, the oldest that is not: the peer has had it longest. Where the
        networks of one peer lie within those of another, the longest prefix decides.
        """
        fallback = None
        for tunnel in self._longest_prefix(flow) if self._nested else self._newest_first:
            if tunnel.matcher.outbound(flow):
                if tunnel.retired:
                    continue
                if tunnel.proved:
                    return tunnel
                fallback = tunnel
        return fallback

    def belongs(self, tunnel: Tunnel, inner: bytes) -> bool:
        """May this packet, which its SA's selectors allow, come from this tunnel's peer?

        Not when another peer has a longer prefix for its source: then that one alone may send it.
        """
        if not self._nested:
            return True
        owner = self.outbound(parse_flow(inner).reversed())
        return owner is None or owner.child.peer == tunnel.child.peer

    def _longest_prefix(self, flow: Flow) -> list[Tunnel]:
        spans = [(tunnel.matcher.remote_span(flow), tunnel) for tunnel in self._newest_first]
        narrowest = min((span for span, _ in spans if span is not None), default=None)
        return [tunnel for span, tunnel in spans if span is not None and span == narrowest]

    def plus(self, tunnel: Tunnel) -> Table:
        """Raises `ValueError` when the SPI or the outbound key is in use."""
        child = tunnel.child
        if child.inbound_spi in self._by_spi:
            raise ValueError(f"SPI {child.inbound_spi:#010x} is installed already")
        if any(other.child.outbound_key == child.outbound_key for other in self):
            raise ValueError("the outbound key is in use: its nonces would be used twice")
        nested = self._nested or any(_nested(child, other.child) for other in self)
        return Table((*self._by_spi.values(), tunnel), nested=nested)

    def minus(self, inbound_spi: int) -> Table:
        """Raises `KeyError`."""
        gone = self[inbound_spi]
        left = [tunnel for tunnel in self._by_spi.values() if tunnel is not gone]
        nested = self._nested and any(_nested(a.child, b.child) for a, b in combinations(left, 2))
        return Table(left, nested=nested)

    def __getitem__(self, inbound_spi: int) -> Tunnel:
        return self._by_spi[inbound_spi]


def _nested(a: ChildSa, b: ChildSa) -> bool:
    return a.peer != b.peer and overlap(a.remote_selectors, b.remote_selectors)
