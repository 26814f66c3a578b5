"""ICMP errors about UDP, as other programs build them, and what is not one."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6TimeExceeded, IPv6

from hushwire.wire.errors import WireError
from hushwire.wire.unreachable import parse_unreachable4, parse_unreachable6

QUOTED4 = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=500, dport=4500)
QUOTED6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=500, dport=4500)


@pytest.mark.parametrize(
    ("kind", "code", "meaning"),
    [(3, 0, "network unreachable"), (3, 1, "host unreachable"), (3, 3, "port unreachable"),
     (3, 10, "prohibited"), (3, 13, "prohibited"), (11, 0, "time exceeded")],
)  # fmt: skip
def test_each_error_of_icmp_has_its_meaning(kind: int, code: int, meaning: str) -> None:
    found = parse_unreachable4(bytes(ICMP(type=kind, code=code) / QUOTED4))
    assert found is not None
    assert found == (meaning, ip_address("192.0.2.2"), 500, 4500)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [(ICMPv6DestUnreach(code=0), "network unreachable"),
     (ICMPv6DestUnreach(code=1), "prohibited"),
     (ICMPv6DestUnreach(code=3), "host unreachable"),
     (ICMPv6DestUnreach(code=4), "port unreachable"),
     (ICMPv6TimeExceeded(), "time exceeded")],
)  # fmt: skip
def test_each_error_of_icmpv6_has_its_meaning(error: IPv6, meaning: str) -> None:
    found = parse_unreachable6(bytes(error / QUOTED6))
    assert found == (meaning, ip_address("2001:db8::2"), 500, 4500)


def test_too_big_and_errors_about_tcp_are_something_else() -> None:
    assert parse_unreachable4(bytes(ICMP(type=3, code=4) / QUOTED4)) is None
    about_tcp = IP(src="192.0.2.1", dst="192.0.2.2", proto=6) / b"12345678"
    assert parse_unreachable4(bytes(ICMP(type=3, code=3) / about_tcp)) is None


def test_a_wrong_checksum_or_no_ports_is_malformed() -> None:
    good = bytearray(bytes(ICMP(type=3, code=3) / QUOTED4))
    good[-1] ^= 1
    with pytest.raises(WireError):
        parse_unreachable4(bytes(good))
    cut = IP(src="192.0.2.1", dst="192.0.2.2", proto=17) / b"\1\2"
    with pytest.raises(WireError):
        parse_unreachable4(bytes(ICMP(type=3, code=3) / cut))


@given(st.binary(max_size=120))
def test_any_octets_are_an_error_or_a_wire_error(data: bytes) -> None:
    for parse in (parse_unreachable4, parse_unreachable6):
        for message in (data, b"\3\3" + data, b"\1\4" + data):
            with suppress(WireError):
                parse(message)
