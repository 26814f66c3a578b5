"""The IKE header (RFC 7296 §3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from hushwire.wire.errors import TruncatedError, UnsupportedVersionError, WireError
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.registry import ExchangeType
from tests.wire import samples
from tests.wire import strategies as wire

EMPTY = replace(samples.header(ExchangeType.INFORMATIONAL), length=HEADER_OCTETS)


@given(wire.headers, wire.octets)
def test_what_is_built_is_parsed_again(header: Header, body: bytes) -> None:
    header = replace(header, length=HEADER_OCTETS + len(body))
    assert Header.parse(header.build() + body) == header


@pytest.mark.parametrize("length", range(HEADER_OCTETS))
def test_a_part_of_a_header_is_truncated(length: int) -> None:
    with pytest.raises(TruncatedError):
        Header.parse(EMPTY.build()[:length])


@pytest.mark.parametrize("length", [0, HEADER_OCTETS - 1, HEADER_OCTETS + 1, 2**32 - 1])
def test_a_length_that_lies_is_refused(length: int) -> None:
    with pytest.raises(WireError, match="octets"):
        Header.parse(replace(EMPTY, length=length).build())


@pytest.mark.parametrize("major", [3, 15])
def test_a_higher_major_version_is_told_apart(major: int) -> None:
    with pytest.raises(UnsupportedVersionError) as caught:
        Header.parse(replace(EMPTY, major=major).build())
    assert caught.value.major == major


@pytest.mark.parametrize("major", [0, 1])
def test_a_lower_major_version_is_refused(major: int) -> None:
    with pytest.raises(WireError) as caught:
        Header.parse(replace(EMPTY, major=major).build())
    assert not isinstance(caught.value, UnsupportedVersionError)


def test_a_zero_initiator_spi_is_refused() -> None:
    with pytest.raises(WireError, match="SPI is zero"):
        Header.parse(replace(EMPTY, initiator_spi=bytes(8)).build())


def test_reserved_flags_and_the_version_flag_mean_nothing() -> None:
    data = bytearray(EMPTY.build())
    data[19] |= 0b1101_0111
    assert Header.parse(bytes(data)) == EMPTY
