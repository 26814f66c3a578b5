"""“Too big” errors, made and read, held against scapy."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.packet import Packet, Raw

from hushwire.wire.errors import WireError
from hushwire.wire.icmp import build_too_big, may_fragment, parse_too_big4, parse_too_big6
from hushwire.wire.registry import IpProtocol

V4 = IP(src="10.0.1.1", dst="10.0.1.2", flags="DF", id=7)
V6 = IPv6(src="fd00::1", dst="fd00::2")


@given(mtu=st.integers(68, 65535), size=st.integers(0, 3000))
def test_ipv4_senders_get_the_error_that_scapy_would_make(mtu: int, size: int) -> None:
    packet = bytes(V4 / UDP(sport=1, dport=2) / Raw(b"x" * size))
    error = build_too_big(packet, mtu)
    again = IP(src="10.0.1.2", dst="10.0.1.1", flags="DF", id=0, ttl=64) / ICMP(
        type=3, code=4, nexthopmtu=mtu
    )
    assert error == bytes(again / Raw(packet[:548]))
    assert len(error) <= 576


@given(mtu=st.integers(1280, 1 << 32 - 1), size=st.integers(0, 3000))
def test_ipv6_senders_get_the_error_that_scapy_would_make(mtu: int, size: int) -> None:
    packet = bytes(V6 / UDP(sport=1, dport=2) / Raw(b"x" * size))
    error = build_too_big(packet, mtu)
    again = IPv6(src="fd00::2", dst="fd00::1", hlim=64) / ICMPv6PacketTooBig(mtu=mtu)
    assert error == bytes(again / Raw(packet[:1232]))
    assert len(error) <= 1280


@pytest.mark.parametrize(
    "packet",
    [
        V4 / ICMP(type=3, code=1) / Raw(b"x" * 30),
        V4 / ICMP(type=11) / Raw(b"x" * 30),
        V4 / ICMP(type=5) / Raw(b"x" * 30),
        IP(src="10.0.1.1", dst="10.0.1.2", frag=2, flags="DF") / Raw(b"x" * 30),
        IP(src="0.0.0.0", dst="10.0.1.2") / UDP(),
        IP(src="127.0.0.1", dst="10.0.1.2") / UDP(),
        IP(src="10.0.1.1", dst="224.0.0.5") / UDP(),
        IP(src="10.0.1.1", dst="255.255.255.255") / UDP(),
        V6 / ICMPv6DestUnreach() / Raw(b"x" * 30),
        V6 / IPv6ExtHdrDestOpt() / ICMPv6PacketTooBig() / Raw(b"x" * 30),
        V6 / IPv6ExtHdrFragment(m=1) / ICMPv6PacketTooBig() / Raw(b"x" * 30),
        IPv6(src="::", dst="fd00::2") / UDP(),
        IPv6(src="ff02::1", dst="fd00::2") / UDP(),
        IPv6(src="fd00::1", dst="ff02::1") / UDP(),
    ],
    ids=lambda packet: str(packet.summary()),
)
def test_there_is_no_error_about_these(packet: Packet) -> None:
    assert build_too_big(bytes(packet), 1280) is None


@pytest.mark.parametrize(
    "packet",
    [
        V4 / ICMP(type=8) / Raw(b"x"),
        V4 / ICMP(type=0) / Raw(b"x"),
        V4 / TCP(),
        V6 / ICMPv6EchoRequest(),
        V6 / IPv6ExtHdrDestOpt() / TCP(),
        V6 / IPv6ExtHdrFragment(offset=5) / Raw(b"\1" * 9),
    ],
    ids=lambda packet: str(packet.summary()),
)
def test_there_is_one_about_these(packet: Packet) -> None:
    assert build_too_big(bytes(packet), 1280) is not None


def test_only_ipv4_without_df_may_be_fragmented() -> None:
    assert may_fragment(bytes(IP() / UDP()))
    assert may_fragment(bytes(IP(flags="MF") / UDP()))
    assert not may_fragment(bytes(V4 / UDP()))
    assert not may_fragment(bytes(V6 / UDP()))


def test_an_ipv4_error_is_read() -> None:
    quoted = IP(src="192.0.2.1", dst="192.0.2.2", proto=50, flags="DF") / Raw(b"spi!sequence")
    error = parse_too_big4(bytes(ICMP(type=3, code=4, nexthopmtu=1400) / quoted))
    assert error is not None
    assert (error.mtu, error.protocol, error.payload) == (1400, IpProtocol.ESP, b"spi!sequence")
    assert (error.source, error.destination) == (ip_address("192.0.2.1"), ip_address("192.0.2.2"))


@pytest.mark.parametrize("fragmented", [False, True])
def test_an_ipv6_error_is_read(fragmented: bool) -> None:
    quoted = IPv6(src="fd00::1", dst="fd00::2", nh=50) / Raw(b"spi!sequence")
    if fragmented:
        head = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(m=1, nh=50)
        quoted = head / Raw(b"spi!sequence")
    whole = bytes(IPv6(src="fd00::9", dst="fd00::1") / ICMPv6PacketTooBig(mtu=1300) / quoted)
    error = parse_too_big6(whole[40:])
    assert error is not None
    assert (error.mtu, error.protocol, error.payload) == (1300, IpProtocol.ESP, b"spi!sequence")
    assert (error.source, error.destination) == (ip_address("fd00::1"), ip_address("fd00::2"))


def test_a_later_fragment_in_the_quote_says_nothing() -> None:
    quoted = IP(src="192.0.2.1", dst="192.0.2.2", proto=50, frag=9) / Raw(b"spi!sequence")
    error = parse_too_big4(bytes(ICMP(type=3, code=4, nexthopmtu=1400) / quoted))
    assert error is not None
    assert error.payload == b""


def test_other_messages_are_none_and_broken_ones_are_refused() -> None:
    assert parse_too_big4(bytes(ICMP(type=3, code=1) / IP())) is None
    assert parse_too_big4(bytes(ICMP(type=8) / Raw(b"x" * 30))) is None
    assert parse_too_big6(bytes(ICMPv6EchoRequest())) is None
    good = bytes(ICMP(type=3, code=4, nexthopmtu=1400) / IP() / UDP())
    for bad in (good[:7], good[:20], good[:6] + b"\0\0" + good[8:], good + b"x"):
        with pytest.raises(WireError):
            parse_too_big4(bad)
    for bad in (b"\2\0\0\0", b"\2" + bytes(30), b"\2" + bytes(7) + b"\x40" + bytes(50)):
        with pytest.raises(WireError):
            parse_too_big6(bad)


@given(st.binary(max_size=120))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for parse, head in ((parse_too_big4, b"\3\4"), (parse_too_big6, b"\2\0")):
        with contextlib.suppress(WireError):
            parse(head + data)
