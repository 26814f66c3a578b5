"""IKE_SA_INIT from addresses that nobody has, and honest hosts; `make flood` measures it."""

from __future__ import annotations

import json

from bench.flood.run import configure, flood, resident_octets, wire
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Topology
from hushwire.lab.world import FILES
from tests.netns.tunnels import interrupt, ping
from tests.netns.waiting import wait_until

IKE_PORT = 500
MOST_GROWN = 10_000_000


def test_a_host_that_is_flooded_still_answers_who_is_there(topology: Topology) -> None:
    configure(topology)
    wire(topology)
    bob = topology.start("bob", ["hushwire", "run", FILES / BOB.name / f"{TUNNEL}.toml"])
    bob.wait_for_line("Listening")
    before = resident_octets(bob)
    with flood(topology, IKE_PORT, rate=1500, seconds=6):
        wait_until(lambda: counted(topology) > 1000, "demands for cookies")
        alice = topology.start("alice", ["hushwire", "run", FILES / ALICE.name / f"{TUNNEL}.toml"])
        alice.wait_for_line("tunnel up")
        ping(topology, "alice", BOB.tunnel.ip)
    assert resident_octets(bob) - before < MOST_GROWN
    assert len(bob.lines) < 40
    interrupt(alice)
    interrupt(bob)


def counted(topology: Topology) -> int:
    done = topology.run("bob", ["hushwire", "status", "--json"])
    return int(json.loads(done.stdout)[0]["ike_drops"]["cookie_required"])
