"""Everything into the tunnel, and the tunnel's own outer packets beside it."""

from __future__ import annotations

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, read, tally
from hushwire.lab.topology import BOB, WIRE, Topology
from tests.netns.tunnels import both_up, devices, interrupt, ping, sides

FAR = ("203.0.113.7", "2001:db8:7::7")


@pytest.mark.parametrize("outer", ["underlay", "underlay6"])
def test_all_of_ipv4_and_ipv6_goes_through_and_the_outer_path_is_not_lost(
    topology: Topology, outer: str
) -> None:
    alice, bob = sides(topology)
    alice.write(networks=["0.0.0.0/0", "::/0"], endpoint=str(getattr(BOB, outer)))
    bob.write(
        local_networks=["0.0.0.0/0", "::/0"],
        endpoint=str(getattr(bob.other, outer)),
        start="wait",
    )
    topology.ip(f"address add {FAR[0]}/32 dev lo", f"address add {FAR[1]}/128 dev lo", host="bob")
    before = [topology.run("alice", ["ip", *family, "rule"]).stdout for family in ([], ["-6"])]
    recorder = Recorder(topology)
    first, second = both_up(alice, bob, at_once=False)
    for target in (*FAR, BOB.tunnel.ip, BOB.tunnel6.ip, BOB.underlay, BOB.underlay6):
        ping(topology, "alice", target)
    interrupt(first)
    assert devices(topology, "alice") == {"lo", WIRE}
    after = [topology.run("alice", ["ip", *family, "rule"]).stdout for family in ([], ["-6"])]
    assert after == before
    second.wait_for_line("the peer closed the tunnel")
    recorder.stop()
    counts = tally(read(recorder.file))
    assert counts[Kind.CLEAR] == 0
    assert counts[Kind.ESP] >= 2 * 3 * 6


def test_a_network_around_the_endpoint_is_carried_too(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(networks=["192.168.0.0/16", "10.0.1.2/32"])
    bob.write(
        networks=["10.0.1.1/32"], local_networks=["192.168.0.0/16", "10.0.1.2/32"], start="wait"
    )
    topology.ip("address add 192.168.200.1/32 dev lo", host="bob")
    both_up(alice, bob, at_once=False)
    ping(topology, "alice", "192.168.200.1")
    ping(topology, "alice", BOB.tunnel.ip)
