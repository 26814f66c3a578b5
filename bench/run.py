"""`make bench`: who is how fast here, in turn, in one run.

Every round starts and measures each contestant once, A B C A B C, so that a busy moment of the
machine hits them alike. All that was measured goes into a JSON file after each of them, and
`--append` goes on with the rounds that are in it; the table, the picture and what docs/ say are
made of that file (bench/show.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.entrants import ENTRANTS, Entrant
from bench.machine import machine
from bench.measure.datagrams import datagrams
from bench.measure.pings import pings
from bench.measure.streams import both_ways, eight_streams, one_stream, server
from bench.network import BenchError, Hosts, become_root_inside, two_hosts
from bench.record import WITH, WITHOUT, Record, Sample
from bench.show import show
from bench.tunnels.base import Tunnel
from bench.usage import resident_octets

_WIRES = {"with": WITH, "without": WITHOUT}
Measurement = Callable[[Hosts, Tunnel, float], dict[str, float]]
_THROUGH: dict[str, Measurement] = {
    "one": one_stream,
    "eight": eight_streams,
    "both": both_ways,
    "small": datagrams,
}
_CONNECT = "connect"


@dataclass(frozen=True)
class Step:
    """One contestant on one wire in one round."""

    round: int
    wire: str
    entrant: Entrant


def steps(first: int, rounds: int, wires: Sequence[str], entrants: Sequence[Entrant]) -> list[Step]:
    """In the order in which they are done."""
    numbers = range(first, first + rounds)
    return [Step(number, wire, one) for number in numbers for wire in wires for one in entrants]


def measure(step: Step, seconds: int, wanted: Sequence[str]) -> Sample:
    """All of one step; what was measured before something failed counts."""
    figures: dict[str, float] = {}
    failure = ""
    try:
        if _CONNECT in wanted and step.wire == WITH:
            for connecting in step.entrant.connecting:
                with two_hosts() as hosts:
                    figures |= connecting(hosts)
        if through := [_THROUGH[name] for name in wanted if name != _CONNECT]:
            _measure_through(step, seconds, through, figures)
    except (BenchError, OSError, ValueError) as error:
        failure = str(error)
    digits = {name: float(f"{value:.5g}") for name, value in figures.items()}
    return Sample(step.round, step.wire, step.entrant.key, digits, failure)


def _measure_through(
    step: Step, seconds: int, through: Sequence[Measurement], figures: dict[str, float]
) -> None:
    """A tunnel, made, measured and gone; round trips before anything has loaded it."""
    with (
        two_hosts(offloads=step.wire == WITH) as hosts,
        step.entrant.make(hosts) as tunnel,
        server(hosts[1]),
    ):
        middle, late = pings(hosts[0], tunnel.target, count=100, interval=0.005)
        figures |= {"rtt_p50_us": middle, "rtt_p99_us": late}
        for measurement in through:
            figures |= measurement(hosts, tunnel, seconds)
        figures["resident_mb"] = resident_octets(tunnel.pids) / 1e6


def with_progress(plan: Sequence[Step]) -> Iterator[Step]:
    """Each step, told on standard error with the time that is left."""
    begun = time.monotonic()
    for done, step in enumerate(plan):
        left = ""
        if done:
            seconds = (time.monotonic() - begun) / done * (len(plan) - done)
            left = f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
        print(
            f"[{done + 1}/{len(plan)}] round {step.round}, {step.wire}: {step.entrant.title}{left}",
            file=sys.stderr,
            flush=True,
        )
        yield step


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    keys = [one.key for one in ENTRANTS]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=keys, default=keys)
    parser.add_argument("--wire", nargs="+", choices=_WIRES, default=list(_WIRES))
    every = [*_THROUGH, _CONNECT]
    parser.add_argument("--measure", nargs="+", choices=every, default=every)
    parser.add_argument("--append", action="store_true", help="to the rounds of the JSON file")
    parser.add_argument("--json", type=Path, default=Path("build/bench/bench.json"))
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    become_root_inside()
    record = Record.load(asked.json) if asked.append and asked.json.exists() else Record()
    record.machine = machine()
    ready = []
    for entrant in ENTRANTS:
        if entrant.key not in asked.only:
            continue
        if why := entrant.missing():
            record.missing[entrant.key] = why
            continue
        record.missing.pop(entrant.key, None)
        record.versions[entrant.key] = entrant.version()
        ready.append(entrant)
    wires = [_WIRES[one] for one in asked.wire]
    for step in with_progress(steps(record.rounds + 1, asked.rounds, wires, ready)):
        sample = measure(step, asked.seconds, asked.measure)
        if sample.failure:
            print(f"  {step.entrant.title}: {sample.failure}", file=sys.stderr)
        record.samples.append(sample)
        record.save(asked.json)
    show(record, asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
