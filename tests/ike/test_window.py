"""Message IDs, retransmission times and the cached response (RFC 7296 §2.1 to §2.3)."""

from __future__ import annotations

import pytest

from hushwire.ike.inputs import Patience
from hushwire.ike.window import Arrival, Window


def window() -> Window:
    return Window(Patience(first=1.0, factor=2.0, tries=3))


def test_requests_count_from_zero_and_only_the_one_in_flight_is_awaited() -> None:
    sender = window()
    for number in range(3):
        assert sender.next_id == number
        assert not sender.busy
        assert not sender.awaits(number)
        sender.sending((b"request",), 0.0)
        assert sender.busy
        assert [sender.awaits(n) for n in range(4)] == [n == number for n in range(4)]
        sender.answered()
    assert sender.deadline is None
    assert sender.sent == 0


def test_a_request_is_repeated_at_growing_intervals_and_then_given_up() -> None:
    sender = window()
    sender.sending((b"request",), 10.0)
    assert (sender.deadline, sender.sent) == (11.0, 1)
    assert sender.again(11.0) == (b"request",)
    assert (sender.deadline, sender.sent) == (13.0, 2)
    assert sender.again(13.5) == (b"request",)  # the clock may be late
    assert (sender.deadline, sender.sent) == (17.5, 3)
    assert sender.waited(17.5) == 7.5
    assert sender.again(17.5) == ()


def test_nothing_is_repeated_when_nothing_is_in_flight() -> None:
    sender = window()
    assert sender.again(0.0) == ()
    assert sender.waited(5.0) == 0.0


def test_ike_sa_init_begins_again_with_message_id_zero() -> None:
    sender = window()
    sender.sending((b"without cookie",), 0.0)
    sender.restart()
    assert sender.next_id == 0
    sender.sending((b"with cookie",), 3.0)
    assert sender.awaits(0)
    assert sender.again(4.0) == (b"with cookie",)
    assert sender.waited(4.0) == 1.0


def test_the_peers_requests_count_from_zero() -> None:
    receiver = window()
    for number in range(3):
        assert receiver.arrival(number, b"request") is Arrival.NEW
        assert receiver.arrival(number + 1, b"request") is Arrival.OUTSIDE
        receiver.answering(b"request", (b"response %d" % number,))
        assert receiver.arrival(number, b"request") is Arrival.REPEATED
        assert receiver.cached_response == (b"response %d" % number,)
    assert receiver.arrival(1, b"request") is Arrival.OUTSIDE


@pytest.mark.parametrize("other", [b"", b"request ", b"Request", b"reques"])
def test_only_the_same_octets_are_a_repetition(other: bytes) -> None:
    receiver = window()
    receiver.answering(b"request", (b"response",))
    assert receiver.arrival(0, other) is Arrival.RESEALED


@pytest.mark.parametrize("number", [1, 2**31, 2**32 - 1, -1])
def test_other_ids_are_outside_before_the_first_request(number: int) -> None:
    assert window().arrival(number, b"") is Arrival.OUTSIDE


def test_both_directions_count_apart() -> None:
    both = window()
    both.sending((b"ours",), 0.0)
    assert both.arrival(0, b"theirs") is Arrival.NEW
    both.answering(b"theirs", (b"our response",))
    assert both.awaits(0)
    assert both.next_id == 1


def test_the_total_is_what_the_waits_add_up_to() -> None:
    patience = Patience(first=0.25, factor=3.0, tries=4)
    assert [patience.wait(sent) for sent in (1, 2, 3, 4)] == [0.25, 0.75, 2.25, 6.75]
    assert patience.total == 10.0
