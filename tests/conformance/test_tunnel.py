"""Two engines, two hosts, one wire: everything arrives, and nobody in between can read it."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.engines.base import SaCounters
from hushwire.esp.size import inner_mtu
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.system.stream import accept, open_listener, open_stream, path_of
from tests.conformance.hosts import ENGINES, NATT, Host, host, wiretap
from tests.conformance.namespaces import eventually, joined
from tests.sa.pairs import pair

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
WIRE_MTU = 1500
MARK = "68757368"  # "hush", the pattern in every ping
SECRET = b"hush" * 8

PAIRS = pytest.mark.parametrize("engines", list(itertools.product(ENGINES, repeat=2)), ids="-".join)
ENCAPSULATIONS = pytest.mark.parametrize("encapsulation", Encapsulation, ids=lambda e: e.value)
OUTSIDES = pytest.mark.parametrize("outside", [4, 6], ids=lambda version: f"IPv{version}")


@contextmanager
def tunnel(
    engines: tuple[str, str], outside: int, children: tuple[ChildSa, ChildSa]
) -> Generator[tuple[Host, Host]]:
    mtu = inner_mtu(WIRE_MTU, outside, children[0].encapsulation, children[0].suite.cipher)
    with (
        joined(("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64")) as ends,
        host(ends[0], engines[0], inner=("10.0.1.1/24", "fd00::1/64"), mtu=mtu) as alice,
        host(ends[1], engines[1], inner=("10.0.1.2/24", "fd00::2/64"), mtu=mtu) as bob,
    ):
        if children[0].encapsulation is Encapsulation.TCP:
            paths = connect(alice, bob, str(children[0].path.remote.ip))
            children = replace(children[0], path=paths[0]), replace(children[1], path=paths[1])
        alice.engine.install(children[0])
        bob.engine.install(children[1])
        yield alice, bob


def connect(alice: Host, bob: Host, address: str) -> tuple[Path, Path]:
    """A TCP connection from alice's engine to bob's; its path as each of them sees it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with bob.namespace.call(lambda: open_listener(family, NATT)) as listener:
        stream = alice.namespace.call(lambda: open_stream(ip_address(address)))
        stream.setblocking(True)
        stream.connect((address, NATT))
        stream.setblocking(False)
        accepted = accept(listener)
    assert accepted is not None
    ours, theirs = path_of(stream), accepted[1]
    alice.engine.add_stream(stream, ours, originated=True)
    bob.engine.add_stream(*accepted, originated=False)
    return ours, theirs


def is_esp(frame: bytes, outside: int, encapsulation: Encapsulation) -> bool:
    packet = Ether(frame)[IP if outside == 4 else IPv6]
    if encapsulation is Encapsulation.UDP:
        return UDP in packet and packet[UDP].sport == packet[UDP].dport == NATT
    if encapsulation is Encapsulation.TCP:
        return TCP in packet and NATT in (packet[TCP].sport, packet[TCP].dport)
    return bool((packet.proto if outside == 4 else packet.nh) == 50)


@PAIRS
@ENCAPSULATIONS
@OUTSIDES
@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
def test_pings_pass_and_the_wire_shows_only_esp(
    engines: tuple[str, str], encapsulation: Encapsulation, outside: int, cipher: Cipher
) -> None:
    left, right = OUTER[outside]
    children = pair(cipher, encapsulation=encapsulation, alice=left, bob=right)
    mtu = inner_mtu(WIRE_MTU, outside, encapsulation, cipher)
    with tunnel(engines, outside, children) as (alice, bob), wiretap(bob.namespace) as frames:
        for address, headers in (("10.0.1.2", 28), ("fd00::2", 48)):
            # The smallest, and the largest that fits the TUN device, whole.
            for size in (16, mtu - headers):
                alice.namespace.run(
                    *("ping", "-c", "3", "-i", "0.01", "-W", "20", "-M", "do"),
                    *("-s", str(size), "-p", MARK, address),
                )

        # On a busy machine ping ends before its last answer is there, or even sent.
        def counts() -> tuple[SaCounters, SaCounters]:
            return (
                alice.counters().sas[children[0].inbound_spi],
                bob.counters().sas[children[1].inbound_spi],
            )

        def all_arrived() -> bool:
            sent, received = counts()
            return received.packets_in == sent.packets_out >= 12

        eventually("all that was sent has arrived", all_arrived)
        sent, received = counts()
        captured = frames()
        assert alice.dropped() == bob.dropped() == {}
    assert received.bytes_in == sent.bytes_out >= 6 * mtu
    assert received.last_in is not None
    assert not [frame for frame in captured if b"hush" in frame], "plaintext on the wire"
    protected = [frame for frame in captured if is_esp_or_none(frame, outside, encapsulation)]
    if encapsulation is not Encapsulation.TCP:  # there a segment may hold several
        assert len(protected) >= sent.packets_out + sent.packets_in
    assert max(len(frame) for frame in captured) <= WIRE_MTU + 14, "an inner MTU too large"


def is_esp_or_none(frame: bytes, outside: int, encapsulation: Encapsulation) -> bool:
    """False for what the kernels say about the wire itself: ARP, neighbours, multicast groups."""
    ethernet = Ether(frame)
    layer = IP if outside == 4 else IPv6
    return layer in ethernet and is_esp(frame, outside, encapsulation)


@PAIRS
@ENCAPSULATIONS
def test_a_tcp_stream_arrives_whole(engines: tuple[str, str], encapsulation: Encapsulation) -> None:
    children = pair(encapsulation=encapsulation)
    content = SECRET * 100_000
    with tunnel(engines, 4, children) as (alice, bob), wiretap(bob.namespace) as frames:
        server = bob.namespace.call(lambda: socket.create_server(("10.0.1.2", 8000)))
        received = bytearray()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(65536):
                    received.extend(piece)

        reader = threading.Thread(target=serve)
        reader.start()
        client = alice.namespace.call(
            lambda: socket.create_connection(("10.0.1.2", 8000), timeout=60)
        )
        with client:
            client.sendall(content)
        reader.join()
        server.close()
        assert not [frame for frame in frames() if SECRET[:8] in frame]
    assert bytes(received) == content


@PAIRS
def test_a_stream_of_pings_survives_a_rekeying(engines: tuple[str, str]) -> None:
    old, new = pair(), pair(generation=1)
    with tunnel(engines, 4, old) as (alice, bob):
        ping = threading.Thread(
            target=alice.namespace.run,
            args=("ping", "-c", "100", "-i", "0.005", "-W", "20", "-q", "10.0.1.2"),
        )
        ping.start()
        bob.engine.install(new[1])
        alice.engine.install(new[0])
        eventually(
            "both ends use the new SA",
            lambda: all(
                end.counters().sas[sa.inbound_spi].packets_in
                for end, sa in ((alice, new[0]), (bob, new[1]))
            ),
        )
        ping.join()
        alice.engine.remove(old[0].inbound_spi)
        bob.engine.remove(old[1].inbound_spi)
        assert list(alice.counters().sas) == [new[0].inbound_spi]
        alice.namespace.run("ping", "-c", "1", "-W", "20", "10.0.1.2")
