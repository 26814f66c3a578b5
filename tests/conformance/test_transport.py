"""Transport mode by every engine: own headers on the wire, whole datagrams only."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hushwire.engines.base import Drop
from hushwire.sa.association import ChildSa, Encapsulation
from hushwire.system import policy
from hushwire.system.addresses import device_index
from tests.conformance.hosts import ENGINES, Host, host, wiretap
from tests.conformance.namespaces import WIRE, eventually, joined
from tests.esp.test_transport import hosts as children_of
from tests.sa.pairs import mirror, path

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.0.1.1", "10.0.1.2"), 6: ("fd00::1", "fd00::2")}
MARK = "68757368"  # "hush", the pattern in every ping
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=lambda version: f"IPv{version}")
PAIRS = pytest.mark.parametrize("engines", list(itertools.product(ENGINES, repeat=2)), ids="-".join)


@contextmanager
def two_hosts(
    engines: tuple[str, str], family: int, encapsulation: Encapsulation
) -> Generator[tuple[Host, Host, ChildSa]]:
    """Engines with an SA each, and routes for sealed packets under the TUN devices' addresses."""
    of_alice = replace(
        children_of(family)[0], path=path(*OUTER[family]), encapsulation=encapsulation
    )
    with (
        joined(("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64")) as ends,
        host(ends[0], engines[0], inner=("10.0.1.1/24", "fd00::1/64")) as alice,
        host(ends[1], engines[1], inner=("10.0.1.2/24", "fd00::2/64")) as bob,
    ):
        for end, child, other in (
            (alice, of_alice, 1),
            (bob, mirror(of_alice, "alice"), 0),
        ):
            end.namespace.call(partial(_lead, INNER[family][other], OUTER[family][other]))
            end.engine.install(child)
        yield alice, bob, of_alice


def _lead(inner: str, outer: str) -> None:
    index = device_index("hush0")
    policy.refuse(index, ip_address(inner))
    policy.lead(index, ip_address(inner), ip_address(outer), device_index(WIRE))


def sealed(frames: list[bytes], family: int) -> list[Packet]:
    layer = IP if family == 4 else IPv6
    packets = [Ether(frame)[layer] for frame in frames if layer in Ether(frame)]
    return [packet for packet in packets if _protocol(packet) in (50, 17)]


def _protocol(packet: Packet) -> int:
    if packet.version == 4:
        return int(packet.proto)
    fragment = packet.getlayer(IPv6ExtHdrFragment)
    return int(fragment.nh if fragment else packet.nh)


@PAIRS
@FAMILIES
@pytest.mark.parametrize("encapsulation", [Encapsulation.ESP, Encapsulation.UDP])
def test_pings_of_every_kind_of_size_pass_sealed(
    engines: tuple[str, str], family: int, encapsulation: Encapsulation
) -> None:
    with two_hosts(engines, family, encapsulation) as (alice, bob, child):
        with wiretap(bob.namespace) as frames:
            for size in (16, 1300, 1400, 8000):
                alice.namespace.run(
                    *("ping", "-c", "3", "-i", "0.01", "-W", "20"),
                    *("-s", str(size), "-p", MARK, INNER[family][1]),
                )

            # On a busy machine ping ends before its last answer is there.
            def answered() -> bool:
                sent = alice.counters().sas[child.inbound_spi]
                return (sent.packets_out, sent.packets_in) == (12, 12)

            eventually("twelve whole datagrams each way", answered)
            captured = frames()
        assert alice.dropped() == bob.dropped() == {}
        sent = alice.counters().sas[child.inbound_spi]
    assert sent.bytes_out >= 3 * (16 + 1300 + 1400 + 8000)
    assert not [frame for frame in captured if b"hush" in frame], "plaintext on the wire"
    packets = sealed(captured, family)
    protected = encapsulation is Encapsulation.ESP
    seen = INNER[family] if protected else OUTER[family]
    assert {packet.src for packet in packets} == set(seen)
    assert {_protocol(packet) for packet in packets} == {50 if protected else 17}
    assert max(len(frame) for frame in captured) <= 1514


@pytest.mark.parametrize("engine", ENGINES)
@FAMILIES
def test_a_fragment_is_never_sealed_and_two_that_overlap_are_counted(
    engine: str, family: int
) -> None:
    with two_hosts((engine, engine), family, Encapsulation.ESP) as (alice, bob, _):
        packets = alice.namespace.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
        with packets, wiretap(bob.namespace) as frames:
            for start in (0, 8, 16, 800):  # in eights of octets; 100 of them each
                packets.sendto(
                    _fragment(family, start), ("hush0", 0x0800 if family == 4 else 0x86DD)
                )
            alice.await_drops({Drop.REASSEMBLY: 1})
            assert not sealed(frames(), family)


def _fragment(family: int, start: int) -> bytes:
    source, destination = INNER[family]
    data = Raw(bytes(UDP(sport=1, dport=2)) + bytes(792))
    if family == 4:
        return bytes(IP(src=source, dst=destination, id=7, flags="MF", frag=start, proto=17) / data)
    header = IPv6ExtHdrFragment(offset=start, m=1, id=7, nh=17)
    return bytes(IPv6(src=source, dst=destination) / header / data)
