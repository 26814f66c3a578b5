"""Transport mode. Scapy's ESP without a tunnel header is transport mode: an independent oracle."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.packet import Packet, Raw

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.esp import transport
from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.open import InboundSa
from hushwire.esp.padding import alignment, pad
from hushwire.esp.seal import OutboundSa
from hushwire.esp.size import transport_mtu
from hushwire.sa.association import ChildSa, Encapsulation, Mode
from hushwire.sa.selectors import from_network
from hushwire.wire.errors import WireError
from hushwire.wire.front import Front, join, split
from tests.esp.packets import inner, seal_raw
from tests.esp.test_scapy import oracle
from tests.sa.pairs import mirror, pair

HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
DST = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
RTH = IPv6ExtHdrRouting(addresses=["fd00::9"], segleft=0)
V4 = IP(src="10.0.1.1", dst="10.0.1.2", ttl=7, tos=0xB8, id=99, flags="DF")
V6 = IPv6(src="fd00::1", dst="fd00::2", hlim=9, tc=0xB8, fl=0x12345)

PACKETS = {
    "IPv4 ping": V4 / ICMP() / Raw(b"attack at dawn"),
    "IPv4 options": IP(
        src="10.0.1.1",
        dst="10.0.1.2",
        options=[IPOption_RR(routers=["0.0.0.0"] * 2), IPOption_NOP()],
    )
    / TCP(dport=443)
    / Raw(bytes(range(256))),
    "IPv6 ping": V6 / ICMPv6EchoRequest(data=b"12345"),
    "IPv6 hop-by-hop": V6 / HOP / UDP(dport=53) / Raw(b"x" * 1000),
    "IPv6 routing": V6 / HOP / DST / RTH / UDP(dport=53) / Raw(b"y" * 100),
    "IPv6 options behind": V6 / HOP / RTH / DST / TCP(dport=80) / Raw(b"z"),
}


def hosts(
    version: int, cipher: Cipher = CIPHERS[0], *, esn: bool = True
) -> tuple[ChildSa, ChildSa]:
    """Alice's and Bob's view of a transport mode SA between their addresses in tests.sa.pairs."""
    own, other = ("10.0.1.1/32", "10.0.1.2/32") if version == 4 else ("fd00::1/128", "fd00::2/128")
    of_alice = replace(
        pair(cipher, esn=esn, encapsulation=Encapsulation.ESP)[0],
        mode=Mode.TRANSPORT,
        local_selectors=(from_network(ip_network(own)),),
        remote_selectors=(from_network(ip_network(other)),),
    )
    return of_alice, mirror(of_alice, "alice")


def opened(bob: ChildSa, wire: bytes) -> bytes:
    own, esp = split(wire)
    assert own.protocol == 50
    return transport.open_packet(InboundSa(bob), esp, own, rewritten=False)


EVERY = pytest.mark.parametrize(
    ("cipher", "esn", "packet"),
    [
        pytest.param(cipher, esn, packet, id=f"{cipher.name}-{'esn' if esn else 'noesn'}-{name}")
        for cipher in CIPHERS
        for esn in (False, True)
        for name, packet in PACKETS.items()
    ],
)


@EVERY
def test_scapy_opens_what_we_seal(cipher: Cipher, esn: bool, packet: Packet) -> None:
    original = bytes(packet)
    alice, _ = hosts(packet.version, cipher, esn=esn)
    wire = transport.seal(OutboundSa(alice), original)
    assert bytes(oracle(alice).decrypt(packet.__class__(wire))) == original


@EVERY
def test_we_open_what_scapy_seals(cipher: Cipher, esn: bool, packet: Packet) -> None:
    original = bytes(packet)
    alice, bob = hosts(packet.version, cipher, esn=esn)
    wire = bytes(oracle(alice).encrypt(packet.__class__(original)))
    assert opened(bob, wire) == original


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_only_protocol_length_and_checksum_of_the_own_header_change(packet: Packet) -> None:
    original = bytes(packet)
    alice, bob = hosts(packet.version)
    wire = transport.seal(OutboundSa(alice), original)
    before, after = split(original)[0], split(wire)[0]
    assert len(before.octets) == len(after.octets)
    assert after.protocol_at == before.protocol_at
    changed = {n for n, pair in enumerate(zip(before.octets, after.octets, strict=True))
               if pair[0] != pair[1]}  # fmt: skip
    assert changed <= ({2, 3, 9, 10, 11} if packet.version == 4 else {4, 5, before.protocol_at})
    if packet.version == 4:
        checked = IP(wire)
        del checked.chksum
        assert IP(bytes(checked)).chksum == IP(wire).chksum
    assert opened(bob, wire) == original


@pytest.mark.parametrize("version", [4, 6])
def test_every_size_comes_back(version: int) -> None:
    alice, bob = hosts(version)
    outbound, inbound = OutboundSa(alice), InboundSa(bob)
    for octets in range(20 if version == 4 else 40, 1501):
        packet = inner(octets, version)
        own, esp = split(transport.seal(outbound, packet))
        assert transport.open_packet(inbound, esp, own, rewritten=False) == packet


def refused(seal_or_open: object, *arguments: object, **options: object) -> Drop:
    with pytest.raises(EspDropError) as caught:
        seal_or_open(*arguments, **options)  # type: ignore[operator]
    return caught.value.drop


@pytest.mark.parametrize(
    "fragment",
    [
        IP(src="10.0.1.1", dst="10.0.1.2", flags="MF") / Raw(bytes(80)),
        IP(src="10.0.1.1", dst="10.0.1.2", frag=10) / Raw(bytes(80)),
        V6 / IPv6ExtHdrFragment(m=1, nh=17) / Raw(bytes(80)),
        V6 / HOP / IPv6ExtHdrFragment(offset=10, nh=17) / Raw(bytes(80)),
    ],
)
def test_a_fragment_is_never_sealed(fragment: Packet) -> None:
    outbound = OutboundSa(hosts(fragment.version)[0])
    before = outbound.remaining
    for seal in (transport.seal, transport.seal_bare):
        assert refused(seal, outbound, bytes(fragment)) is Drop.REASSEMBLY
    assert outbound.remaining == before


def test_what_grows_too_large_for_an_ip_packet_is_told() -> None:
    outbound = OutboundSa(hosts(4)[0])
    assert refused(transport.seal, outbound, inner(65535)) is Drop.OVERSIZED
    assert refused(transport.seal, outbound, b"\x45 nonsense") is Drop.BAD_INNER


@pytest.mark.parametrize(
    ("source", "destination"), [("10.0.1.9", "10.0.1.2"), ("10.0.1.1", "10.0.1.9")]
)
def test_another_address_in_the_header_on_the_way_is_noticed(source: str, destination: str) -> None:
    # Nothing protects the header: the selectors do (RFC 4301 §5.2).
    alice, bob = hosts(4)
    wire = IP(transport.seal(OutboundSa(alice), bytes(PACKETS["IPv4 ping"])))
    wire.src, wire.dst = source, destination
    own, esp = split(bytes(wire))
    drop = refused(transport.open_packet, InboundSa(bob), esp, own, rewritten=False)
    assert drop is Drop.SELECTOR_MISMATCH_IN


def test_a_tunnelled_packet_and_one_in_transport_mode_are_not_taken_for_each_other() -> None:
    alice, bob = hosts(4)
    in_tunnel = replace(bob, mode=Mode.TUNNEL)
    packet = bytes(PACKETS["IPv4 ping"])
    _, esp = split(transport.seal(OutboundSa(alice), packet))
    assert refused(InboundSa(in_tunnel).open, esp) is Drop.BAD_NEXT_HEADER
    # The other way it is what its next header says, IP in IP: between the two hosts, not beyond.
    tunnelled = OutboundSa(alice).seal(bytes(IP(src="6.6.6.6", dst="7.7.7.7") / ICMP()))
    own = split(packet)[0]
    out = transport.open_packet(InboundSa(bob), tunnelled, own, rewritten=False)
    assert (IP(out).src, IP(out).proto) == ("10.0.1.1", 4)


def test_a_dummy_packet_ends_silently() -> None:
    alice, bob = hosts(4)
    dummy = seal_raw(alice, 1, pad(b"anything", 59, 4))
    own = split(bytes(PACKETS["IPv4 ping"]))[0]
    drop = refused(transport.open_packet, InboundSa(bob), dummy, own, rewritten=False)
    assert drop is Drop.DUMMY


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_inside_udp_the_addresses_come_back_from_the_selectors(packet: Packet) -> None:
    original = bytes(packet)
    alice, bob = hosts(packet.version)
    esp = transport.seal_bare(OutboundSa(alice), original)
    out = transport.open_packet(InboundSa(bob), esp, transport.front_of(bob), rewritten=False)
    own, payload = split(original)
    assert (split(out)[0].protocol, split(out)[1]) == (own.protocol, payload)
    got = packet.__class__(out)
    assert (got.src, got.dst) == (packet.src, packet.dst)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "udp without", "icmpv6", "icmp"])
def test_behind_a_nat_checksums_are_made_anew(protocol: str) -> None:
    version = 6 if protocol == "icmpv6" else 4
    alice, bob = hosts(version)
    payload = {
        "tcp": TCP(dport=80) / "text",
        "udp": UDP(dport=80) / "text",
        "udp without": UDP(dport=80, chksum=0) / "text",
        "icmp": ICMP() / "text",
        "icmpv6": ICMPv6EchoRequest(data="text"),
    }[protocol]
    # Alice knows herself and Bob by other addresses than Bob does.
    sent = (
        IP(src="192.168.5.5", dst="203.0.113.9") if version == 4 else IPv6(src="::5", dst="::9")
    ) / payload
    alice_sees = replace(
        alice,
        local_selectors=(from_network(ip_network(sent.src)),),
        remote_selectors=(from_network(ip_network(sent.dst)),),
    )
    esp = transport.seal_bare(OutboundSa(alice_sees), bytes(sent))
    out = transport.open_packet(InboundSa(bob), esp, transport.front_of(bob), rewritten=True)
    wanted = (IP(src="10.0.1.1", dst="10.0.1.2") if version == 4 else V6) / payload
    assert split(out)[1] == split(bytes(wanted))[1]


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_the_largest_packet_fits_and_a_larger_one_does_not(cipher: Cipher, packet: Packet) -> None:
    alice, _ = hosts(packet.version, cipher)
    own, _ = split(bytes(packet))
    largest = transport_mtu(1500, packet.version, Encapsulation.ESP, cipher)
    sizes = []
    # Blocks larger than a word may leave a little unused, whatever the length of the own header.
    unused = 2 * (alignment(cipher) - 4)
    for octets in (largest, largest + 1 + unused):
        whole = join_to(own, octets)
        sizes.append(len(transport.seal(OutboundSa(alice), whole)))
    assert sizes[0] <= 1500 < sizes[1]
    over_udp = transport_mtu(1500, packet.version, Encapsulation.UDP, cipher)
    assert largest - 8 - alignment(cipher) <= over_udp <= largest


def join_to(own: Front, octets: int) -> bytes:
    return join(own, 253, bytes(octets - len(own.octets)))


def test_transport_mode_is_between_one_address_and_another_of_its_family() -> None:
    alice, _ = hosts(4)
    for wrong in ("10.0.1.0/31", "fd00::1/128"):
        with pytest.raises(ValueError, match="transport mode is between two"):
            replace(alice, local_selectors=(from_network(ip_network(wrong)),))
    with pytest.raises(ValueError, match="two hosts"):
        replace(alice, remote_selectors=alice.remote_selectors + alice.local_selectors)
    narrow = replace(alice.local_selectors[0], protocol=6, start_port=80, end_port=80)
    both = replace(alice, local_selectors=(narrow, *alice.local_selectors))
    assert both.hosts() == alice.hosts()


def test_hostile_octets_are_refused_in_an_orderly_way() -> None:
    alice, bob = hosts(6)
    for protocol in range(256):
        esp = seal_raw(alice, protocol + 1, pad(bytes(6), protocol, 4))
        own = transport.front_of(bob)
        try:
            transport.open_packet(InboundSa(bob), esp, own, rewritten=True)
        except EspDropError as error:
            assert error.drop in (Drop.BAD_INNER, Drop.DUMMY, Drop.SELECTOR_MISMATCH_IN)
        except WireError:
            pytest.fail("an error that the engine does not expect")
