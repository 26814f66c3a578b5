"""What applications send goes through the tunnel, whole, and eve sees nothing of it."""

from __future__ import annotations

import json

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, read, tally
from hushwire.lab.topology import BOB, Topology
from tests.netns.tunnels import both_up, ping, sides


def test_traffic_in_both_directions_is_counted_by_both(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.write(start="wait")
    both_up(alice, bob, at_once=False)
    ping(topology, "alice", BOB.tunnel.ip)
    a, b = alice.tunnel(), bob.tunnel()
    assert (a["packets_out"], a["packets_in"]) == (b["packets_in"], b["packets_out"]) == (3, 3)
    assert a["bytes_out"] == b["bytes_in"] == 3 * 84
    assert (a["spi_in"], a["spi_out"]) == (b["spi_out"], b["spi_in"])


def test_iperf3_runs_through_the_tunnel(topology: Topology) -> None:
    alice, bob = sides(topology)
    both_up(alice, bob)
    server = topology.start("bob", ["iperf3", "-s", "-1", "--forceflush"])
    server.wait_for_line("Server listening")
    done = topology.run("alice", ["iperf3", "-c", BOB.tunnel.ip.exploded, "-t", "1", "--json"])
    assert json.loads(done.stdout)["end"]["sum_received"]["bytes"] > 0
    server.finish()


def test_nothing_but_the_agreed_addresses_gets_through(topology: Topology) -> None:
    alice, bob = sides(topology)
    both_up(alice, bob)
    topology.ip("address add 10.0.9.9/32 dev lo", host="alice")
    done = topology.run(
        "alice",
        ["ping", "-c", "1", "-W", "1", "-I", "10.0.9.9", str(BOB.tunnel.ip)],
        check=False,
    )
    assert "100% packet loss" in done.stdout
    assert alice.drops("selector_mismatch_out") >= 1
    assert bob.tunnel()["packets_in"] == 0


def test_without_a_tunnel_nothing_leaves_in_clear(topology: Topology) -> None:
    alice, _ = sides(topology)
    recorder = Recorder(topology)
    alice.run().wait_for_line("knocking")
    topology.run(
        "alice", ["ping", "-c", "3", "-i", "0.2", "-W", "1", str(BOB.tunnel.ip)], check=False
    )
    assert alice.drops("no_sa") >= 3
    recorder.stop()
    assert tally(read(recorder.file))[Kind.CLEAR] == 0
