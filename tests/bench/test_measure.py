"""What iperf3 and ping have really said, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.measure.pings import percentiles
from bench.measure.streams import received
from bench.network import BenchError

RECORDED = Path(__file__).parent / "recorded"


def answer(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / name).read_text())  # type: ignore[no-any-return]


def test_what_arrived_counts_and_not_what_was_sent() -> None:
    said = answer("iperf3-one.json")
    gbits, gigabytes = received(said)
    assert gbits == said["end"]["sum_received"]["bits_per_second"] / 1e9
    assert gigabytes == said["end"]["sum_received"]["bytes"] / 1e9


def test_of_both_ways_the_sum_counts() -> None:
    gbits, gigabytes = received(answer("iperf3-both.json"))
    assert gbits == pytest.approx((4836956913.261862 + 3689975034.66313) / 1e9)
    assert gigabytes == pytest.approx((613548032 + 468058112) / 1e9)


def test_an_error_of_iperf3_is_one_here() -> None:
    with pytest.raises(BenchError, match="Connection refused"):
        received(answer("iperf3-refused.json"))


def test_percentiles_of_round_trips_are_in_microseconds() -> None:
    assert percentiles((RECORDED / "ping.txt").read_text()) == (55, 62)


def test_without_an_answer_there_are_no_percentiles() -> None:
    with pytest.raises(BenchError, match="no ping was answered"):
        percentiles("10 packets transmitted, 0 received, 100% packet loss")
