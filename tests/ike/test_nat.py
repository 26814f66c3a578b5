"""NAT detection (RFC 7296 §2.23): what two hosts see through every kind of NAT."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address

import pytest

from hushwire.ike.nat import NatView, announce, detect
from hushwire.sa.association import Address, Encap, Path
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

SPI_I, SPI_R = b"initiatr", bytes(8)
ALICE, BOB = Address(ip_address("10.0.0.1"), 500), Address(ip_address("2001:db8::2"), 500)
OUTSIDE = Address(ip_address("203.0.113.7"), 41234)
SOURCE, DESTINATION = NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP


def digest(address: Address) -> bytes:
    return hashlib.sha1(
        SPI_I + SPI_R + address.ip.packed + address.port.to_bytes(2, "big")
    ).digest()


def test_the_hashes_are_those_of_the_rfc() -> None:
    assert announce(SPI_I, SPI_R, Path(ALICE, BOB), Encap.AUTO) == (
        Notify(SOURCE, digest(ALICE)),
        Notify(DESTINATION, digest(BOB)),
    )


@pytest.mark.parametrize(
    ("seen_source", "seen_destination", "view"),
    [
        (ALICE, BOB, NatView(True)),
        (OUTSIDE, BOB, NatView(True, peer_is_behind=True)),
        (ALICE, OUTSIDE, NatView(True, we_are_behind=True)),
        (OUTSIDE, ALICE, NatView(True, we_are_behind=True, peer_is_behind=True)),
        (ALICE._replace(port=1024), BOB, NatView(True, peer_is_behind=True)),
    ],
)
def test_each_side_behind_a_nat_is_seen(
    seen_source: Address, seen_destination: Address, view: NatView
) -> None:
    told = announce(SPI_I, SPI_R, Path(ALICE, BOB), Encap.AUTO)
    found = detect(told, SPI_I, SPI_R, Path(local=seen_destination, remote=seen_source))
    assert found == view
    assert found.found == (view.we_are_behind or view.peer_is_behind)
    assert bool(found.describe()) == found.found


def test_one_of_several_source_hashes_is_enough() -> None:
    told = (
        Notify(SOURCE, digest(OUTSIDE)),
        Notify(SOURCE, digest(ALICE)),
        Notify(DESTINATION, digest(BOB)),
    )
    assert detect(told, SPI_I, SPI_R, Path(BOB, ALICE)) == NatView(True)


@pytest.mark.parametrize("data", [b"", bytes(19), bytes(20), bytes(21), bytes(1000)])
def test_a_hash_of_any_length_is_compared_and_does_not_match(data: bytes) -> None:
    told = (Notify(SOURCE, data), Notify(DESTINATION, data))
    assert detect(told, SPI_I, SPI_R, Path(BOB, ALICE)) == NatView(True, True, True)


@pytest.mark.parametrize("told", [(), (Notify(SOURCE, digest(ALICE)),)])
def test_without_both_hashes_nothing_is_detected(told: tuple[Notify, ...]) -> None:
    assert detect(told, SPI_I, SPI_R, Path(BOB, OUTSIDE)) == NatView(supported=False)


def test_who_wants_esp_announces_nothing() -> None:
    assert announce(SPI_I, SPI_R, Path(ALICE, BOB), Encap.ESP) == ()


def test_who_wants_udp_looks_as_if_behind_a_nat() -> None:
    told = announce(SPI_I, SPI_R, Path(ALICE, BOB), Encap.UDP)
    assert detect(told, SPI_I, SPI_R, Path(BOB, ALICE)) == NatView(True, peer_is_behind=True)


def test_other_spis_make_other_hashes() -> None:
    told = announce(SPI_I, SPI_R, Path(ALICE, BOB), Encap.AUTO)
    assert detect(told, SPI_I, b"respondr", Path(BOB, ALICE)) == NatView(True, True, True)
