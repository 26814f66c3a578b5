"""The ESP header (RFC 4303 §2)."""

from __future__ import annotations

import pytest
from hypothesis import given

from hushwire.wire.errors import TruncatedError
from hushwire.wire.esp import ESP_HEADER_OCTETS, EspHeader, build_header, parse_header
from tests.wire import strategies as wire


def test_the_header_is_spi_then_sequence_number_in_network_byte_order() -> None:
    packet = bytes.fromhex("c0ffee01 00000007") + b"ciphertext"
    assert parse_header(packet) == EspHeader(spi=0xC0FFEE01, sequence=7)


@given(wire.u32, wire.u32, wire.octets)
def test_what_is_built_is_parsed_again(spi: int, sequence: int, rest: bytes) -> None:
    assert parse_header(build_header(spi, sequence) + rest) == (spi, sequence)


@pytest.mark.parametrize("length", range(ESP_HEADER_OCTETS))
def test_a_packet_shorter_than_its_header_is_truncated(length: int) -> None:
    with pytest.raises(TruncatedError):
        parse_header(build_header(1, 1)[:length])
