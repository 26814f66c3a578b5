"""The picture of a record: a line for each contestant, a column of bars for each question."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.entrants import ENTRANTS, Entrant
from bench.record import WITH, WITHOUT, Record
from bench.table import number

_LABELS, _COLUMN, _BAR, _LINE, _TOP, _MARGIN = 270, 168, 100, 30, 88, 16
_OURS, _LIMIT, _SLOW, _OTHERS = "#0f766e", "#99d5cf", "#5eaaa2", "#b4bac4"
_COLOURS = {
    "veth": "#dfe3e8",
    "null": _LIMIT,
    "native-aes": _OURS,
    "native-chacha": _OURS,
    "native-raw": _OURS,
    "python": _SLOW,
}
_MAY_BE_CUT = ("veth", "python")
_FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class _Column:
    title: str
    under: str
    wire: str
    figure: str
    scale: float = 1


_COLUMNS = (
    _Column("TCP, one stream", "Gbit/s; more is better", WITH, "one_gbits"),
    _Column("… no offloads", "Gbit/s; more is better", WITHOUT, "one_gbits"),
    _Column("CPU, both ends", "s for a GB; less is better", WITH, "one_cpu_s_per_gb"),
    _Column("Round trip", "µs, p50; less is better", WITH, "rtt_p50_us"),
    _Column("64-octet packets", "1000/s; more is better", WITH, "small_per_s", 1e-3),
)


def picture(record: Record) -> str:
    """An SVG document that fetches nothing. Bars are medians, the thin lines the spread."""
    columns = [one for one in _COLUMNS if any(_medians(record, one).values())]
    here = [one for one in ENTRANTS if one.key not in record.missing]
    here = [one for one in here if any(_medians(record, column).get(one.key) for column in columns)]
    width = _MARGIN + _LABELS + _COLUMN * len(columns)
    height = _TOP + _LINE * len(here) + _MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' {_FONT} font-size='13' fill='#1f2933'>",
        f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
        f"<text x='{_MARGIN}' y='{_MARGIN + 14}' font-size='12' fill='#69707d'>"
        f"{escape(caption(record))}</text>",
    ]
    parts += _labels(here)
    for place, column in enumerate(columns):
        parts += _bars(record, column, here, _MARGIN + _LABELS + _COLUMN * place)
    return "\n".join([*parts, "</svg>"]) + "\n"


def caption(record: Record) -> str:
    """The machine, in a line."""
    its = record.machine
    return f"{its['cpu']}, {its['cores']} cores, {its['kernel']}, {its['date']}"


def _labels(here: list[Entrant]) -> list[str]:
    parts = []
    for line, entrant in enumerate(here):
        y = _TOP + _LINE * line
        if line % 2 == 0:
            parts.append(f"<rect x='0' y='{y}' width='100%' height='{_LINE}' fill='#f6f8fa'/>")
        weight = " font-weight='bold'" if _COLOURS.get(entrant.key) == _OURS else ""
        parts.append(f"<text x='{_MARGIN}' y='{y + 20}'{weight}>{escape(entrant.title)}</text>")
    return parts


def _bars(record: Record, column: _Column, here: list[Entrant], x: float) -> list[str]:
    medians = _medians(record, column)
    longest = _longest(medians)
    parts = [
        f"<text x='{x}' y='{_TOP - 26}' font-weight='bold'>{escape(column.title)}</text>",
        f"<text x='{x}' y='{_TOP - 9}' font-size='11' fill='#69707d'>{escape(column.under)}</text>",
    ]
    for line, entrant in enumerate(here):
        if not (median := medians.get(entrant.key)):
            continue
        y = _TOP + _LINE * line
        length = min(median / longest, 1) * _BAR
        end = x + length
        colour = _COLOURS.get(entrant.key, _OTHERS)
        parts.append(
            f"<rect x='{x}' y='{y + 8}' width='{length:.1f}' height='{_LINE - 15}' rx='2' "
            f"fill='{colour}'/>"
        )
        if median > longest:  # too long for the paper: the number says how much
            for cut in (8, 13):
                edge = x + _BAR - cut
                parts.append(
                    f"<path d='M{edge - 3} {y + 24} l6 -18' stroke='#ffffff' stroke-width='2'/>"
                )
        else:
            values = record.values(column.wire, entrant.key, column.figure)
            low, high = (
                x + min(edge(values) * column.scale / longest, 1) * _BAR for edge in (min, max)
            )
            parts.append(f"<path d='M{low:.1f} {y + 15.5} H{high:.1f}' stroke='#1f2933'/>")
            end = max(end, high)
        parts.append(f"<text x='{end + 6:.1f}' y='{y + 20}' font-size='12'>{number(median)}</text>")
    return parts


def _medians(record: Record, column: _Column) -> dict[str, float]:
    found = {}
    for entrant in ENTRANTS:
        if values := record.values(column.wire, entrant.key, column.figure):
            found[entrant.key] = statistics.median(values) * column.scale
    return found


def _longest(medians: dict[str, float]) -> float:
    """What fills a bar: the most of those who are to be compared. Others may be cut off."""
    compared = [median for key, median in medians.items() if key not in _MAY_BE_CUT]
    return max(compared or medians.values(), default=1) or 1
