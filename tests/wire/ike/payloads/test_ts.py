"""Traffic selector payloads that the round trips do not reach (RFC 7296 §3.13)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from hushwire.wire.errors import WireError
from hushwire.wire.ike.payloads.ts import (
    TrafficSelector,
    TrafficSelectors,
    TsInitiator,
    TsResponder,
)

ONE = "07 06 0010 0050 0051 0a000101 0a000109"
FIBRE_CHANNEL = "09 00 0018 " + "00" * 20


def test_a_selector_by_hand() -> None:
    parsed = TsInitiator.parse(bytes.fromhex("01 000000" + ONE))
    selector = TrafficSelector(ip_address("10.0.1.1"), ip_address("10.0.1.9"), 6, 80, 81)
    assert parsed == TsInitiator((selector,))


def test_the_two_ends_are_never_equal() -> None:
    body = bytes.fromhex("01 000000" + ONE)
    ends: set[TrafficSelectors] = {TsInitiator.parse(body), TsResponder.parse(body)}
    assert len(ends) == 2


def test_selectors_of_unknown_types_are_counted() -> None:
    parsed = TsResponder.parse(bytes.fromhex("03 000000" + FIBRE_CHANNEL + ONE + FIBRE_CHANNEL))
    assert len(parsed.selectors) == 1
    assert parsed.unknown == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("00 000000", "no selector"),
        ("02 000000" + ONE, "expected"),
        ("01 000000" + ONE + ONE, "too many"),
        ("01 000000" + ONE.replace("0010", "0007"), "shorter"),
        ("01 000000" + ONE.replace("0010", "000f"), "expected"),
        ("01 000000" + ONE.replace("0010", "0014") + "00000000", "too many"),
        ("01 000000" + ONE.replace("07 06", "08 06"), "expected"),
        ("01 000000" + ONE.replace("0a000101", "0a00010a"), "not a range"),
        ("01 000000" + ONE.replace("0050 0051", "0051 0050"), "not a range"),
    ],
)
def test_a_payload_that_contradicts_itself_is_refused(body: str, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        TsInitiator.parse(bytes.fromhex(body))


def test_a_range_has_one_address_family() -> None:
    with pytest.raises(WireError, match="families"):
        TrafficSelector(ip_address("10.0.0.1"), ip_address("::1"))
