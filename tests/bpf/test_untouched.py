"""What the programs leave alone, octet for octet: other traffic, lengths that lie, groups."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw

from tests.bpf.hosts import A4, A6, B4, B6, GOES_ON, PORT, Host, ether, frame, udp

Hosts = Callable[[], Host]
_TAG = b"\x81\x00\x00\x05"


@pytest.fixture(scope="module")
def alice(host: Hosts) -> Host:
    """One that never has a peer, because nothing here is any."""
    return host()


def _others() -> dict[str, bytes]:
    ports = {"sport": PORT, "dport": PORT}
    fragment = udp(bytes(64), source=53, to=53)
    fragment[IP].flags = "MF"
    later = ether() / IP(src=A4, dst=B4, proto=17, frag=100) / Raw(bytes(64))
    long_chain = ether() / IPv6(src=A6, dst=B6)
    for _ in range(7):
        long_chain /= IPv6ExtHdrDestOpt()
    three_tags = udp(b"hello")
    three_tags.payload = Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / three_tags.payload
    plain = frame(b"hello")
    return {
        "another port": bytes(udp(b"hello", source=53, to=53)),
        "ports that are near": bytes(udp(b"hello", source=PORT - 1, to=PORT + 1)),
        "another port, IPv6": bytes(udp(b"hello", version=6, source=53, to=53)),
        "TCP": bytes(ether() / IP(src=A4, dst=B4) / TCP(**ports) / Raw(b"hello")),
        "TCP over IPv6": bytes(ether() / IPv6(src=A6, dst=B6) / TCP(**ports) / Raw(b"hello")),
        "ICMP": bytes(ether() / IP(src=A4, dst=B4) / ICMP() / Raw(b"hello")),
        "ARP": bytes(ether() / ARP(pdst=B4)),
        "a first fragment of another port": bytes(fragment),
        "a later fragment of an unknown datagram": bytes(later),
        "more extension headers than anybody needs": bytes(long_chain / UDP(**ports)),
        "three VLAN tags": bytes(three_tags),
        # A test run takes no half IP header, but behind a VLAN tag it does not look.
        "an Ethernet header and no more": plain[:12] + _TAG,
        "half an IPv4 header": plain[:12] + _TAG + plain[12:24],
        "half an IPv6 header": plain[:12] + _TAG + frame(b"hello", version=6)[12:40],
        "half a UDP header": plain[:38],
        "an IPv4 header of 16 octets": plain[:14] + b"\x44" + plain[15:],
        "version 5": plain[:14] + b"\x55" + plain[15:],
    }


@pytest.mark.parametrize("octets", _others().values(), ids=_others().keys())
def test_everything_else_passes_octet_for_octet(alice: Host, octets: bytes) -> None:
    before = alice.counts()
    assert alice.out(octets) == (GOES_ON, octets)
    assert alice.get(octets) == (GOES_ON, octets)
    assert alice.counts() == before
    assert alice.programs.peers() == []


def test_what_comes_for_another_host_is_not_ours(alice: Host) -> None:
    before = alice.counts()
    packet = udp(b"hello")
    packet.dst = "02:00:00:00:00:99"
    assert alice.get(bytes(packet)) == (GOES_ON, bytes(packet))
    assert alice.counts() == before


def _lies() -> dict[str, bytes]:
    made = {}
    for name, layer, value in (
        ("the UDP length is less than its header", UDP, 7),
        ("the UDP length is 0", UDP, 0),
        ("the UDP length is more than the packet", UDP, 200),
        ("the IPv4 length is more than the frame", IP, 1400),
        ("the IPv4 length ends in the UDP header", IP, 24),
    ):
        packet = udp(b"hello, bob")
        packet[layer].len = value
        made[name] = bytes(packet)
    six = udp(b"hello, bob", version=6)
    six[IPv6].plen = 1400
    made["the IPv6 length is more than the frame"] = bytes(six)
    first = udp(b"hello, bob")
    first[IP].flags = "MF"
    made["a first fragment that holds the whole message"] = bytes(first)
    return made


@pytest.mark.parametrize("octets", _lies().values(), ids=_lies().keys())
def test_lengths_that_lie_are_counted_and_not_touched(alice: Host, octets: bytes) -> None:
    before = alice.counts()
    assert alice.out(octets) == (GOES_ON, octets)
    assert alice.get(octets) == (GOES_ON, octets)
    for direction in ("egress", "ingress"):
        number, _ = before.get(f"{direction} malformed", (0, 0))
        assert alice.counts()[f"{direction} malformed"] == (number + 1, 0)
    assert alice.programs.peers() == []


@pytest.mark.parametrize("address", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_messages_to_many_are_left_alone(host: Hosts, address: str) -> None:
    alice = host()
    packet = udp(b"hello, all")
    packet.dst = address
    octets = bytes(packet)
    assert alice.out(octets) == (GOES_ON, octets)
    assert alice.get(octets) == (GOES_ON, octets)
    assert alice.counts() == {"egress group": (1, 10), "ingress group": (1, 10)}
