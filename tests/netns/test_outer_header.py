"""End to end, what the outer header shows and what the inner one gets of it; and fragments."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import rdpcap

from hushwire.lab.eve import Recorder
from hushwire.lab.topology import ALICE, BOB, BRIDGE, EVE, TUNNEL, Resident, Topology
from tests.netns.forgery import fragments
from tests.netns.tunnels import Side, both_up, ping, sides

outers = pytest.mark.parametrize("outer", [4, 6], ids=lambda version: f"IPv{version}")
encaps = pytest.mark.parametrize("encap", ["esp", "udp"])
_TALK = [sys.executable, "-m", "hushwire.lab.talk"]

EF = 0b101110 << 2

# Eve's bridge is a router in trouble: every packet of a size that ESP and nothing else here has.
_MARK_CE = """
table bridge congested {
  chain forward { type filter hook forward priority 0;
    ip length > 600 ip dscp 0 ip ecn set ce
    ip6 length > 600 ip6 dscp 0 ip6 ecn set ce
  }
}
"""


def connected(
    topology: Topology, outer: int, encap: str, copy_dscp: bool | None = None
) -> tuple[Side, Side]:
    alice, bob = sides(topology)
    for side in (alice, bob):
        endpoint = side.other.underlay if outer == 4 else side.other.underlay6
        start = "up" if side is alice else "wait"
        side.write(encap=encap, endpoint=str(endpoint), start=start, copy_dscp=copy_dscp)
    both_up(alice, bob, at_once=False)
    return alice, bob


def captured(recorder: Recorder, source: Resident, outer: int) -> list[Packet]:
    """The outer headers of ESP that eve saw from one side."""
    assert recorder.stop() == 0
    layer, address = (IP, source.underlay) if outer == 4 else (IPv6, source.underlay6)
    found = []
    for frame in rdpcap(str(recorder.file)):
        packet = Ether(bytes(frame)).getlayer(layer)
        if packet is not None and packet.src == str(address):
            found.append(packet)
    return found


def inner_classes(topology: Topology, capture: Path) -> list[int]:
    """The traffic classes of the echo requests that bob's TUN device saw."""
    found = []
    for frame in rdpcap(str(topology.world.path(capture))):
        packet = bytes(frame)
        inner = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
        source = ALICE.tunnel.ip if inner.version == 4 else ALICE.tunnel6.ip
        if inner.src == str(source):
            found.append(int(inner.tos if inner.version == 4 else inner.tc))
    return found


@outers
@encaps
@pytest.mark.parametrize("copy_dscp", [None, True])
def test_ecn_and_on_demand_dscp_are_seen_outside_and_ttl_is_64(
    topology: Topology, outer: int, encap: str, copy_dscp: bool | None
) -> None:
    connected(topology, outer, encap, copy_dscp=copy_dscp)
    recorder = Recorder(topology)
    for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
        for ecn in range(4):
            options = ["-Q", str(EF | ecn), "-t", "9", "-s", "900"]
            topology.run("alice", ["ping", "-c", "1", "-W", "5", *options, str(target)])
    pings = [p for p in captured(recorder, ALICE, outer) if len(p) > 900 and len(p) < 1100]
    field, ttl = ("tos", "ttl") if outer == 4 else ("tc", "hlim")
    dscp = EF if copy_dscp else 0
    assert [getattr(packet, field) for packet in pings] == [dscp | ecn for ecn in range(4)] * 2
    assert {getattr(packet, ttl) for packet in pings} == {64}


@outers
@encaps
def test_congestion_that_eve_marks_arrives_inside_or_is_a_loss(
    topology: Topology, outer: int, encap: str
) -> None:
    _, bob = connected(topology, outer, encap)
    topology.run(EVE, ["nft", "-f", "-"], text=_MARK_CE)
    inside = Path("/run/lab/inside.pcap")
    dump = topology.start("bob", ["tcpdump", "-U", "-y", "RAW", "-i", TUNNEL, "-w", inside])
    dump.wait_for_line("listening on")
    for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
        for ecn in (1, 2, 3):
            ask = ["ping", "-c", "1", "-W", "5", "-s", "900", "-Q", str(EF | ecn), str(target)]
            topology.run("alice", ask)
        before = bob.drops("congested")
        ask = ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-s", "900", str(target)]
        done = topology.run("alice", ask, check=False)
        assert "100% packet loss" in done.stdout
        assert bob.drops("congested") == before + 3
    dump.stop()
    # What says that it understands ECN is told; its DSCP stays its own.
    assert inner_classes(topology, inside) == [EF | 3] * 6


@outers
@encaps
def test_the_inner_ttl_is_the_kernels_own_business(
    topology: Topology, outer: int, encap: str
) -> None:
    """RFC 4301 §5.1.2.1: what this host sends itself arrives with the TTL that it was sent with."""
    connected(topology, outer, encap)
    for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
        topology.run("alice", ["ping", "-c", "1", "-W", "5", "-t", "1", str(target)])


@outers
@encaps
@pytest.mark.parametrize("kind", ["unfinished", "overlapping"])
def test_fragments_that_eve_injects_leave_the_tunnel_alive(
    topology: Topology, outer: int, encap: str, kind: str
) -> None:
    _, bob = connected(topology, outer, encap)
    victim, peer = (
        (BOB.underlay, ALICE.underlay) if outer == 4 else (BOB.underlay6, ALICE.underlay6)
    )
    topology.run(
        EVE, fragments(str(victim), str(peer), 300, kind, f"{BRIDGE}/{_mac(topology)}"), seconds=120
    )
    for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
        # 3000 octets cross the wire in fragments of their own, among all of those.
        ping(topology, "alice", target, "-s", "3000")
    assert bob.tunnel()["state"] == "up"
    taking = topology.start("bob", [*_TALK, "take", str(BOB.tunnel.ip), "7001"])
    taking.wait_for_line("ready")
    given = topology.run("alice", [*_TALK, "give", str(BOB.tunnel.ip), "7001", "500000"]).stdout
    assert json.loads(given)["sha256"] == json.loads(taking.finish().splitlines()[-1])["sha256"]


def _mac(topology: Topology) -> str:
    (link,) = json.loads(topology.run("bob", ["ip", "-j", "link", "show", "eth0"]).stdout)
    return str(link["address"])
