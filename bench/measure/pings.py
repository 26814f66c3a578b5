"""Round trips, by ping."""

from __future__ import annotations

import re

from bench.network import BenchError, Host


def pings(near: Host, target: str, *, count: int, interval: float) -> tuple[float, float]:
    """The 50th and the 99th of a hundred round trips, in microseconds."""
    limit = str(int(count * interval) + 5)
    words = ("ping", "-c", str(count), "-i", f"{interval:g}", "-w", limit, target)
    return percentiles(near.run(*words))


def percentiles(said: str) -> tuple[float, float]:
    """Of what ping has said. Raises `BenchError` without a single answer."""
    times = sorted(float(found) * 1000 for found in re.findall(r"time=([\d.]+) ms", said))
    if not times:
        raise BenchError("no ping was answered")
    return times[len(times) // 2], times[len(times) * 99 // 100]
