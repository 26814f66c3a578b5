"""MSS clamping, held against packets that scapy makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet, Raw

from hushwire.esp.mss import clamped

V4 = IP(src="10.0.1.1", dst="10.0.1.2")
V6 = IPv6(src="fd00::1", dst="fd00::2")
HEADERS = {4: 40, 6: 60}
OTHERS = [("NOP", None), ("SAckOK", b""), ("WScale", 7), ("Timestamp", (1, 0))]


def syn(version: int, options: list[tuple[str, Any]], flags: str = "S", port: int = 1) -> bytes:
    return bytes((V4 if version == 4 else V6) / TCP(sport=port, flags=flags, options=options))


def parsed(packet: bytes) -> Packet:
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


@given(
    version=st.sampled_from([4, 6]),
    mss=st.integers(0, 65535),
    largest=st.integers(200, 9000),
    around=st.tuples(
        st.lists(st.sampled_from(OTHERS), max_size=3), st.lists(st.sampled_from(OTHERS), max_size=2)
    ),
    kind=st.tuples(st.sampled_from(["S", "SA", "SEC"]), st.integers(0, 65535)),
)
def test_a_syn_says_at_most_what_fits_and_nothing_else_changes(
    version: int,
    mss: int,
    largest: int,
    around: tuple[list[tuple[str, Any]], list[tuple[str, Any]]],
    kind: tuple[str, int],
) -> None:
    before, after = around
    # An option that begins at an odd octet has its number in two words of the checksum.
    packet = syn(version, [*before, ("MSS", mss), *after], *kind)
    assume(len(packet) <= HEADERS[version] + 40)  # more options a TCP header cannot hold
    got = clamped(packet, largest)
    fits = min(mss, largest - HEADERS[version])
    assert dict(parsed(got)[TCP].options)["MSS"] == fits
    assert got == syn(version, [*before, ("MSS", fits), *after], *kind)


@pytest.mark.parametrize(
    "packet",
    [
        bytes(V4 / TCP(flags="A", options=[("MSS", 1460)])),
        bytes(V4 / TCP(flags="S")),
        bytes(V4 / TCP(flags="S", options=[("EOL", None), ("MSS", 1460)])),
        bytes(V4 / UDP() / Raw(bytes(13) + b"\2" + bytes(20))),
        bytes(IP(src="10.0.1.1", dst="10.0.1.2", frag=3, proto=6) / Raw(b"\2" * 40)),
        bytes(IP(src="10.0.1.1", dst="10.0.1.2", flags="MF") / TCP(options=[("MSS", 1460)])),
        bytes(V6 / IPv6ExtHdrDestOpt() / TCP(flags="S", options=[("MSS", 1460)])),
        bytes(V4 / TCP(flags="S", dataofs=15, options=[("MSS", 1460)])),
        bytes(V4 / TCP(flags="S", dataofs=6) / Raw(b"\2\3\5\xb4")),
        bytes(V4 / TCP(flags="S", dataofs=6) / Raw(b"\x08\0\5\xb4")),
        bytes(V4 / TCP(flags="S", dataofs=6) / Raw(b"\1\1\1\x08")),
        bytes(V4 / TCP(flags="S", dataofs=6) / Raw(b"\1\2\4\xff")),
        bytes(V4 / TCP(flags="S", dataofs=5) / Raw(b"\2\4\5\xb4")),
    ],
)
def test_everything_else_goes_on_as_it_is(packet: bytes) -> None:
    assert clamped(packet, 600) == packet


@given(st.binary(min_size=0, max_size=40))
def test_no_options_however_broken_are_an_error(options: bytes) -> None:
    padded = options + bytes(-len(options) % 4)
    packet = bytes(V4 / TCP(flags="S", dataofs=5 + len(padded) // 4) / Raw(padded))
    got = clamped(packet, 600)
    assert len(got) == len(packet)
    changed = [at for at in range(len(got)) if got[at] != packet[at] and at not in (36, 37)]
    assert len(changed) <= 2


def test_an_absurd_limit_leaves_a_segment_that_carries_something() -> None:
    assert dict(IP(clamped(syn(4, [("MSS", 1460)]), 30))[TCP].options)["MSS"] == 88
