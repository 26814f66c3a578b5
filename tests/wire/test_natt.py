"""What arrives on UDP port 4500 (RFC 3948 §2)."""

from __future__ import annotations

import pytest

from hushwire.wire.natt import KEEPALIVE, NON_ESP_MARKER, Datagram, classify
from tests.wire import samples


@pytest.mark.parametrize("message", samples.MESSAGES)
def test_a_message_behind_the_marker_is_ike(message: bytes) -> None:
    assert classify(NON_ESP_MARKER + message) is Datagram.IKE


def test_one_octet_of_ff_is_a_keepalive() -> None:
    assert classify(KEEPALIVE) is Datagram.KEEPALIVE


@pytest.mark.parametrize("start", ["00000001", "00000100", "01000000", "ffffffff"])
def test_a_datagram_that_begins_with_an_spi_is_esp(start: str) -> None:
    assert classify(bytes.fromhex(start)) is Datagram.ESP
    assert classify(bytes.fromhex(start) + bytes(40)) is Datagram.ESP


@pytest.mark.parametrize(
    "datagram", [b"", b"\x00", b"\xfe", b"\xff\xff", b"\xff\xff\xff", bytes(3)]
)
def test_what_is_too_short_is_nothing(datagram: bytes) -> None:
    assert classify(datagram) is None


def test_the_marker_alone_is_ike_for_the_message_parser_to_refuse() -> None:
    assert classify(NON_ESP_MARKER) is Datagram.IKE
