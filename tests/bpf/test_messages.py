"""Messages through the programs: every length, checksums, and headers of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, UDP, IPOption
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Padding, Raw

from hushwire.classroom.exchange import xor
from hushwire.classroom.programs import HeldFrame
from tests.bpf.hosts import (
    A6,
    B6,
    DROPPED,
    GOES_ON,
    PORT,
    REDIRECTED,
    SWALLOWED,
    Host,
    agree,
    assert_checksums,
    ether,
    frame,
    payload_of,
    udp,
)

Hosts = Callable[..., Host]
Pair = tuple[Host, Host, dict[int, int]]
VERSIONS = pytest.mark.parametrize("version", [4, 6])
TEXT = b"hello, bob"


@pytest.fixture(scope="module")
def pair(host: Hosts) -> Pair:
    """alice and bob with keys for both families; and the keys."""
    alice, bob = host(), host()
    return alice, bob, {version: agree(alice, bob, version=version) for version in (4, 6)}


@VERSIONS
def test_every_length_arrives_whole_with_correct_checksums(pair: Pair, version: int) -> None:
    alice, bob, secrets = pair
    pattern = bytes(range(256)) * 6
    largest = 1472 if version == 4 else 1452
    for size in range(largest + 1):
        sent = frame(pattern[:size], version=version)
        code, sealed = alice.out(sent)
        assert code == GOES_ON
        assert sealed[-size:] == xor(pattern[:size], secrets[version])[-size:] or not size
        if size % 16 == 0 or size < 70 or size > largest - 10:
            assert_checksums(sealed)
        assert bob.get(sealed) == (GOES_ON, sent)


@VERSIONS
def test_it_works_in_both_directions(pair: Pair, version: int) -> None:
    alice, bob, secrets = pair
    sent = frame(b"from bob", version=version, back=True)
    _, sealed = bob.out(sent)
    assert payload_of(sealed) == xor(b"from bob", secrets[version])
    assert alice.get(sealed) == (GOES_ON, sent)


@pytest.mark.parametrize(("source", "to"), [(PORT, 40000), (40000, PORT)])
def test_one_of_the_two_ports_is_enough(pair: Pair, source: int, to: int) -> None:
    alice, bob, secrets = pair
    sent = bytes(udp(TEXT, source=source, to=to))
    _, sealed = alice.out(sent)
    assert payload_of(sealed) == xor(TEXT, secrets[4])
    assert bob.get(sealed) == (GOES_ON, sent)


def _shapes() -> dict[str, Packet]:
    six = ether() / IPv6(src=A6, dst=B6)
    inner = UDP(sport=PORT, dport=PORT) / Raw(TEXT)
    options = udp(TEXT)
    options[IP].options = [IPOption(b"\x94\x04\x00\x00")]
    tagged, double = udp(TEXT), udp(TEXT)
    tagged.payload = Dot1Q(vlan=5) / tagged.payload
    double.payload = Dot1AD(vlan=5) / Dot1Q(vlan=6) / double.payload
    return {
        "IPv4 options": options,
        "a VLAN tag": tagged,
        "two VLAN tags": double,
        "padding": udp(TEXT) / Padding(bytes(30)),
        "hop-by-hop options": six / IPv6ExtHdrHopByHop() / inner,
        "destination options": six / IPv6ExtHdrDestOpt() / inner,
        "a routing header": six / IPv6ExtHdrRouting(segleft=0) / inner,
        "an atomic fragment": six / IPv6ExtHdrFragment(id=9) / inner,
        "several": six / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / inner,
    }


SHAPES = pytest.mark.parametrize("shape", _shapes().values(), ids=_shapes().keys())


@SHAPES
def test_headers_of_every_kind_are_passed_over(pair: Pair, shape: Packet) -> None:
    alice, bob, secrets = pair
    sent = bytes(shape)
    at = sent.index(TEXT)
    code, sealed = alice.out(sent)
    assert code == GOES_ON
    assert sealed[at : at + len(TEXT)] == xor(TEXT, secrets[6 if IPv6 in shape else 4])
    assert sealed[at + len(TEXT) :] == sent[at + len(TEXT) :]
    assert_checksums(sealed)
    assert bob.get(sealed) == (GOES_ON, sent)


@SHAPES
def test_offers_answers_and_held_messages_keep_such_headers(host: Hosts, shape: Packet) -> None:
    alice, bob = host(), host()
    sent = bytes(shape)
    code, offer = alice.out(sent)
    assert code == GOES_ON
    assert_checksums(offer)
    code, answer = bob.get(offer)
    assert code == REDIRECTED
    assert_checksums(answer)
    assert alice.get(answer)[0] == DROPPED
    version = 6 if IPv6 in shape else 4
    assert alice.secret(version) == bob.secret(version) is not None
    held = alice.events()[0]
    assert isinstance(held, HeldFrame)
    (resent,) = held.frame.ready()
    assert resent == sent[: sent.index(TEXT) + len(TEXT)]
    knock = held.frame.knock(back=False)
    assert_checksums(knock)
    tags = len(sent) - len(bytes(shape.lastlayer())) - len(knock)
    assert tags < 60
    assert Ether(knock)[UDP].dport == PORT


def test_a_message_without_checksum_stays_without(pair: Pair) -> None:
    alice, bob, secrets = pair
    packet = udp(TEXT)
    packet[UDP].chksum = 0
    sent = bytes(packet)
    _, sealed = alice.out(sent)
    assert Ether(sealed)[UDP].chksum == 0
    assert payload_of(sealed) == xor(TEXT, secrets[4])
    assert bob.get(sealed) == (GOES_ON, sent)


def test_a_checksum_that_comes_out_as_zero_is_written_as_all_ones(pair: Pair) -> None:
    alice, bob, secrets = pair
    # Add to the last word what the checksum is: the sum of all is then zero (RFC 768).
    words = xor(bytes(8), secrets[4])
    missing = Ether(frame(words))[UDP].chksum + int.from_bytes(words[6:], "big")
    sealed_payload = words[:6] + (missing % 0xFFFF).to_bytes(2, "big")
    sent = frame(xor(sealed_payload, secrets[4]))
    _, sealed = alice.out(sent)
    assert payload_of(sealed) == sealed_payload
    assert Ether(sealed)[UDP].chksum == 0xFFFF
    assert bob.get(sealed) == (GOES_ON, sent)


def test_counts_are_those_of_what_was_sent(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    for size in (0, 1, 10, 1000):
        assert bob.get(alice.out(frame(bytes(size)))[1])[0] == GOES_ON
    assert alice.counts()["egress xored"] == (4, 1011)
    assert bob.counts()["ingress xored"] == (4, 1011)


@VERSIONS
def test_several_messages_in_one_frame_wait_whole_and_come_back_cut(
    host: Hosts, version: int
) -> None:
    alice = host()
    text = b"A" * 100 + b"B" * 100 + b"C" * 30
    assert alice.out(frame(text, version=version), gso_size=100)[0] == SWALLOWED
    (held,) = alice.events()
    assert isinstance(held, HeldFrame)
    assert not held.offered
    cut = list(held.frame.ready())
    assert [payload_of(each) for each in cut] == [text[:100], text[100:200], text[200:]]
    if version == 4:
        assert [Ether(each)[IP].id for each in cut] == [7, 8, 9]
    for each in cut:
        assert_checksums(each)


def test_another_port_than_the_usual(host: Hosts) -> None:
    alice = host(4000)
    octets = frame(TEXT)
    assert alice.out(octets) == (GOES_ON, octets)
    code, offer = alice.out(bytes(udp(TEXT, to=4000)))
    assert code == GOES_ON
    assert payload_of(offer) != TEXT
