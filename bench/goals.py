"""What Hushwire wants to reach, and whether this record shows that it does.

A ratio is the median of the rounds' own ratios: each is of two contestants that ran one after the
other, so a busy machine changes it little.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import WITH, WITHOUT, Record
from bench.table import Table, with_spread

_NAMES = {
    "null": "the null cipher",
    "wireguard-go": "wireguard-go",
    "openvpn": "OpenVPN",
    "strongswan": "strongSwan",
}
_OURS = ("native-aes", "native-chacha")


@dataclass(frozen=True)
class Goal:
    """`figure` of ours, over `other`'s if one is named; `least` or else `most` is wanted."""

    what: str
    figure: str
    other: str = ""
    wire: str = WITH
    least: float | None = None
    most: float | None = None
    unit: str = ""

    def values(self, record: Record, ours: str = _OURS[0]) -> list[float]:
        """Of every round."""
        if self.other:
            return record.ratios(self.wire, self.figure, ours, self.other)
        return record.values(self.wire, ours, self.figure)

    def reached(self, value: float) -> bool:
        return value >= self.least if self.least is not None else value <= (self.most or 0)

    @property
    def wanted(self) -> str:
        bound = self.least if self.least is not None else self.most
        assert bound is not None
        return f"{'at least' if self.least is not None else 'at most'} {bound:g}{self.unit}"

    @property
    def title(self) -> str:
        return f"{self.what}, over {_NAMES[self.other]}'s" if self.other else self.what


ONE_OVER_WIREGUARD = Goal("TCP, one stream", "one_gbits", "wireguard-go", least=5)
ONE_OVER_OPENVPN = Goal("TCP, one stream", "one_gbits", "openvpn", least=10)
CPU_OVER_WIREGUARD = Goal("CPU for a gigabyte", "one_cpu_s_per_gb", "wireguard-go", most=0.2)
CPU_OVER_NULL = Goal("CPU for a gigabyte", "one_cpu_s_per_gb", "null", most=1.35)

GOALS = (
    ONE_OVER_WIREGUARD,
    ONE_OVER_OPENVPN,
    CPU_OVER_WIREGUARD,
    CPU_OVER_NULL,
    Goal("TCP, one stream, no offloads on the wire", "one_gbits", "wireguard-go", WITHOUT, least=5),
    Goal("64-octet packets a second", "small_per_s", "wireguard-go", least=5),
    Goal("CPU for each 64-octet packet", "small_cpu_us", most=2.0, unit=" µs"),
    Goal("round trip, p50", "rtt_p50_us", "wireguard-go", most=0.5),
    Goal("`run` to the first answered ping", "connect_s", "strongswan", most=1),
    Goal("resident memory of the process", "resident_mb", most=60, unit=" MB"),
)


def ratios(record: Record, goals: Sequence[Goal] = GOALS) -> Table:
    """With both ciphers; reached or not is told of AES-256-GCM."""
    rows = []
    for goal in goals:
        cells = []
        for ours in _OURS:
            values = goal.values(record, ours)
            cells.append(with_spread(values, goal.unit) if values else "not measured")
        values = goal.values(record)
        reached = bool(values) and goal.reached(statistics.median(values))
        verdict = ("yes" if reached else "no") if values else ""
        rows.append((goal.title, goal.wanted, *cells, verdict))
    head = ("of hushwire native", "wanted", "AES-256-GCM", "ChaCha20-Poly1305", "reached")
    return Table("Ratios of this run", head, rows)
