"""TCP by iperf3: one stream, several, or both directions at once; and pings meanwhile."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.measure.pings import pings
from bench.network import BenchError, Host, Hosts
from bench.tunnels.base import Tunnel
from bench.usage import cpu_seconds

_PORT = "5201"
Figures = dict[str, float]


@contextmanager
def server(far: Host) -> Generator[None]:
    """iperf3's, for all measurements of one tunnel."""
    with far.running("iperf3", "-s", "-p", _PORT, "--forceflush") as program:
        while "listening" not in program.line():
            pass
        yield


def one_stream(hosts: Hosts, tunnel: Tunnel, seconds: float) -> Figures:
    """And round trips under this load."""
    figures, (middle, late) = _run(hosts, tunnel, seconds, ())
    return {**_named("one", figures), "loaded_p50_us": middle, "loaded_p99_us": late}


def eight_streams(hosts: Hosts, tunnel: Tunnel, seconds: float) -> Figures:
    return _named("eight", _run(hosts, tunnel, seconds, ("-P", "8"))[0])


def both_ways(hosts: Hosts, tunnel: Tunnel, seconds: float) -> Figures:
    """One stream each way; the rate is that of both together."""
    return _named("both", _run(hosts, tunnel, seconds, ("--bidir",))[0])


def _named(name: str, figures: tuple[float, float]) -> Figures:
    return {f"{name}_gbits": figures[0], f"{name}_cpu_s_per_gb": figures[1]}


def _run(
    hosts: Hosts, tunnel: Tunnel, seconds: float, options: Sequence[str]
) -> tuple[tuple[float, float], tuple[float, float]]:
    before = cpu_seconds(tunnel.pids)
    command = ("iperf3", "-c", tunnel.target, "-p", _PORT, "-J", "-t", f"{seconds:g}")
    with hosts[0].running(*command, *options) as client:
        times = pings(hosts[0], tunnel.target, count=int(seconds * 80), interval=0.01)
        said = client.rest(seconds + 60)
    spent = cpu_seconds(tunnel.pids) - before
    gbits, gigabytes = received(json.loads(said))
    return (gbits, spent / gigabytes), times


def received(answer: dict[str, Any]) -> tuple[float, float]:
    """Gbit/s and gigabytes of payload that arrived. Raises `BenchError`."""
    if "error" in answer:
        raise BenchError(f"iperf3: {answer['error']}")
    ways = [answer["end"]["sum_received"], answer["end"].get("sum_received_bidir_reverse")]
    rates = sum(way["bits_per_second"] for way in ways if way) / 1e9
    octets = sum(way["bytes"] for way in ways if way) / 1e9
    if not octets:
        raise BenchError("iperf3: nothing arrived")
    return rates, octets
