from __future__ import annotations

import subprocess
import sys

import pytest

from hushwire.lab.topology import Topology
from hushwire.system import privileges
from tests.netns.inside import inside
from tests.netns.ordinary import as_ordinary_user, really_root

PRINT_MISSING = "from hushwire.system import privileges; print(*privileges.missing(), sep='\\n')"


def test_nothing_is_missing_in_a_world_of_ones_own(topology: Topology) -> None:
    with inside(topology, "alice"):
        assert privileges.missing() == []


@really_root
@pytest.mark.parametrize("tun", [True, False])
def test_an_ordinary_user_is_told_everything_that_is_missing(tun: bool) -> None:
    argv = as_ordinary_user(sys.executable, "-c", PRINT_MISSING, tun=tun)
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    named = [line.split()[0] for line in lines]
    expected = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]
    assert named == (expected if tun else [*expected, "/dev/net/tun"])
    assert all("sudo" in line for line in lines)


@really_root
def test_a_low_port_that_anyone_may_use_needs_no_capability(topology: Topology) -> None:
    topology.run("alice", ["sysctl", "-w", "net.ipv4.ip_unprivileged_port_start=500"])
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_bind_service,-net_raw"]
    out = topology.run("alice", [*drop, sys.executable, "-c", PRINT_MISSING]).stdout
    assert [line.split()[0] for line in out.splitlines()] == ["CAP_NET_RAW"]
