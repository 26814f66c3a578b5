from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption, IPOption_NOP, IPOption_RR, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN, fragment6
from scapy.packet import Packet, Raw

from hushwire.esp.reassembly import Reassembly
from hushwire.wire.errors import WireError
from hushwire.wire.fragments import cut, parse_fragment

STREAM = IPOption(copy_flag=1, optclass=0, option=8, length=4, value=b"\x12\x34")
FRONTS = {
    "IPv4": IP(src="10.0.1.1", dst="10.0.1.2", id=77),
    "IPv4 with options": IP(
        src="10.0.1.1", dst="10.0.1.2", id=77, options=[IPOption_RR(routers=["0.0.0.0"]), STREAM]
    ),
    "IPv6": IPv6(src="fd00::1", dst="fd00::2"),
    "IPv6 with options": IPv6(src="fd00::1", dst="fd00::2")
    / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]),
}
EVERY = pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)


def datagram(front: Packet, octets: int) -> bytes:
    payload = bytes(n * 7 & 0xFF for n in range(octets))
    return bytes(front / UDP(sport=1, dport=2) / Raw(payload))


@EVERY
@pytest.mark.parametrize("most", [100, 576, 1280, 1499])
def test_what_is_cut_becomes_whole_again_in_any_order(front: Packet, most: int) -> None:
    packet = datagram(front, 4000)
    pieces = cut(packet, most, 0xABCD1234)
    assert max(map(len, pieces)) <= most
    random.Random(most).shuffle(pieces)
    reassembly = Reassembly()
    results = [reassembly.add(piece, 0.0) for piece in pieces]
    assert [result for result in results[:-1] if result] == []
    whole = results[-1]
    assert whole is not None
    assert whole.packet == packet
    assert whole.largest == max(map(len, pieces))
    assert whole.identification == (77 if packet[0] >> 4 == 4 else 0xABCD1234)
    assert len(reassembly) == 0


@pytest.mark.parametrize("name", ["IPv4", "IPv6"])
def test_scapy_makes_the_same_fragments(name: str) -> None:
    packet = datagram(FRONTS[name], 3000)
    if name == "IPv4":
        theirs = fragment(IP(packet), fragsize=1400 // 8 * 8)
        most = 20 + 1400 // 8 * 8
    else:
        with_header = IPv6(packet)
        with_header.payload = IPv6ExtHdrFragment(id=9, nh=17) / with_header.payload
        with_header.nh, with_header.plen = 44, None
        theirs, most = fragment6(with_header, 1300), 1300
    assert cut(packet, most, 9) == [bytes(part) for part in theirs]


def test_an_option_stands_in_later_fragments_only_if_it_is_to_be_copied() -> None:
    first, *later = cut(datagram(FRONTS["IPv4 with options"], 2000), 1000, 1)
    assert [str(option.option) for option in IP(first).options[:2]] == ["7", "8"]
    for piece in later:
        assert [option.option for option in IP(piece).options] == [8]
        assert IP(piece).ihl == 6


def test_linux_would_give_each_fragment_another_identification_in_place_of_zero() -> None:
    zero = IP(id=0) / Raw(bytes(2000))
    for given_id, used in ((0, 1), (0x50000, 1), (0x12345, 0x2345)):
        assert {IP(piece).id for piece in cut(bytes(zero), 1000, given_id)} == {used}


@EVERY
def test_what_fits_stays_as_it_is(front: Packet) -> None:
    packet = datagram(front, 100)
    assert cut(packet, len(packet), 1) == [packet]
    assert parse_fragment(packet) is None


@EVERY
def test_a_size_that_no_fragment_can_have_is_refused(front: Packet) -> None:
    with pytest.raises(WireError):
        cut(datagram(front, 100), 27, 1)


def test_an_option_that_ends_outside_of_its_header_is_refused() -> None:
    packet = bytearray(datagram(IP(options=[IPOption_NOP()] * 4), 100))
    packet[20:22] = b"\x88\x40"
    with pytest.raises(WireError):
        cut(bytes(packet), 80, 1)


def test_a_fragment_that_cannot_be_one_is_refused() -> None:
    v6 = IPv6() / IPv6ExtHdrFragment(nh=17, m=1)
    for packet in (
        IP(flags="MF") / Raw(bytes(7)),
        IP(frag=8191) / Raw(bytes(100)),
        v6 / Raw(bytes(9)),
        IPv6(nh=44) / Raw(bytes(7)),
    ):
        with pytest.raises(WireError):
            parse_fragment(bytes(packet))


def test_an_ipv6_datagram_in_one_fragment_loses_its_fragment_header() -> None:
    packet = datagram(FRONTS["IPv6"], 50)
    atomic = IPv6(packet)
    atomic.payload = IPv6ExtHdrFragment(id=5, nh=17) / atomic.payload
    atomic.nh, atomic.plen = 44, None
    whole = Reassembly().add(bytes(atomic), 0.0)
    assert whole is not None
    assert whole.packet == packet


@given(st.binary(max_size=200), st.sampled_from([4, 6]))
def test_any_octets_are_a_fragment_or_not_or_refused(octets: bytes, version: int) -> None:
    octets = bytes([version << 4 | 5]) + octets
    try:
        parse_fragment(octets)
    except WireError:
        return
