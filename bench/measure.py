"""One measurement through a tunnel that is up."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from bench.contestants import Tunnel
from bench.network import Host

_PORT = "5201"


@dataclass(frozen=True)
class Result:
    """Rates are of payload; `cpu` in seconds for each gigabyte or microseconds for each packet."""

    gbits: float
    cpu_per_gb: float
    rtt_p50_us: float
    rtt_p99_us: float
    packets_per_second: float
    cpu_us_per_packet: float
    resident_mb: float


def measure(hosts: tuple[Host, Host], tunnel: Tunnel, seconds: float, streams: int) -> Result:
    """TCP from the first host to the second, pings, and 64-octet UDP datagrams."""
    near, far = hosts
    server = far.start(["iperf3", "-s", "-p", _PORT, "--forceflush"])
    assert server.stdout is not None
    while "listening" not in server.stdout.readline():
        pass
    try:
        pings = _pings(near, tunnel.target)
        before, _ = tunnel.used()
        tcp = _iperf(near, tunnel.target, "-t", str(seconds), "-P", str(streams))
        between, _ = tunnel.used()
        received = tcp["end"]["sum_received"]
        udp = _iperf(near, tunnel.target, "-u", "-b", "0", "-l", "64", "-t", str(seconds))
        after, resident = tunnel.used()
    finally:
        server.terminate()
        server.communicate()
    packets = udp["end"]["sum"]["packets"] - udp["end"]["sum"]["lost_packets"]
    return Result(
        gbits=received["bits_per_second"] / 1e9,
        cpu_per_gb=(between - before) / (received["bytes"] / 1e9),
        rtt_p50_us=pings[len(pings) // 2],
        rtt_p99_us=pings[len(pings) * 99 // 100],
        packets_per_second=packets / udp["end"]["sum"]["seconds"],
        cpu_us_per_packet=(after - between) / max(packets, 1) * 1e6,
        resident_mb=resident / 1e6,
    )


def _iperf(near: Host, target: str, *options: str) -> dict[str, dict[str, dict[str, float]]]:
    answer = json.loads(near.run("iperf3", "-c", target, "-p", _PORT, "-J", *options))
    if "error" in answer:
        raise RuntimeError(f"iperf3: {answer['error']}")
    return answer  # type: ignore[no-any-return]


def _pings(near: Host, target: str) -> list[float]:
    """Round trips in microseconds, the shortest first."""
    answers = near.run("ping", "-c", "200", "-i", "0.005", target)
    return sorted(float(found) * 1000 for found in re.findall(r"time=([\d.]+) ms", answers))
