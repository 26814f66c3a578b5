"""Framing in a TCP stream (RFC 9329 §3)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.wire.errors import WireError
from hushwire.wire.natt import KEEPALIVE, NON_ESP_MARKER
from hushwire.wire.tcpencap import LARGEST_MESSAGE, STREAM_PREFIX, FrameReader, build_frame

MESSAGES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def read(*pieces: bytes) -> list[bytes]:
    reader = FrameReader()
    return [message for piece in pieces for message in reader.feed(piece)]


def test_the_frames_of_the_rfc() -> None:
    assert STREAM_PREFIX.hex() == "494b45544350"
    assert build_frame(KEEPALIVE).hex() == "0003ff"
    assert build_frame(NON_ESP_MARKER + b"IKE").hex() == "000900000000" + b"IKE".hex()
    assert build_frame(b"\0\0\1\0ESP").hex() == "000900000100" + b"ESP".hex()


@given(messages=MESSAGES, data=st.data())
def test_any_split_of_the_stream_gives_the_same_messages(
    messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(build_frame, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == read(*(bytes([octet]) for octet in stream)) == messages


@given(messages=MESSAGES, rest=st.binary(min_size=1, max_size=100))
def test_half_a_frame_waits_for_its_other_half(messages: list[bytes], rest: bytes) -> None:
    reader = FrameReader()
    frame = build_frame(rest)
    stream = b"".join(map(build_frame, messages))
    assert list(reader.feed(stream + frame[:-1])) == messages
    assert reader.waiting == len(frame) - 1
    assert list(reader.feed(frame[-1:])) == [rest]
    assert reader.waiting == 0


@pytest.mark.parametrize("length", [0, 1])
def test_a_length_that_does_not_count_itself_ends_the_stream(length: int) -> None:
    reader = FrameReader()
    bad = length.to_bytes(2, "big")
    messages = reader.feed(build_frame(b"before") + bad + build_frame(b"behind"))
    assert next(messages) == b"before"
    for again in (messages, reader.feed(build_frame(b"later"))):
        with pytest.raises(WireError, match=f"length {length}"):
            next(again)


def test_empty_messages_are_passed_over() -> None:
    assert read(b"\0\2" * 3 + build_frame(b"x") + b"\0\2") == [b"x"]


def test_the_largest_message_fits_and_one_octet_more_is_refused() -> None:
    largest = b"x" * LARGEST_MESSAGE
    assert read(build_frame(largest) * 2) == [largest] * 2
    with pytest.raises(ValueError, match="65534 octets do not fit"):
        build_frame(largest + b"x")


@given(st.binary(max_size=500))
def test_whatever_comes_is_read_or_refused_and_what_is_held_is_bounded(octets: bytes) -> None:
    reader = FrameReader()
    taken = 0
    try:
        for message in reader.feed(octets):
            taken += 2 + len(message)
    except WireError:
        return
    assert taken + reader.waiting <= len(octets)
    assert reader.waiting < 2 or reader.waiting < int.from_bytes(octets[-reader.waiting :][:2])
