"""What docs/ and README.md say of a record. No number in them is written by hand.

Generated text lies between two comments, `<!-- bench: NAME -->` and `<!-- bench: end -->`.
"""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path

from bench.entrants import ENTRANTS
from bench.goals import (
    CPU_OVER_WIREGUARD,
    ONE_OVER_OPENVPN,
    ONE_OVER_WIREGUARD,
    ratios,
)
from bench.picture import caption, picture
from bench.record import Record
from bench.table import tables

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "bench.json"
PICTURE = ROOT / "docs" / "pictures" / "bench.svg"
CHAPTER = ROOT / "docs" / "native.md"
README = ROOT / "README.md"


def publish(record: Record) -> None:
    """The record, its picture, the chapter's tables and the README's claim."""
    record.save(RECORD)
    for file, text in pages(record).items():
        file.write_text(text)


def pages(record: Record) -> dict[Path, str]:
    """Each file that is made of the record, whole or in part, as it should be."""
    return {
        PICTURE: picture(record),
        CHAPTER: _with(CHAPTER.read_text(), "tables", _chapter(record)),
        README: _with(README.read_text(), "claim", claim(record)),
    }


def claim(record: Record) -> str:
    """One sentence, for UDP and for what `encap = "auto"` does without a NAT.

    Ratios are rounded to our disadvantage.
    """
    faster = [
        f"{_floor(statistics.median(values))} times as fast as {name}"
        for goal, name in ((ONE_OVER_WIREGUARD, "wireguard-go"), (ONE_OVER_OPENVPN, "OpenVPN"))
        if (values := goal.values(record))
    ]
    text = f"TCP in one stream is {' and '.join(faster)}"
    if values := CPU_OVER_WIREGUARD.values(record):
        percent = math.ceil(statistics.median(values) * 100)
        text += f", for {percent} % of wireguard-go's CPU time"
    if values := ONE_OVER_WIREGUARD.values(record, "native-raw"):
        text += (
            f'; as protocol 50, which `encap` "auto" chooses where no NAT is on the way, it is '
            f"{_floor(statistics.median(values))} times as fast as wireguard-go"
        )
    return (
        f"On the machine of [the benchmark](docs/native.md#how-fast), with AES-256-GCM in UDP, "
        f"{text} ({_rounds(record)})."
    )


def _rounds(record: Record) -> str:
    rounds = len(ONE_OVER_WIREGUARD.values(record) or ONE_OVER_OPENVPN.values(record))
    return f"medians of {rounds} rounds" if rounds > 1 else "one round"


def _floor(ratio: float) -> str:
    return f"{math.floor(ratio * 10) / 10:.1f}"


def _chapter(record: Record) -> str:
    its = record.machine
    titles = {one.key: one.title for one in ENTRANTS}
    versions = [f"{titles[key]}: {one}" for key, one in record.versions.items() if one]
    seen = "; ".join(one for one in versions if not one.startswith("hushwire"))
    parts = [
        f"Measured on {its['date']}: {its['cpu']} ({its['flags']}), {its['cores']} cores, "
        f"{its['memory']}, {its['kernel']}, TCP with {its['tcp']}, Python {its['python']}, "
        f"{_rounds(record)}; the load average when it began was {its['load']}. "
        f"{seen}.",
        f"![{caption(record)}](pictures/{PICTURE.name})",
    ]
    for table in (ratios(record), *tables(record)):
        parts += [f"**{table.title}**", table.markdown()]
    return "\n\n".join(parts)


def _with(text: str, name: str, inside: str) -> str:
    """`text` with `inside` between the comments of this name."""
    found = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- bench: end -->)", re.DOTALL)
    if not found.search(text):
        raise ValueError(f"there is no place for the benchmark's {name}")
    return found.sub(lambda match: f"{match[1]}\n{inside}\n\n{match[2]}", text)
