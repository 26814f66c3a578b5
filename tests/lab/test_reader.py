from __future__ import annotations

from pathlib import Path

import pytest
from scapy.contrib.ikev2 import IKEv2
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    fragment6,
)
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from hushwire.lab.reader import Frame, Kind, holding, read, since, tally
from hushwire.lab.talk import BOOKMARK_ETHERTYPE
from hushwire.wire.ike.probe import build_probe

V4 = IP(src="192.168.77.1", dst="192.168.77.2")
V6 = IPv6(src="fd00:77::1", dst="fd00:77::2")
IKE_MESSAGE = bytes(IKEv2(init_SPI=b"12345678", next_payload=0, exch_type=34) / Raw(b"x" * 40))
IKE_MESSAGE = IKE_MESSAGE[:24] + len(IKE_MESSAGE).to_bytes(4, "big") + IKE_MESSAGE[28:]
SEALED = ESP(spi=0x1234, seq=1, data=b"s" * 40)


def _read(tmp_path: Path, *packets: Packet) -> list[Frame]:
    file = tmp_path / "eve.pcap"
    wrpcap(str(file), [packet if Ether in packet else Ether() / packet for packet in packets])
    return read(file)


def _natt(payload: bytes) -> Packet:
    return UDP(sport=4500, dport=4500) / Raw(payload)


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (Ether() / ARP(), Kind.ARP),
        (V6 / ICMPv6ND_NS(), Kind.NEIGHBOUR),
        (V6 / ICMPv6ND_RS(), Kind.NEIGHBOUR),
        (V6 / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(), Kind.NEIGHBOUR),
        (V6 / ICMPv6EchoRequest(), Kind.CLEAR),
        (V6 / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(), Kind.CLEAR),
        (V4 / ICMP(), Kind.CLEAR),
        (V4 / TCP(), Kind.CLEAR),
        (V4 / UDP(sport=7000, dport=7000) / Raw(IKE_MESSAGE), Kind.CLEAR),
        (V4 / Raw(b""), Kind.CLEAR),
        (Ether(type=0x88CC) / Raw(b"x" * 50), Kind.CLEAR),
        (V4 / SEALED, Kind.ESP),
        (V6 / SEALED, Kind.ESP),
        (V6 / IPv6ExtHdrHopByHop() / SEALED, Kind.ESP),
        (V4 / _natt(bytes(SEALED)), Kind.ESP),
        (V6 / _natt(bytes(SEALED)), Kind.ESP),
        (V4 / _natt(b"\xff"), Kind.KEEPALIVE),
        (V4 / _natt(b"\xff\xff"), Kind.CLEAR),
        (V4 / _natt(b""), Kind.CLEAR),
        (V4 / _natt(bytes(4) + IKE_MESSAGE), Kind.IKE),
        (V6 / _natt(bytes(4) + IKE_MESSAGE), Kind.IKE),
        (V4 / _natt(bytes(4) + b"the key is under the mat, really"), Kind.CLEAR),
        (V4 / UDP(sport=500, dport=500) / Raw(IKE_MESSAGE), Kind.IKE),
        (V4 / UDP(sport=40000, dport=500) / Raw(IKE_MESSAGE), Kind.IKE),
        (V4 / UDP(sport=500, dport=500) / Raw(build_probe(b"8 octets", 1472)), Kind.IKE),
        (
            V4 / UDP(sport=500, dport=500) / Raw(build_probe(b"8 octets", 99)[:-1] + b"x"),
            Kind.CLEAR,
        ),
        (V4 / UDP(sport=500, dport=500) / Raw(b"the key is under the mat, really"), Kind.CLEAR),
        (V4 / ICMP(type=3, code=3) / V4 / UDP(dport=500) / Raw(IKE_MESSAGE), Kind.ICMP_ERROR),
        (V4 / ICMP(type=3, code=4) / V4 / SEALED, Kind.ICMP_ERROR),
        (V4 / ICMP(type=3, code=3) / V4 / UDP(dport=53) / Raw(b"secret"), Kind.CLEAR),
        (V4 / ICMP(type=8) / V4 / SEALED, Kind.CLEAR),
        (V4 / ICMP(type=3), Kind.CLEAR),
        (V6 / ICMPv6DestUnreach() / V6 / UDP(dport=500) / Raw(IKE_MESSAGE), Kind.ICMP_ERROR),
        (V6 / ICMPv6DestUnreach() / V6 / UDP(dport=53) / Raw(b"secret"), Kind.CLEAR),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else str(value),
)
def test_each_frame_is_what_it_is(tmp_path: Path, packet: Packet, kind: Kind) -> None:
    (frame,) = _read(tmp_path, packet)
    assert frame.kind is kind


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (_natt(b"\0\0\1\0" + b"s" * 3000), Kind.ESP),
        (UDP(dport=53) / Raw(b"s" * 3000), Kind.CLEAR),
    ],
)
def test_later_fragments_are_what_the_first_one_is(
    tmp_path: Path, payload: Packet, kind: Kind
) -> None:
    pieces = fragment(V4 / payload, 1400)
    pieces += fragment6(V6 / IPv6ExtHdrFragment(id=9) / payload, 1400)
    frames = _read(tmp_path, *pieces)
    assert len(frames) > 4
    assert {frame.kind for frame in frames} == {kind}


def test_a_fragment_without_its_first_one_counts_as_clear(tmp_path: Path) -> None:
    pieces = fragment(V4 / _natt(b"\0\0\1\0" + b"s" * 3000), 1400)
    assert [frame.kind for frame in _read(tmp_path, *pieces[1:])] == [Kind.CLEAR] * 2


def test_bookmarks_divide_a_capture_and_are_not_counted(tmp_path: Path) -> None:
    mark = Ether(type=BOOKMARK_ETHERTYPE) / Raw(b"act 2".ljust(46, b"\0"))
    frames = _read(tmp_path, V4 / UDP() / Raw(b"under the mat"), mark, V4 / SEALED, V4 / SEALED)
    assert tally(frames)[Kind.CLEAR] == 1
    later = since(frames, "act 2")
    assert [frame.number for frame in later] == [3, 4]
    assert tally(later) == {
        **dict.fromkeys((kind for kind in Kind if kind is not Kind.BOOKMARK), 0),
        Kind.ESP: 2,
    }
    with pytest.raises(ValueError, match="act 3"):
        since(frames, "act 3")


def test_text_is_found_wherever_it_stands(tmp_path: Path) -> None:
    clear = V4 / UDP(sport=4500, dport=4500) / Raw(b"\0\0\1\0\0\0\0\1 under the mat")
    frames = _read(tmp_path, V4 / SEALED, clear)
    assert frames[1].kind is Kind.ESP
    assert holding(frames, b"under the mat") == [frames[1]]
