"""Tables of a record: what each contestant does, and how Hushwire compares."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from bench.entrants import ENTRANTS
from bench.record import Record

Cell = Callable[[Record, str, str], str]


@dataclass(frozen=True)
class Table:
    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        cells = (("".join(f" {cell} |" if cell else " |" for cell in line)) for line in lines)
        return "\n".join(f"|{line}" for line in cells)


def number(value: float) -> str:
    """Three digits that count, and whole numbers above."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def with_spread(values: list[float], unit: str = "") -> str:
    """The median, and where there are several the least and the greatest."""
    spread = f" ({number(min(values))} to {number(max(values))})" if len(values) > 1 else ""
    return f"{number(statistics.median(values))}{unit}{spread}"


def _spread(figure: str, scale: float = 1) -> Cell:
    def cell(record: Record, wire: str, key: str) -> str:
        values = [one * scale for one in record.values(wire, key, figure)]
        if not values:
            return ""
        return with_spread(values)

    return cell


def _median(*figures: str) -> Cell:
    def cell(record: Record, wire: str, key: str) -> str:
        every = [record.values(wire, key, figure) for figure in figures]
        if not all(every) or not any(any(values) for values in every):
            return ""  # not measured; or nothing to measure, as a wire has no process
        return " / ".join(number(statistics.median(values)) for values in every)

    return cell


_STREAMS: tuple[tuple[str, Cell], ...] = (
    ("one stream, Gbit/s", _spread("one_gbits")),
    ("CPU s/GB", _median("one_cpu_s_per_gb")),
    ("eight streams, Gbit/s", _spread("eight_gbits")),
    ("CPU s/GB", _median("eight_cpu_s_per_gb")),
    ("both ways, Gbit/s", _spread("both_gbits")),
    ("CPU s/GB", _median("both_cpu_s_per_gb")),
)
_PACKETS: tuple[tuple[str, Cell], ...] = (
    ("RTT µs, p50 / p99", _median("rtt_p50_us", "rtt_p99_us")),
    ("RTT under load", _median("loaded_p50_us", "loaded_p99_us")),
    ("1000 64-octet packets/s", _spread("small_per_s", 1e-3)),
    ("CPU µs each", _median("small_cpu_us")),
    ("memory MB", _median("resident_mb")),
)
_CONNECTING: tuple[tuple[str, Cell], ...] = (
    ("`run` to the first ping, s", _spread("connect_s")),
    ("handshakes answered/s and core", _spread("handshakes_per_core_s")),
)
_EVERY = (
    ("TCP streams", _STREAMS),
    ("Packets and memory", _PACKETS),
    ("Connecting", _CONNECTING),
)


def _table(record: Record, wire: str, title: str, columns: tuple[tuple[str, Cell], ...]) -> Table:
    columns = tuple(column for column in columns if _measured(record, wire, column[1]))
    rows: list[tuple[str, ...]] = []
    for entrant in ENTRANTS if columns else ():
        if why := record.missing.get(entrant.key):
            rows.append((entrant.title, f"not here: {why}", *[""] * (len(columns) - 1)))
            continue
        cells = [cell(record, wire, entrant.key) for _, cell in columns]
        failures = record.failures(wire, entrant.key)
        if failures and not any(cells):
            cells[0] = f"failed: {failures[-1]}"
        elif failures:
            cells[0] += f"; failed {len(failures)} times: {failures[-1]}"
        if any(cells):
            rows.append((entrant.title, *cells))
    return Table(f"{title}, {wire}", ("", *(name for name, _ in columns)), rows)


def _measured(record: Record, wire: str, cell: Cell) -> bool:
    return any(cell(record, wire, entrant.key) for entrant in ENTRANTS)


def tables(record: Record) -> list[Table]:
    """Streams, single packets and connecting, as far as they were measured, for each wire."""
    every = [
        _table(record, wire, title, columns) for wire in record.wires() for title, columns in _EVERY
    ]
    return [table for table in every if len(table.head) > 1]
