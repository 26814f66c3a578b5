"""`make bench`: who is how fast here, in turn, in one run. A table, and JSON with `--json FILE`.

Every round starts and measures each contestant once, A B C A B C, so that a busy moment of the
machine hits them alike; the table has medians, and the spread of the throughput.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench import contestants
from bench.contestants import Tunnel
from bench.measure import Result, measure
from bench.network import Host, two_hosts

Entrant = Callable[[tuple[Host, Host]], AbstractContextManager[Tunnel]]


def entrants() -> dict[str, Entrant]:
    """All that can be had here; who cannot is named on standard error."""
    found: dict[str, Entrant] = {"plain veth": contestants.plain}
    for engine, cipher in (
        ("native", "aes256gcm16"),
        ("native", "chacha20poly1305"),
        ("python", "aes256gcm16"),
    ):
        found[f"hushwire {engine}, {cipher}"] = partial(
            contestants.hushwire, engine=engine, cipher=cipher
        )
    if program := contestants.wireguard_go_program():
        found["wireguard-go"] = partial(contestants.wireguard_go, program=program)
    else:
        print("wireguard-go is missing: it is neither in PATH nor WIREGUARD_GO", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--no-offloads", action="store_true", help="on the wire between the hosts")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: dict[str, list[Result]] = {}
    for number in range(asked.rounds):
        for name, entrant in entrants().items():
            print(f"round {number + 1}: {name}", file=sys.stderr)
            with two_hosts(offloads=not asked.no_offloads) as hosts, entrant(hosts) as tunnel:
                result = measure(hosts, tunnel, asked.seconds, asked.streams)
            results.setdefault(name, []).append(result)
    print(table(results))
    if asked.json:
        plain = {name: [asdict(one) for one in every] for name, every in results.items()}
        asked.json.write_text(json.dumps(plain, indent=2) + "\n")


def table(results: dict[str, list[Result]]) -> str:
    """Markdown."""
    lines = [
        "| | Gbit/s (min to max) | CPU s/GB | RTT µs p50/p99 | 64 B packets/s | µs CPU each | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, every in results.items():
        middle = {
            key: statistics.median(asdict(one)[key] for one in every) for key in asdict(every[0])
        }
        rates = [one.gbits for one in every]
        lines.append(
            f"| {name} | {middle['gbits']:.2f} ({min(rates):.2f} to {max(rates):.2f}) "
            f"| {middle['cpu_per_gb']:.2f} "
            f"| {middle['rtt_p50_us']:.0f} / {middle['rtt_p99_us']:.0f} "
            f"| {middle['packets_per_second']:.0f} | {middle['cpu_us_per_packet']:.1f} "
            f"| {middle['resident_mb']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
