"""Tables and ratios of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.book import RECORD
from bench.goals import CPU_OVER_NULL, GOALS, ONE_OVER_WIREGUARD, Goal, ratios
from bench.picture import picture
from bench.record import WITH, WITHOUT, Record, Sample
from bench.table import number, tables


def record() -> Record:
    """Three rounds; the machine was busy with something else in the second."""
    busy = Record(machine={"cpu": "a CPU", "cores": "2", "kernel": "Linux 6", "date": "today"})
    for number_, speed in ((1, 1.0), (2, 0.1), (3, 1.2)):
        for key, gbits in (("native-aes", 10.0), ("wireguard-go", 2.0)):
            figures = {"one_gbits": gbits * speed, "one_cpu_s_per_gb": 10 / gbits}
            busy.samples.append(Sample(number_, WITH, key, figures))
    busy.missing["openvpn"] = "there is no apt-get here"
    return busy


def test_a_ratio_is_of_contestants_in_the_same_round() -> None:
    # Of medians or of sums it could be anything between 0.5 and 60.
    assert record().ratios(WITH, "one_gbits", "native-aes", "wireguard-go") == [5, 5, 5]


def test_a_round_that_one_of_the_two_has_missed_gives_no_ratio() -> None:
    half = record()
    half.samples = [one for one in half.samples if (one.round, one.contestant) != (2, "native-aes")]
    assert half.ratios(WITH, "one_gbits", "native-aes", "wireguard-go") == [5, 5]


def test_wires_are_kept_apart() -> None:
    both = record()
    both.samples.append(Sample(1, WITHOUT, "native-aes", {"one_gbits": 1.0}))
    assert both.values(WITHOUT, "native-aes", "one_gbits") == [1.0]
    assert len(both.values(WITH, "native-aes", "one_gbits")) == 3
    assert [table.title for table in tables(both)] == [
        f"TCP streams, {WITH}",
        f"TCP streams, {WITHOUT}",
    ]


def test_who_cannot_be_had_is_named_with_the_reason() -> None:
    for table in tables(record()):
        (row,) = [row for row in table.rows if row[0].startswith("OpenVPN")]
        assert row[1] == "not here: there is no apt-get here"


def test_who_failed_is_named_with_the_reason() -> None:
    failed = record()
    failed.samples.append(Sample(1, WITH, "strongswan", {}, "in 30 s there was no charon"))
    streams = tables(failed)[0]
    assert ("strongSwan kernel-libipsec, AES-256-GCM", "failed: in 30 s there was no charon") in [
        row[:2] for row in streams.rows
    ]


def test_the_table_has_medians_and_the_spread() -> None:
    streams = tables(record())[0]
    (ours,) = [row for row in streams.rows if row[0] == "hushwire native, AES-256-GCM"]
    assert ours[1:3] == ("10.0 (1.00 to 12.0)", "1.00")


def test_the_table_of_ratios_says_what_is_reached_and_what_was_not_measured() -> None:
    rows = {row[0]: row[1:] for row in ratios(record()).rows}
    assert rows[ONE_OVER_WIREGUARD.title] == (
        "at least 5",
        "5.00 (5.00 to 5.00)",
        "not measured",
        "yes",
    )
    assert rows[CPU_OVER_NULL.title][1:] == ("not measured", "not measured", "")


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal("more", "x", least=5), 5.0, True),
        (Goal("more", "x", least=5), 4.99, False),
        (Goal("less", "x", most=0.2), 0.2, True),
        (Goal("less", "x", most=0.2), 0.21, False),
    ],
)
def test_a_goal_is_reached_on_the_right_side_of_its_bound(
    goal: Goal, value: float, reached: bool
) -> None:
    assert goal.reached(value) is reached


def test_every_goal_has_a_figure_that_is_measured() -> None:
    measured = Record.load(RECORD)
    assert not [goal.title for goal in GOALS if not goal.values(measured)]


def test_a_record_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    first = record()
    first.save(tmp_path / "new" / "bench.json")
    again = Record.load(tmp_path / "new" / "bench.json")
    assert again == first
    assert again.rounds == 3


@pytest.mark.parametrize(
    ("value", "shown"), [(0.123, "0.12"), (9.99, "9.99"), (10.04, "10.0"), (99.96, "100")]
)
def test_numbers_have_three_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_picture_draws_who_was_measured_and_cuts_a_bar_that_is_too_long() -> None:
    wide = record()
    assert "l6 -18" not in picture(wide)
    wide.samples.append(Sample(1, WITH, "veth", {"one_gbits": 40.0}))
    drawn = picture(wide)
    assert "hushwire native, AES-256-GCM" in drawn
    assert "python" not in drawn
    assert "l6 -18" in drawn
