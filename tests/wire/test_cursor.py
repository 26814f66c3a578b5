"""The bounded reader never gives more than there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hushwire.wire.cursor import Reader
from hushwire.wire.errors import TruncatedError, WireError


def test_reads_forward_in_network_byte_order() -> None:
    reader = Reader(bytes(range(1, 20)), "thing")
    assert reader.u8() == 0x01
    assert reader.u16() == 0x0203
    assert reader.u32() == 0x04050607
    assert reader.u64() == 0x08090A0B0C0D0E0F
    reader.skip(1)
    assert (reader.offset, reader.remaining) == (16, 3)
    assert reader.take(2) == b"\x11\x12"
    assert reader.rest() == b"\x13"
    assert reader.rest() == b""
    reader.expect_end()


@pytest.mark.parametrize(
    "read",
    [Reader.u8, Reader.u16, Reader.u32, Reader.u64, lambda r: r.take(1), lambda r: r.skip(1)],
)
def test_reading_past_the_end_is_truncation(read: Callable[[Reader], object]) -> None:
    with pytest.raises(TruncatedError, match="thing"):
        read(Reader(b"", "thing"))


def test_a_failed_read_takes_nothing() -> None:
    reader = Reader(b"abc", "thing")
    with pytest.raises(TruncatedError):
        reader.u32()
    assert reader.rest() == b"abc"


def test_a_negative_count_is_refused() -> None:
    reader = Reader(b"abc", "thing")
    reader.skip(2)
    with pytest.raises(TruncatedError):
        reader.take(-1)


def test_octets_left_over_are_an_error() -> None:
    with pytest.raises(WireError, match="2 octets too many"):
        Reader(b"ab", "thing").expect_end()
