"""What was measured, as JSON: every sample by itself, so that short runs add up to a long one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

WITH, WITHOUT = "with offloads", "without offloads"
"""The wire between the hosts: a veth pair as it is, or without TSO, GSO and GRO."""


@dataclass(frozen=True)
class Sample:
    """One contestant in one round: its figures by name, or why there are none."""

    round: int
    wire: str
    contestant: str
    figures: dict[str, float]
    failure: str = ""


@dataclass
class Record:
    """`versions` and `missing` are by contestant; who is in `missing` has no samples."""

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> Record:
        """Raises `OSError`, and `ValueError` or `KeyError` for another file than ours."""
        plain = json.loads(file.read_text())
        samples = [Sample(**one) for one in plain.pop("samples")]
        return cls(**plain, samples=samples)

    def save(self, file: Path) -> None:
        """A line for each sample. Raises `OSError`."""
        plain = asdict(self)
        lines = ",\n".join(json.dumps(one) for one in plain.pop("samples"))
        head = json.dumps(plain, indent=1, ensure_ascii=False).removesuffix("\n}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{head},\n "samples": [\n{lines}\n ]\n}}\n')

    @property
    def rounds(self) -> int:
        """The number of the last one."""
        return max((one.round for one in self.samples), default=0)

    def values(self, wire: str, contestant: str, figure: str) -> list[float]:
        """Of all rounds that have it."""
        return list(self._by_round(wire, contestant, figure).values())

    def ratios(self, wire: str, figure: str, contestant: str, other: str) -> list[float]:
        """`contestant`'s figure over `other`'s, round by round: a busy moment hits both alike."""
        above, below = (self._by_round(wire, one, figure) for one in (contestant, other))
        return [above[number] / below[number] for number in above if below.get(number)]

    def failures(self, wire: str, contestant: str) -> list[str]:
        return [one.failure for one in self._of(wire, contestant) if one.failure]

    def wires(self) -> list[str]:
        """Those that were measured."""
        measured = {one.wire for one in self.samples}
        return [wire for wire in (WITH, WITHOUT) if wire in measured]

    def _of(self, wire: str, contestant: str) -> Iterator[Sample]:
        return (one for one in self.samples if (one.wire, one.contestant) == (wire, contestant))

    def _by_round(self, wire: str, contestant: str, figure: str) -> dict[int, float]:
        samples: Iterable[Sample] = self._of(wire, contestant)
        return {one.round: one.figures[figure] for one in samples if figure in one.figures}
