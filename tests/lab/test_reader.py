from __future__ import annotations

import itertools
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


def _stream(*messages: bytes, prefix: bytes = b"IKETCP") -> bytes:
    frames = [(2 + len(message)).to_bytes(2, "big") + message for message in messages]
    return prefix + b"".join(frames)


def _connection(octets: bytes, *cuts: int, answer: bytes = b"", first: int = 1000) -> list[Packet]:
    """alice's connection to bob's port 4500: `octets` cut into segments, and bob's answer."""
    there, back = TCP(sport=40000, dport=4500), TCP(sport=4500, dport=40000)
    reverse = IP(src=V4.dst, dst=V4.src)

    def segment(packet: IP, tcp: TCP, flags: str, place: int, payload: bytes = b"") -> Packet:
        made = tcp.copy()
        made.flags, made.seq = flags, (first + place) % (1 << 32)
        return packet / made / Raw(payload) if payload else packet / made

    edges = [0, *cuts, len(octets)]
    return [
        segment(V4, there, "S", -1),
        segment(reverse, back, "SA", -1),
        *(
            segment(V4, there, "PA", start, octets[start:end])
            for start, end in itertools.pairwise(edges)
        ),
        *([segment(reverse, back, "PA", 0, answer)] if answer else []),
        segment(V4, there, "FA", len(octets)),
    ]


SAID = _stream(bytes(4) + IKE_MESSAGE, bytes(SEALED), b"\xff", b"", bytes(SEALED))
ANSWER = _stream(bytes(4) + IKE_MESSAGE, bytes(SEALED), prefix=b"")


@pytest.mark.parametrize("first", [1000, (1 << 32) - 50])
@pytest.mark.parametrize("cuts", [(), (3,), (6, 7, 8, 40), tuple(range(1, len(SAID)))])
def test_a_connection_of_ike_and_esp_is_known_however_it_is_cut(
    tmp_path: Path, cuts: tuple[int, ...], first: int
) -> None:
    packets = _connection(SAID, *cuts, answer=ANSWER, first=first)
    assert {frame.kind for frame in _read(tmp_path, *packets)} == {Kind.TCP}


def test_repeated_and_reordered_segments_are_put_in_order(tmp_path: Path) -> None:
    packets = _connection(SAID, 20, 60, 90)
    shuffled = [*packets[:2], *packets[:1:-1], *packets[2:]]
    assert {frame.kind for frame in _read(tmp_path, *shuffled)} == {Kind.TCP}


def test_a_message_that_is_not_complete_yet_is_known_by_its_beginning(tmp_path: Path) -> None:
    packets = _connection(SAID[:-5])
    assert {frame.kind for frame in _read(tmp_path, *packets)} == {Kind.TCP}


@pytest.mark.parametrize(
    "octets",
    [
        b"the key is under the mat",
        b"IKETC",
        _stream(b"the key"),
        _stream(bytes(4) + b"the key is under the mat, really"),
        b"IKETCP\0\1" + bytes(SEALED),
        b"IKETCP\0\0" + bytes(SEALED),
        _stream(bytes(SEALED), prefix=b""),
    ],
)
def test_what_only_uses_the_port_is_in_clear(tmp_path: Path, octets: bytes) -> None:
    frames = _read(tmp_path, *_connection(octets + b"!" * (octets == b"IKETC")))
    assert [frame.kind for frame in frames[2:3]] == [Kind.CLEAR]


def test_from_the_first_nonsense_on_a_connection_is_in_clear(tmp_path: Path) -> None:
    good = _stream(bytes(SEALED))
    packets = _connection(good + _stream(b"the key", prefix=b"") + SAID, len(good))
    kinds = [frame.kind for frame in _read(tmp_path, *packets)]
    assert kinds == [Kind.TCP] * 3 + [Kind.CLEAR] + [Kind.TCP]


def test_octets_whose_beginning_eve_has_not_seen_are_in_clear(tmp_path: Path) -> None:
    packets = _connection(SAID, 20, 60)
    late, gap = packets[2:], packets[:3] + packets[4:]
    assert {frame.kind for frame in _read(tmp_path, *late)[:-1]} == {Kind.CLEAR}
    kinds = [frame.kind for frame in _read(tmp_path, *gap)]
    assert kinds == [Kind.TCP] * 3 + [Kind.CLEAR] + [Kind.TCP]


def test_the_same_ports_may_be_used_by_one_connection_after_the_other(tmp_path: Path) -> None:
    packets = _connection(SAID) + _connection(SAID, 10, first=77777)
    assert {frame.kind for frame in _read(tmp_path, *packets)} == {Kind.TCP}


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
