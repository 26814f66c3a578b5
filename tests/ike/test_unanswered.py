"""When packets that get no answer are a reason to ask, and how often."""

from __future__ import annotations

import itertools

from hushwire.ike.unanswered import FIRST_SECONDS, Unanswered

LONGEST = 20.0
_STEP_SECONDS = 0.5


def asked(out: list[int], came: list[int]) -> list[float]:
    """At which seconds it asks, when the counters are told each half second."""
    it, times = Unanswered(), []
    for step, (sent, received) in enumerate(zip(out, came, strict=True)):
        if it.carried(sent, received, step * _STEP_SECONDS, LONGEST):
            times.append(step * _STEP_SECONDS)
    return times


def test_a_conversation_that_turns_silent_is_asked_about_after_a_second() -> None:
    out = list(range(40))
    came = [min(sent, 20) for sent in out]
    assert asked(out, came)[0] == 10.5 + FIRST_SECONDS


def test_who_sends_nothing_has_nothing_to_ask() -> None:
    assert asked([7] * 200, [7] * 200) == []


def test_one_packet_that_gets_no_answer_is_enough() -> None:
    assert asked([5] * 10 + [6] * 20, [5] * 30) == [5.0 + FIRST_SECONDS]


def test_an_answer_within_the_second_is_an_answer() -> None:
    out = list(range(100))
    came = [step - step % 3 for step in out]
    assert asked(out, came) == []


def test_what_goes_one_way_only_is_asked_about_ever_more_seldom() -> None:
    times = asked(list(range(1, 400)), [0] * 399)
    between = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert between == sorted(between)
    assert between[0] == 2 + _STEP_SECONDS
    assert between[-1] == LONGEST + _STEP_SECONDS


def test_an_answer_makes_it_attentive_again() -> None:
    out = list(range(1, 202))
    came = [0] * 100 + [1] * 101
    assert next(time for time in asked(out, came) if time >= 50) == 50.5 + FIRST_SECONDS


def test_counters_that_fall_because_an_sa_has_gone_say_nothing() -> None:
    assert asked([9, 9, 2, 2, 2, 2, 2], [9, 9, 2, 2, 2, 2, 2]) == []
