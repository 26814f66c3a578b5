"""The benchmark itself: order, what is asked for, and one second of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.entrants import ENTRANTS
from bench.record import WITH, WITHOUT, Record
from bench.run import steps
from hushwire.lab.world import World


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "bench.run", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def test_contestants_take_turns() -> None:
    first, second = ENTRANTS[:2]
    order = [
        (one.round, one.wire, one.entrant) for one in steps(4, 2, [WITH, WITHOUT], ENTRANTS[:2])
    ]
    assert order == [
        (4, WITH, first),
        (4, WITH, second),
        (4, WITHOUT, first),
        (4, WITHOUT, second),
        (5, WITH, first),
        (5, WITH, second),
        (5, WITHOUT, first),
        (5, WITHOUT, second),
    ]


def test_names_of_contestants_are_their_own() -> None:
    for names in ({one.key for one in ENTRANTS}, {one.title for one in ENTRANTS}):
        assert len(names) == len(ENTRANTS)


def test_a_round_of_the_bare_wire_is_measured_and_the_next_is_added(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    small = ("--only", "veth", "--seconds", "1", "--rounds", "1", "--wire", "with")
    first = bench(*small, "--measure", "one", "small", "--json", str(file))
    assert "round 1, with offloads: plain veth" in first.stderr
    second = bench(*small, "--measure", "one", "--append", "--json", str(file))
    assert "round 2, with offloads: plain veth" in second.stderr
    assert "TCP streams, with offloads" in second.stdout
    record = Record.load(file)
    assert [one.failure for one in record.samples] == ["", ""]
    assert len(record.values(WITH, "veth", "one_gbits")) == 2
    (rate,) = record.values(WITH, "veth", "small_per_s")
    (arrived,) = record.values(WITH, "veth", "small_arrived")
    assert rate > 1000
    assert 0.1 < arrived <= 1
    assert file.with_suffix(".svg").exists()
