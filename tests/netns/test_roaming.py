"""Hosts that get other addresses, or begin anew: the tunnel goes on."""

from __future__ import annotations

import pytest

from hushwire.lab.topology import ALICE, BOB, Topology
from tests.netns.tunnels import Side, both_up, in_one_tunnel, interrupt, ping, sides
from tests.netns.waiting import wait_until
from tests.netns.watched import kill, watching

ELSEWHERE = "192.168.77.77"


def readdress(topology: Topology, host: str, old: str, new: str) -> None:
    """The host has another address on the same wire, as after a DHCP lease or another network."""
    topology.ip(f"address del {old}/24 dev eth0", host=host)
    topology.ip(f"address add {new}/24 dev eth0", host=host)


def without_ipv6(topology: Topology) -> None:
    """On the wire: else the tunnel goes on there in the moment between two IPv4 addresses."""
    for host in (ALICE.name, BOB.name):
        topology.run(host, ["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1"])


def arrives_from(side: Side, address: str) -> None:
    """Wait until the side has its peer there."""
    wait_until(lambda: side.tunnel()["remote_endpoint"].startswith(f"{address}:"), "new endpoint")


def spis(side: Side) -> tuple[str, str, str]:
    tunnel = side.tunnel()
    return tunnel["ike_spi"], tunnel["spi_in"], tunnel["spi_out"]


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_host_gets_another_address_and_the_same_tunnel_goes_on(
    topology: Topology, who: str
) -> None:
    without_ipv6(topology)
    alice, bob = sides(topology)
    bob.write(start="wait")  # alice is the one who decides (RFC 4555 §3.5)
    programs = both_up(alice, bob, at_once=False)
    before = spis(alice)
    mover, other = (alice, bob) if who == "alice" else (bob, alice)
    old = str(mover.me.underlay)
    for leaves, comes in ((old, ELSEWHERE), (ELSEWHERE, old)):
        readdress(topology, who, leaves, comes)
        arrives_from(other, comes)
        ping(topology, "alice", BOB.tunnel.ip)
        ping(topology, "bob", ALICE.tunnel.ip)
    assert spis(alice) == before
    for program in programs:
        interrupt(program)


def test_nothing_leaves_in_clear_while_a_host_moves(topology: Topology) -> None:
    """Its network's default route leads past the tunnel, as every network's does."""
    without_ipv6(topology)
    alice, bob = sides(topology)
    bob.write(start="wait")
    programs = both_up(alice, bob, at_once=False)
    old = str(ALICE.underlay)
    topology.ip(f"route add default via {BOB.underlay} dev eth0", host="alice")
    with watching(topology) as watch:
        for leaves, comes in ((old, ELSEWHERE), (ELSEWHERE, old)):
            readdress(topology, "alice", leaves, comes)
            topology.ip(f"route add default via {BOB.underlay} dev eth0", host="alice")
            arrives_from(bob, comes)
            ping(topology, "alice", BOB.tunnel.ip)
    watch.assert_nothing_in_clear()
    assert watch.sealed > 0
    for program in programs:
        interrupt(program)


def test_without_mobike_a_new_tunnel_takes_the_place_of_the_old_one(topology: Topology) -> None:
    without_ipv6(topology)
    alice, bob = sides(topology)
    bob.write(start="wait", mobike=False)
    programs = both_up(alice, bob, at_once=False)
    before = spis(alice)
    readdress(topology, "alice", str(ALICE.underlay), ELSEWHERE)
    arrives_from(bob, ELSEWHERE)
    ping(topology, "alice", BOB.tunnel.ip)
    assert spis(alice)[0] != before[0]
    for program in programs:
        interrupt(program)


@pytest.mark.parametrize("start", ["up", "wait"])
def test_a_peer_that_was_killed_and_runs_again_is_noticed(topology: Topology, start: str) -> None:
    """Also where only the live side can connect: ESP by a forgotten SPI tells it."""
    alice, bob = sides(topology)
    bob.write(start=start)
    programs = both_up(alice, bob, at_once=False)
    before = spis(alice)
    kill(programs[1])
    pings = topology.start("alice", ["ping", "-i", "0.1", str(BOB.tunnel.ip)])
    again = bob.run()
    again.wait_for_line("tunnel up")
    wait_until(lambda: in_one_tunnel(alice, bob), "one tunnel for both")
    ping(topology, "alice", BOB.tunnel.ip)
    assert spis(alice)[0] != before[0]
    interrupt(pings)
    interrupt(programs[0])
    interrupt(again)
