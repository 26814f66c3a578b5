from __future__ import annotations

import sys

from hushwire.lab.topology import Topology
from hushwire.system import netns
from tests.netns.inside import inside

MAKE = "from hushwire.system.netns import make_runtime_dir as make; print(make()); make()"


def test_each_host_has_a_runtime_directory_of_its_own(topology: Topology) -> None:
    here = netns.runtime_dir()
    with inside(topology, "alice"):
        alice = netns.runtime_dir()
    with inside(topology, "bob"):
        bob = netns.runtime_dir()
    assert len({here, alice, bob}) == 3
    assert netns.runtime_dir() == here
    made = topology.run("alice", [sys.executable, "-c", MAKE]).stdout.strip()
    assert made == str(alice)
    shown = topology.run("alice", ["stat", "-c", "%a", made]).stdout
    assert shown.strip() == "700"


def test_a_runtime_directory_made_by_somebody_else_is_refused(topology: Topology) -> None:
    with inside(topology, "alice"):
        path = netns.runtime_dir()
    topology.run("alice", ["mkdir", "-p", path.parent])
    topology.run("alice", ["ln", "-s", "/tmp", path])
    refused = topology.run("alice", [sys.executable, "-c", MAKE], check=False)
    assert refused.returncode != 0
    assert "it belongs to someone else" in refused.stderr
