"""Messages that wait: in order, bounded, and not for ever."""

from __future__ import annotations

from hushwire.classroom.frames import Frame, Part
from hushwire.classroom.held import (
    KNOCK_SECONDS,
    MOST_FRAMES,
    MOST_OCTETS,
    PATIENCE_SECONDS,
    Held,
    Pair,
    count,
)

BOB = Pair(bytes(16), b"\1" * 16)
EVE = Pair(bytes(16), b"\2" * 16)


def frame(text: bytes, part: Part = Part.WHOLE) -> Frame:
    return Frame(text, 14, 34, 12345, 12345, part)


def test_what_is_held_comes_back_in_order_and_once() -> None:
    held = Held()
    frames = [frame(bytes([number])) for number in range(5)]
    for one in frames:
        assert held.add(BOB, one, offered=True, now=0)
    held.add(EVE, frame(b"another"), offered=True, now=0)
    assert held.take(BOB) == frames
    assert held.take(BOB) == []
    assert held.pairs() == [EVE]
    assert held.messages == 1


def test_there_is_room_for_so_many_frames_and_octets() -> None:
    held = Held()
    for _ in range(MOST_FRAMES):
        assert held.add(BOB, frame(b"x"), offered=True, now=0)
    assert not held.add(EVE, frame(b"x"), offered=True, now=0)
    held.take(BOB)
    assert held.add(EVE, frame(bytes(MOST_OCTETS)), offered=True, now=0)
    assert not held.add(EVE, frame(b"x"), offered=True, now=0)
    held.expire(PATIENCE_SECONDS)
    assert held.add(EVE, frame(b"x"), offered=True, now=0)


def test_a_peer_is_asked_again_and_again_until_all_has_expired() -> None:
    held = Held()
    assert held.next_time() is None
    held.add(BOB, frame(b"x"), offered=True, now=0)
    assert held.next_time() == KNOCK_SECONDS
    assert held.knocks(0) == {}
    assert held.knocks(KNOCK_SECONDS) == {BOB: frame(b"x")}
    assert held.knocks(KNOCK_SECONDS) == {}
    assert held.knocks(2 * KNOCK_SECONDS) == {BOB: frame(b"x")}
    assert held.expire(PATIENCE_SECONDS) == {BOB: [frame(b"x")]}
    assert held.knocks(PATIENCE_SECONDS) == {}
    assert held.next_time() is None


def test_where_no_offer_could_be_made_of_the_frame_the_first_knock_is_at_once() -> None:
    held = Held()
    held.add(BOB, frame(b"first", Part.FIRST), offered=False, now=3)
    held.add(BOB, frame(b"later", Part.LATER), offered=False, now=3)
    assert held.next_time() == 3
    assert held.knocks(3) == {BOB: frame(b"first", Part.FIRST)}


def test_each_message_waits_for_its_own_time() -> None:
    held = Held()
    held.add(BOB, frame(b"old"), offered=True, now=0)
    held.add(BOB, frame(b"new"), offered=True, now=1)
    assert held.expire(PATIENCE_SECONDS) == {BOB: [frame(b"old")]}
    assert held.expire(PATIENCE_SECONDS) == {}
    assert held.take(BOB) == [frame(b"new")]


def test_fragments_are_one_message() -> None:
    parts = [frame(b"1", Part.FIRST), frame(b"2", Part.LATER), frame(b"3")]
    assert count(parts) == 2
