"""What selectors see of an IP packet; scapy builds the packets, hands spoil them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw
from scapy.utils import checksum as scapy_checksum

from hushwire.wire.errors import TruncatedError, WireError
from hushwire.wire.ip import Flow, checksum, parse_flow, total_length
from tests.wire.mutations import mutants

A4, B4 = "192.0.2.1", "198.51.100.2"
A6, B6 = "2001:db8::1", "2001:db8:ffff::2"

V4 = IP(src=A4, dst=B4)
V6 = IPv6(src=A6, dst=B6)
LONG_OPTION = PadN(optdata=b"\0" * 20)


def flow4(protocol: int, source_port: int | None, port: int | None) -> Flow:
    return Flow(4, int(ip_address(A4)), int(ip_address(B4)), protocol, source_port, port)


def flow6(protocol: int, source_port: int | None, port: int | None) -> Flow:
    return Flow(6, int(ip_address(A6)), int(ip_address(B6)), protocol, source_port, port)


PACKETS: list[tuple[str, Packet, Flow]] = [
    ("tcp", V4 / TCP(sport=1234, dport=443), flow4(6, 1234, 443)),
    ("udp", V4 / UDP(sport=1, dport=65535) / b"x", flow4(17, 1, 65535)),
    ("sctp", V4 / SCTP(sport=7, dport=9), flow4(132, 7, 9)),
    ("icmp echo", V4 / ICMP(type=8, code=0), flow4(1, 0x0800, 0x0800)),
    ("icmp unreachable", V4 / ICMP(type=3, code=4), flow4(1, 0x0304, 0x0304)),
    ("esp", V4 / ESP(spi=1, seq=1, data=b"?" * 16), flow4(50, None, None)),
    ("ah is no extension header", V4 / AH(nh=6) / TCP(), flow4(51, None, None)),
    ("nothing inside", IP(src=A4, dst=B4, proto=47), flow4(47, None, None)),
    (
        "options",
        IP(src=A4, dst=B4, options=[IPOption_Router_Alert()] * 10) / UDP(sport=5, dport=6),
        flow4(17, 5, 6),
    ),
    ("first fragment", IP(src=A4, dst=B4, flags="MF") / UDP(sport=5, dport=6), flow4(17, 5, 6)),
    (
        "later fragment",
        IP(src=A4, dst=B4, frag=1, proto=17) / Raw(b"abcdefgh"),
        flow4(17, None, None),
    ),
    ("far fragment", IP(src=A4, dst=B4, frag=4096, proto=6) / Raw(b"abcd"), flow4(6, None, None)),
    ("last fragment", IP(src=A4, dst=B4, frag=8191, proto=6) / Raw(b"a"), flow4(6, None, None)),
    ("tcp over 6", V6 / TCP(sport=1234, dport=443), flow6(6, 1234, 443)),
    ("icmp over 6", V6 / ICMPv6EchoRequest(), flow6(58, 0x8000, 0x8000)),
    ("no next header", IPv6(src=A6, dst=B6, nh=59), flow6(59, None, None)),
    (
        "every extension header",
        V6
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt(options=[LONG_OPTION])
        / IPv6ExtHdrRouting(addresses=[A6, B6])
        / IPv6ExtHdrFragment(offset=0, m=1)
        / IPv6ExtHdrDestOpt()
        / UDP(sport=5, dport=6),
        flow6(17, 5, 6),
    ),
    (
        "later fragment over 6",
        V6 / IPv6ExtHdrFragment(offset=1, nh=17) / Raw(b"abcdefgh"),
        flow6(17, None, None),
    ),
    (
        "later fragment of an extension header",
        V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(offset=100, nh=60) / Raw(b"\xff" * 8),
        flow6(60, None, None),
    ),
    (
        "8 extension headers",
        V6 / Raw(bytes([60, 0] + [0] * 6) * 7 + bytes([17, 0] + [0] * 6) + bytes(UDP(sport=5))),
        flow6(17, 5, 53),
    ),
]
PACKETS[-1][1].nh = 60
BYTES = [(bytes(packet), flow) for _, packet, flow in PACKETS]
IDS = [name for name, _, _ in PACKETS]


@pytest.mark.parametrize(("packet", "flow"), BYTES, ids=IDS)
def test_the_flow_of_a_packet(packet: bytes, flow: Flow) -> None:
    assert parse_flow(packet) == flow
    assert total_length(packet) == len(packet)


@pytest.mark.parametrize(("packet", "flow"), BYTES, ids=IDS)
def test_octets_after_the_packet_change_nothing(packet: bytes, flow: Flow) -> None:
    assert parse_flow(packet + b"\xff" * 300) == flow
    assert total_length(packet + b"\xff" * 300) == len(packet)


@pytest.mark.parametrize(("packet", "flow"), BYTES, ids=IDS)
def test_a_packet_cut_anywhere_is_refused(packet: bytes, flow: Flow) -> None:
    for length in range(len(packet)):
        with pytest.raises(WireError):
            parse_flow(packet[:length])


def with_payload_length(packet: bytes, octets: int) -> bytes:
    """The same octets under a length field that says `octets` after the fixed header."""
    if packet[0] >> 4 == 4:
        return packet[:2] + (octets + 20).to_bytes(2, "big") + packet[4:]
    return packet[:4] + octets.to_bytes(2, "big") + packet[6:]


@pytest.mark.parametrize(
    ("whole", "least"),
    [
        (V4 / TCP(), 4),
        (V4 / UDP(), 4),
        (V4 / ICMP(), 2),
        (V6 / TCP(), 4),
        (V6 / UDP(), 4),
        (V6 / ICMPv6EchoRequest(), 2),
    ],
)
def test_ports_beyond_the_length_that_the_header_gives_are_not_read(
    whole: Packet, least: int
) -> None:
    packet = bytes(whole)
    parse_flow(with_payload_length(packet, least))
    for octets in range(least):
        with pytest.raises(TruncatedError, match="ends before"):
            parse_flow(with_payload_length(packet, octets))


UDP4 = bytes(V4 / UDP())
UDP6 = bytes(V6 / UDP())
HOPS = bytes(V6 / IPv6ExtHdrHopByHop() / UDP())
DEEP = bytes(IPv6(nh=60) / Raw(bytes([60, 0, 0, 0, 0, 0, 0, 0]) * 200))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "neither version"),
        (b"\x00" * 40, "neither version"),
        (b"\x55" + UDP4[1:], "neither version"),
        (b"\x44" + UDP4[1:], "header length 16"),
        (b"\x40" + UDP4[1:], "header length 0"),
        (b"\x4f" + UDP4[1:], "header length 60"),
        (UDP4[:2] + b"\x00\x13" + UDP4[4:], "total length 19"),
        (UDP4[:2] + b"\x00\x00" + UDP4[4:], "total length 0"),
        (UDP4[:2] + b"\x00\x1d" + UDP4[4:], "says 29"),
        (UDP4[:2] + b"\xff\xff" + UDP4[4:], "says 65535"),
        (UDP6[:4] + b"\xff\xff" + UDP6[6:], "says 65575"),
        (UDP6[:4] + b"\x00\x09" + UDP6[6:], "says 49"),
        (HOPS[:41] + b"\xff" + HOPS[42:], "inside an extension"),
        (HOPS[:41] + b"\x02" + HOPS[42:], "inside an extension"),
        (with_payload_length(HOPS, 7), "inside an extension"),
        (bytes(IPv6(nh=60) / Raw(b"\x3b\x01" + bytes(13))), "inside an extension"),
        (DEEP, "more than 8 extension"),
    ],
)
def test_a_header_that_lies_is_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        parse_flow(packet)


@given(data=st.data())
def test_spoiled_packets_raise_a_wire_error_or_parse(data: st.DataObject) -> None:
    packet, _ = data.draw(st.sampled_from(BYTES))
    with suppress(WireError):
        parse_flow(data.draw(mutants(packet)))


@given(st.sampled_from([0x45, 0x4F, 0x60]), st.binary(max_size=100))
def test_any_octets_raise_a_wire_error_or_parse(start: int, octets: bytes) -> None:
    with suppress(WireError):
        parse_flow(bytes([start]) + octets)


@given(st.binary(max_size=200))
def test_the_checksum_is_that_of_scapy(data: bytes) -> None:
    assert checksum(data) == scapy_checksum(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", 0xFFFF),
        ("0000", 0xFFFF),
        ("ffff", 0x0000),
        ("ffffffff", 0x0000),
        ("0001f203f4f5f6f7", 0x220D),
        ("01", 0xFEFF),
    ],
)
def test_the_checksum_of_rfc_1071(data: str, expected: int) -> None:
    assert checksum(bytes.fromhex(data)) == expected


@pytest.mark.parametrize("packet", [UDP4, bytes(V4 / TCP() / b"odd")])
def test_a_header_with_its_checksum_sums_to_zero(packet: bytes) -> None:
    assert checksum(packet[:20]) == 0
