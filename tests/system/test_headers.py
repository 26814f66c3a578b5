"""The outer IP header as the wire shows it: traffic class, TTL, DF, fragments."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import rdpcap

from hushwire.lab.eve import Recorder
from hushwire.lab.topology import ALICE, BOB, Topology
from hushwire.sa.association import Address, Path
from hushwire.system.datagram import (
    open_raw,
    open_raw_esp,
    open_udp,
    receive_esp_marked,
    receive_marked,
    send,
    send_esp,
)
from hushwire.system.fragments import Fragmenter
from hushwire.system.icmp import open_too_big, receive_too_big
from hushwire.system.probes import ProbeSender, deafen, udp_datagram
from hushwire.wire.registry import IpProtocol
from tests.netns.forgery import too_big
from tests.netns.inside import inside
from tests.netns.waiting import wait_readable

ENDS: dict[int, tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]] = {
    socket.AF_INET: (ALICE.underlay, BOB.underlay),
    socket.AF_INET6: (ALICE.underlay6, BOB.underlay6),
}
families = pytest.mark.parametrize("family", ENDS, ids=["IPv4", "IPv6"])


def path(family: int, port: int) -> Path:
    local, remote = ENDS[family]
    return Path(Address(local, port), Address(remote, port))


def recorded(recorder: Recorder, family: int) -> list[Packet]:
    """The packets of alice's that eve saw, without neighbour discovery."""
    assert recorder.stop() == 0
    layer, source = (
        (IP, str(ALICE.underlay)) if family == socket.AF_INET else (IPv6, str(ALICE.underlay6))
    )
    packets = [Ether(bytes(frame)) for frame in rdpcap(str(recorder.file))]
    found = [packet[layer] for packet in packets if layer in packet]
    return [p for p in found if p.src == source and not (family != socket.AF_INET and p.nh == 58)]


@families
@pytest.mark.parametrize("tos", [0, 1, 0b101110_10, 0xFF])
def test_the_traffic_class_is_set_and_received_per_packet_and_ttl_is_64(
    topology: Topology, family: int, tos: int
) -> None:
    recorder = Recorder(topology)
    with inside(topology, "alice"):
        udp, esp = open_udp(family, 4500), open_raw_esp(family)
    with inside(topology, "bob"):
        udp_there, esp_there = open_udp(family, 4500), open_raw_esp(family)
    with udp, esp, udp_there, esp_there:
        send(udp, b"in UDP", path(family, 4500), tos)
        wait_readable(udp_there)
        got = receive_marked(udp_there)
        assert got == (b"in UDP", Path(path(family, 4500).remote, path(family, 4500).local), tos)
        send_esp(esp, b"\0\0\1\0sealed", path(family, 0), tos)
        wait_readable(esp_there)
        assert receive_esp_marked(esp_there) == (b"\0\0\1\0sealed", *ENDS[family], tos)
        send(udp, b"the next one", path(family, 4500))
        wait_readable(udp_there)
        assert (receive_marked(udp_there) or [None])[-1] == 0
    for packet, seen in zip(recorded(recorder, family), (tos, tos, 0), strict=True):
        if family == socket.AF_INET:
            assert (packet.tos, packet.ttl, packet.flags.DF) == (seen, 64, False)
        else:
            assert (packet.tc, packet.hlim) == (seen, 64)


@families
def test_a_probe_has_df_and_is_refused_here_when_the_device_is_too_small(
    topology: Topology, family: int
) -> None:
    headers = 28 if family == socket.AF_INET else 48
    recorder = Recorder(topology)
    with inside(topology, "alice"):
        udp, prober = open_udp(family, 4500), ProbeSender([family])
    with inside(topology, "bob"):
        there = open_udp(family, 4500)
    content = bytes(index * 11 & 0xFF for index in range(1500 - headers))
    with udp, there:
        prober.send(content, path(family, 4500))
        wait_readable(there)
        assert (receive_marked(there) or [None])[0] == content
        with pytest.raises(OSError) as refused:
            prober.send(bytes(1501 - headers), path(family, 4500))
        assert refused.value.errno == errno.EMSGSIZE
        send(udp, bytes(1501 - headers), path(family, 4500))
    prober.close()
    first, *rest = recorded(recorder, family)
    assert len(rest) == 2  # fragments
    if family == socket.AF_INET:
        assert first.flags.DF
        assert not any(packet.flags.DF for packet in rest)


@families
def test_a_socket_that_only_sends_is_given_no_copy_of_what_comes_in(
    topology: Topology, family: int
) -> None:
    with inside(topology, "alice"):
        udp, hears, deaf = (
            open_udp(family, 4500),
            open_raw(family, IpProtocol.UDP),
            open_raw(family, IpProtocol.UDP),
        )
        deafen(deaf)
    with inside(topology, "bob"):
        there = open_udp(family, 4500)
    away = path(family, 4500)
    with udp, hears, deaf, there:
        send(there, b"to alice", Path(away.remote, away.local))
        wait_readable(udp)
        assert hears.recv(100).endswith(b"to alice")
        with pytest.raises(BlockingIOError):
            deaf.recv(100)
        # The kernel looks at the address before it copies, and at a filter afterwards.
        assert deaf.getsockname()[0] not in ("0.0.0.0", "::")
        send_esp(deaf, udp_datagram(b"to bob", away), away)
        wait_readable(there)
        assert receive_marked(there) == (b"to bob", Path(away.remote, away.local), 0)


@pytest.mark.parametrize("size", [1, 1231, 1232, 1233, 1400, 4000])
@pytest.mark.parametrize("mtu", [1280, 1399])
def test_fragments_of_our_own_are_small_enough_and_come_together_at_the_peer(
    topology: Topology, mtu: int, size: int
) -> None:
    family = socket.AF_INET6
    recorder = Recorder(topology)
    with inside(topology, "alice"):
        fragmenter = Fragmenter()
    with inside(topology, "bob"):
        udp_there, esp_there = open_udp(family, 4500), open_raw_esp(family)
    content = bytes(index * 7 & 0xFF for index in range(size))
    with udp_there, esp_there:
        fragmenter.send_esp(b"\0\0\1\0" + content, path(family, 0), mtu, 2)
        wait_readable(esp_there)
        assert receive_esp_marked(esp_there) == (b"\0\0\1\0" + content, *ENDS[family], 2)
        fragmenter.send_udp(content, path(family, 4500), mtu, 1)
        wait_readable(udp_there)
        got = receive_marked(udp_there)
        assert got is not None
        assert (got[0], got[1].remote.port, got[2]) == (content, 4500, 1)
    fragmenter.close()
    seen = recorded(recorder, family)
    assert all(IPv6ExtHdrFragment in packet and len(packet) <= mtu for packet in seen)
    assert len({packet[IPv6ExtHdrFragment].id for packet in seen}) == 2


@families
def test_only_too_big_errors_are_heard_and_none_that_come_by_the_excepted_device(
    topology: Topology, family: int
) -> None:
    with inside(topology, "alice"):
        hears = open_too_big(family)
        wire = socket.if_nametoindex("eth0")
    target = str(ENDS[family][1])
    with hears:
        # bob's kernel says "port unreachable", which is another error; and an echo is none.
        topology.run("alice", ["ping", "-c", "1", target])
        with inside(topology, "alice"), open_udp(family, 4500) as udp:
            send(udp, b"anybody?", path(family, 4501))
        _forge(topology, family, 1400)
        wait_readable(hears)
        error = receive_too_big(hears, 0)
        assert error is not None
        assert (error.mtu, error.protocol, error.payload) == (1400, 50, b"\0\0\1\0sequence")
        assert receive_too_big(hears, 0) is None
        _forge(topology, family, 1300)
        wait_readable(hears)
        assert receive_too_big(hears, wire) is None


def _forge(topology: Topology, family: int, mtu: int) -> None:
    victim, peer = ENDS[family]
    topology.run("bob", too_big(str(victim), str(peer), mtu, b"\0\0\1\0sequence"))
