"""Fragments through the programs: what was decided for the first one holds for all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from hushwire.classroom.exchange import xor
from hushwire.classroom.frames import Part
from hushwire.classroom.programs import MARK_RESEND, HeldFrame, Unreadable
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
    ether,
    udp,
)

Hosts = Callable[[], Host]
VERSIONS = pytest.mark.parametrize("version", [4, 6])
TEXT = bytes(range(250)) * 14


def cut(version: int, port: int = PORT) -> list[bytes]:
    """TEXT from A to B in three fragments, in order."""
    if version == 4:
        whole = udp(TEXT, source=port, to=port)
        pieces = fragment(IP(bytes(whole[IP])), fragsize=1480)
    else:
        headers = IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=77)
        # Built by hand once, so that the checksum is that of the whole.
        message = bytes(udp(TEXT, version=6, source=port, to=port)[UDP])
        pieces = fragment6(headers / UDP(message), 1500)
    return [bytes(ether() / piece) for piece in pieces]


def data(octets: bytes) -> bytes:
    """What the fragment holds of the datagram: behind its IP headers."""
    packet = Ether(octets)
    if IP in packet:
        return bytes(packet[IP].payload)
    return bytes(packet[IPv6ExtHdrFragment].payload)


@VERSIONS
def test_a_fragmented_message_arrives_whole(host: Hosts, version: int) -> None:
    alice, bob = host(), host()
    secret = agree(alice, bob, version=version)
    pieces = cut(version)
    assert len(pieces) == 3
    sealed = []
    for piece in pieces:
        code, after = alice.out(piece)
        assert code == GOES_ON
        sealed.append(after)
    on_the_wire = b"".join(map(data, sealed))
    # The checksum, octets 6 and 7, is that of the whole in clear, and stays.
    assert on_the_wire[:8] == data(pieces[0])[:8]
    assert on_the_wire[8:] == xor(TEXT, secret)
    assert [bob.get(piece) for piece in sealed] == [(GOES_ON, piece) for piece in pieces]
    assert alice.counts()["egress xored"] == (1, len(TEXT))
    assert bob.counts()["ingress xored"] == (1, len(TEXT))


@VERSIONS
def test_all_fragments_wait_for_the_key_and_leave_in_order(host: Hosts, version: int) -> None:
    alice, bob = host(), host()
    pieces = cut(version)
    for piece in pieces:
        assert alice.out(piece)[0] == SWALLOWED  # the sender must not stop after the first one
    held = [event for event in alice.events() if isinstance(event, HeldFrame)]
    assert [event.frame.part for event in held] == [Part.FIRST, Part.LATER, Part.LATER]
    assert not any(event.offered for event in held)
    assert alice.counts() == {"egress held": (1, len(TEXT))}
    agree_after_knock(alice, bob, held[0])
    (secret,) = [alice.secret(version)]
    assert secret is not None
    for event, piece in zip(held, pieces, strict=True):
        (resent,) = event.frame.ready()
        assert resent == piece
        code, sealed, mark = alice.programs.test_run("egress", resent, MARK_RESEND)
        assert (code, mark) == (GOES_ON, 0)
        assert bob.get(sealed) == (GOES_ON, piece)
    assert alice.counts()["egress xored"] == (1, len(TEXT))


def agree_after_knock(alice: Host, bob: Host, held: HeldFrame) -> None:
    """What user space does when no OFFER could be made of the frame itself."""
    from hushwire.classroom.programs import MARK_KNOCK

    code, offer = alice.out(held.frame.knock(back=False), MARK_KNOCK)
    assert code == GOES_ON
    code, answer = bob.get(offer)
    assert code == REDIRECTED
    alice.get(answer)


@VERSIONS
def test_fragments_that_cannot_be_read_are_all_dropped(host: Hosts, version: int) -> None:
    alice, bob, reborn = host(), host(), host()
    agree(alice, bob, version=version)
    for piece in cut(version):
        assert reborn.get(alice.out(piece)[1])[0] == DROPPED
    (event,) = reborn.events()
    assert isinstance(event, Unreadable)
    assert reborn.counts() == {"ingress unreadable": (1, len(TEXT))}


@VERSIONS
def test_fragments_of_another_port_pass_and_end_what_was_known_of_their_number(
    host: Hosts, version: int
) -> None:
    alice, bob = host(), host()
    agree(alice, bob, version=version)
    for piece in cut(version):
        assert alice.out(piece)[1] != piece
    for piece in cut(version, port=53):  # the same identification, come round
        assert alice.out(piece) == (GOES_ON, piece)


def test_directions_do_not_mix(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    first, later, _ = cut(4)
    alice.out(first)
    packet = Ether(later)
    packet[IP].src, packet[IP].dst = packet[IP].dst, packet[IP].src
    del packet[IP].chksum
    assert alice.get(bytes(packet)) == (GOES_ON, bytes(packet))


def test_a_later_fragment_with_a_length_that_lies_is_not_touched(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    first, later, _ = cut(4)
    alice.out(first)
    packet = Ether(later)
    packet[IP].len = 9000
    del packet[IP].chksum
    assert alice.out(bytes(packet)) == (GOES_ON, bytes(packet))


def test_an_empty_later_fragment_is_no_trouble(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    first, *_ = cut(4)
    alice.out(first)
    packet = Ether(first)
    end = ether() / IP(src=packet[IP].src, dst=packet[IP].dst, id=7, proto=17, frag=185) / Raw(b"")
    assert alice.out(bytes(end)) == (GOES_ON, bytes(end))
