from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.packet import Packet, Raw

from hushwire.wire.checksums import remake
from hushwire.wire.errors import WireError
from hushwire.wire.front import join, split

HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 12)])
DST = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
RTH = IPv6ExtHdrRouting(addresses=["fd00::9"], segleft=0)
V6 = IPv6(src="fd00::1", dst="fd00::2")
REST = UDP(sport=7, dport=9) / Raw(b"the rest")


@pytest.mark.parametrize(
    ("packet", "front", "protocol"),
    [
        (IP() / REST, 20, 17),
        (IP(options=[IPOption_RR(routers=["0.0.0.0"] * 3), IPOption_NOP()]) / REST, 36, 17),
        (V6 / REST, 40, 17),
        (V6 / HOP / REST, 40 + 16, 17),
        (V6 / HOP / DST / RTH / REST, 40 + 16 + 8 + 24, 17),
        # RFC 4303 §3.1.1: those with no routing header after them are better off inside.
        (V6 / DST / REST, 40, 60),
        (V6 / HOP / RTH / DST / REST, 40 + 16 + 24, 60),
        (V6 / HOP / IPv6ExtHdrFragment(m=1) / REST, 40 + 16, 44),
    ],
)
def test_the_front_is_what_stays_before_esp(packet: Packet, front: int, protocol: int) -> None:
    octets = bytes(packet)
    own, rest = split(octets + b"octets after the packet's end")
    assert (own.octets, rest) == (octets[:front], octets[front:])
    assert own.protocol == protocol
    assert join(own, protocol, rest) == octets


@pytest.mark.parametrize(
    "front", [IP(options=[IPOption_NOP()] * 4), V6, V6 / HOP, V6 / HOP / DST / RTH]
)
def test_another_payload_changes_lengths_protocol_and_checksum_only(front: Packet) -> None:
    own, rest = split(bytes(front / REST))
    joined = join(own, 50, rest + b"and more of it")
    expected = front.copy()
    expected.lastlayer().fields["proto" if expected.version == 4 else "nh"] = 50
    assert joined == bytes(expected / Raw(rest + b"and more of it"))


@given(st.binary(max_size=120), st.sampled_from([4, 6]))
def test_any_octets_split_or_are_refused(octets: bytes, version: int) -> None:
    octets = bytes([version << 4 | (octets[0] & 0xF if octets else 0)]) + octets[1:]
    try:
        own, rest = split(octets)
    except WireError:
        return
    assert octets.startswith(own.octets + rest)


def test_a_packet_larger_than_its_length_field_can_say_is_refused() -> None:
    for packet, most in ((IP() / REST, 65515), (V6 / REST, 65535)):
        own, _ = split(bytes(packet))
        assert len(join(own, 50, bytes(most))) == len(own.octets) + most
        with pytest.raises(WireError):
            join(own, 50, bytes(most + 1))


def test_nine_extension_headers_are_too_many() -> None:
    packet = V6
    for _ in range(9):
        packet = packet / HOP
    with pytest.raises(WireError):
        split(bytes(packet / REST))


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.0.1.1", dst="10.0.1.2") / REST,
        V6 / REST,
        V6 / "x",
        IP(src="10.0.1.1", dst="10.0.1.2") / ICMP() / "no addresses in its checksum",
    ],
)
def test_a_checksum_is_made_anew_for_other_addresses(packet: Packet) -> None:
    wanted = bytes(packet)
    own, rest = split(wanted)
    at = {17: 6}.get(own.protocol)
    spoilt = rest if at is None else rest[:at] + b"\x12\x34" + rest[at + 2 :]
    assert remake(own.octets, own.protocol, spoilt) == rest
    assert remake(own.octets, own.protocol, b"") == b""


def test_udp_over_ipv4_without_a_checksum_stays_without() -> None:
    own, rest = split(bytes(IP() / UDP(chksum=0) / "x"))
    assert remake(own.octets, 17, rest) == rest
    six, rest = split(bytes(V6 / UDP(chksum=0) / "x"))
    assert remake(six.octets, 17, rest)[6:8] != b"\0\0"
