"""What an engine does to packets at the tunnel's mouth: ECN, DSCP, MSS, too large, in fragments."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hushwire.engines.base import Drop, Engine, Interface
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.esp.size import inner_mtu
from hushwire.sa.association import ChildSa, Encapsulation
from hushwire.system.datagram import open_raw_esp, open_udp
from hushwire.system.fragments import Fragmenter
from tests.conformance.hosts import ENGINES, NATT, wiretap
from tests.conformance.namespaces import Namespace, eventually, joined
from tests.sa.pairs import pair

ADDRESSES = (("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64"))
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
FROM_BOB4 = IP(src="10.0.1.2", dst="10.0.1.1", flags="DF")
FROM_BOB6 = IPv6(src="fd00::2", dst="fd00::1")

outsides = pytest.mark.parametrize("outside", [4, 6], ids=lambda version: f"IPv{version}")
# Inside TCP a connection comes first: test_stream.py.
encapsulations = pytest.mark.parametrize(
    "encapsulation", [Encapsulation.ESP, Encapsulation.UDP], ids=lambda e: e.value
)
engines = pytest.mark.parametrize("engine", ENGINES)


@dataclass
class Mouth:
    """Bob's engine between the wire and a socket pair that plays his TUN device."""

    engine: Engine
    inside: socket.socket
    alice: Namespace
    of_alice: ChildSa
    of_bob: ChildSa
    outside: int

    def __post_init__(self) -> None:
        self.sealing = OutboundSa(self.of_alice)
        self.opening = InboundSa(self.of_alice)
        self.wire = self.alice.call(self._open)

    def _open(self) -> socket.socket:
        family = socket.AF_INET if self.outside == 4 else socket.AF_INET6
        if self.of_bob.encapsulation is Encapsulation.UDP:
            return open_udp(family, NATT)
        return open_raw_esp(family)

    def send(self, packet: Packet, tos: int = 0) -> None:
        """From Alice, through the tunnel."""
        level, kind = (0, 1) if self.outside == 4 else (41, 67)
        self.wire.sendmsg(
            [self.sealing.seal(bytes(packet))],
            [(level, kind, tos.to_bytes(4, "little"))],
            0,
            (OUTER[self.outside][1], self.of_bob.path.local.port if self._in_udp else 0),
        )

    @property
    def _in_udp(self) -> bool:
        return self.of_bob.encapsulation is Encapsulation.UDP

    def arrives(self) -> bytes:
        """What Bob's host gets next."""
        assert select.select([self.inside], [], [], 30)[0], "nothing came"
        return self.inside.recv(65535)

    def speak(self, packet: Packet) -> None:
        """Bob's host sends this."""
        self.inside.send(bytes(packet))

    def hears(self) -> bytes:
        """The next inner packet that Alice gets; her kernel puts fragments together."""
        assert select.select([self.wire], [], [], 30)[0], "nothing came"
        packet = self.wire.recv(65535)
        if self.outside == 4 and not self._in_udp:
            packet = packet[20:]
        return self.opening.open(packet).inner


@contextmanager
def mouth(
    engine: str,
    outside: int = 4,
    encapsulation: Encapsulation = Encapsulation.UDP,
    *,
    copy_dscp: bool = False,
) -> Generator[Mouth]:
    left, right = OUTER[outside]
    of_alice, of_bob = pair(encapsulation=encapsulation, alice=left, bob=right)
    of_bob = replace(of_bob, copy_dscp=copy_dscp)
    with joined(*ADDRESSES) as (alice, bob):
        udp = tuple(bob.call(partial(open_udp, f, NATT)) for f in (socket.AF_INET, socket.AF_INET6))
        raw = tuple(bob.call(partial(open_raw_esp, f)) for f in (socket.AF_INET, socket.AF_INET6))
        fragmenter = bob.call(Fragmenter)
        inside, tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        tun.setblocking(False)
        running = ENGINES[engine]()
        running.open(Interface("hush0", tun.fileno(), udp, raw, fragmenter=fragmenter))
        try:
            running.install(of_bob)
            ready = Mouth(running, inside, alice, of_alice, of_bob, outside)
            with ready.wire:
                yield ready
        finally:
            running.close()
            fragmenter.close()
            for sock in (*udp, *raw, inside, tun):
                sock.close()


def outer(frame: bytes, outside: int) -> Packet | None:
    """The outer IP header of a frame of Bob's that carries ESP, whole or in part."""
    ethernet = Ether(frame)
    packet = ethernet.getlayer(IP if outside == 4 else IPv6)
    if packet is None or packet.src != OUTER[outside][1]:
        return None
    carries = packet.proto if outside == 4 else packet.nh
    return packet if carries in {17, 44, 50} else None


@engines
@outsides
@encapsulations
def test_ecn_goes_out_with_the_packet_and_comes_in_with_it(
    engine: str, outside: int, encapsulation: Encapsulation
) -> None:
    with mouth(engine, outside, encapsulation) as bob, wiretap(bob.alice) as frames:
        for version, header in ((4, FROM_BOB4), (6, FROM_BOB6)):
            for tos in (0b101110_00, 0b101110_01, 0b101110_10, 0b101110_11):
                packet = header / UDP() / Raw(b"x")
                packet.setfieldval("tos" if version == 4 else "tc", tos)
                bob.speak(packet)
                assert bob.hears() == bytes(packet)
        seen = [packet for frame in frames() if (packet := outer(frame, outside))]
        classes = [packet.tos if outside == 4 else packet.tc for packet in seen]
        assert classes == [0, 1, 2, 3] * 2
        assert {packet.ttl if outside == 4 else packet.hlim for packet in seen} == {64}

        for inner, marked, after in ((2, 3, 3), (1, 3, 3), (2, 1, 1), (0, 2, 0), (3, 0, 3)):
            for header in (IP(src="10.0.1.1", dst="10.0.1.2"), IPv6(src="fd00::1", dst="fd00::2")):
                field = "tos" if header.version == 4 else "tc"
                packet = header / UDP() / Raw(b"x")
                packet.setfieldval(field, 0b101110_00 | inner)
                bob.send(packet, 0b001010_00 | marked)
                packet.setfieldval(field, 0b101110_00 | after)
                assert bob.arrives() == bytes(type(packet)(bytes(packet)))
        bob.send(IP(src="10.0.1.1", dst="10.0.1.2", tos=0) / UDP() / Raw(b"lost"), 3)
        eventually("a drop", lambda: bob.engine.counters().drops[Drop.CONGESTED] == 1)


@engines
@outsides
def test_the_dscp_is_shown_outside_only_when_that_is_wanted(engine: str, outside: int) -> None:
    with mouth(engine, outside, copy_dscp=True) as bob, wiretap(bob.alice) as frames:
        packet = IP(src="10.0.1.2", dst="10.0.1.1", tos=0b101110_10) / UDP()
        bob.speak(packet)
        assert bob.hears() == bytes(packet)
        (seen,) = [packet for frame in frames() if (packet := outer(frame, outside))]
        assert (seen.tos if outside == 4 else seen.tc) == 0b101110_10


@engines
@outsides
@encapsulations
def test_too_large_is_told_to_the_sender_and_what_must_pass_passes(
    engine: str, outside: int, encapsulation: Encapsulation
) -> None:
    with mouth(engine, outside, encapsulation) as bob:
        suite = bob.of_bob.suite
        for mtu in (1280, 1400, 1500):
            bob.engine.set_path_mtu(bob.of_bob.inbound_spi, mtu, mtu)
            fits = inner_mtu(mtu, outside, encapsulation, suite.cipher)
            for version, header, least in ((4, FROM_BOB4, 576), (6, FROM_BOB6, 1280)):
                limit = max(fits, least)
                headers = 28 if version == 4 else 48
                for size in (headers, limit - 1, limit):
                    packet = header / UDP() / Raw(b"x" * (size - headers))
                    bob.speak(packet)
                    assert bob.hears() == bytes(packet)
                bob.speak(header / UDP() / Raw(b"x" * (limit + 1 - headers)))
                told = (IP if version == 4 else IPv6)(bob.arrives())
                error = told[ICMP] if version == 4 else told[ICMPv6PacketTooBig]
                assert (error.nexthopmtu if version == 4 else error.mtu) == limit
                assert told.dst == header.src
            # IPv4 without DF is sealed whole and travels in fragments.
            free = IP(src="10.0.1.2", dst="10.0.1.1") / UDP() / Raw(os.urandom(3000))
            bob.speak(free)
            assert bob.hears() == bytes(free)
        assert bob.engine.counters().drops[Drop.TOO_BIG] == 6


@engines
@encapsulations
def test_ipv6_outside_is_never_larger_than_what_goes_whole(
    engine: str, encapsulation: Encapsulation
) -> None:
    with mouth(engine, 6, encapsulation) as bob, wiretap(bob.alice) as frames:
        bob.engine.set_path_mtu(bob.of_bob.inbound_spi, 1500, 1280)
        for size in (1100, 1200, 1250, 1300, 1400):
            packet = FROM_BOB4 / UDP() / Raw(os.urandom(size - 28))
            packet.tos = 2
            bob.speak(packet)
            assert bob.hears() == bytes(packet)
        seen = [packet for frame in frames() if (packet := outer(frame, 6))]
        assert max(len(packet) for packet in seen) <= 1280
        assert sum(IPv6ExtHdrFragment in packet for packet in seen) >= 6
        assert {packet.tc for packet in seen} == {2}


@engines
def test_a_syn_of_either_direction_says_what_fits(engine: str) -> None:
    with mouth(engine) as bob:
        syn = TCP(flags="S", options=[("MSS", 1460), ("SAckOK", b"")])
        bob.speak(FROM_BOB4 / syn)
        assert dict(IP(bob.hears())[TCP].options)["MSS"] == 1460  # no path MTU is told yet
        bob.engine.set_path_mtu(bob.of_bob.inbound_spi, 1400, 1400)
        fits = inner_mtu(1400, 4, Encapsulation.UDP, bob.of_bob.suite.cipher)
        for header, least in ((FROM_BOB4, 40), (FROM_BOB6, 60)):
            bob.speak(header / syn)
            got = type(header)(bob.hears())
            assert dict(got[TCP].options)["MSS"] == fits - least
        for header, least in (
            (IP(src="10.0.1.1", dst="10.0.1.2"), 40),
            (IPv6(src="fd00::1", dst="fd00::2"), 60),
        ):
            bob.send(header / syn)
            got = type(header)(bob.arrives())
            assert dict(got[TCP].options)["MSS"] == fits - least
            checksum = got[TCP].chksum
            del got[TCP].chksum
            assert type(header)(bytes(got))[TCP].chksum == checksum


@engines
def test_the_errors_are_limited_in_number_and_the_drops_are_not(engine: str) -> None:
    with mouth(engine) as bob:
        bob.engine.set_path_mtu(bob.of_bob.inbound_spi, 1400, 1400)
        packet = FROM_BOB4 / UDP() / Raw(bytes(1400))
        began = time.monotonic()
        for _ in range(1000):
            bob.speak(packet)
        eventually("drops", lambda: bob.engine.counters().drops[Drop.TOO_BIG] == 1000)
        bob.inside.setblocking(False)
        errors = 0
        while select.select([bob.inside], [], [], 0)[0]:
            bob.inside.recv(65535)
            errors += 1
        assert 100 <= errors <= 100 * (time.monotonic() - began + 2)


@engines
def test_a_path_mtu_for_no_sa_is_a_mistake(engine: str) -> None:
    with mouth(engine) as bob, pytest.raises(KeyError):
        bob.engine.set_path_mtu(1, 1500, 1500)
