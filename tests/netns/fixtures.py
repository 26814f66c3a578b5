"""Fixtures for every test: a private world of network namespaces for each test that asks.

A world is made in about 50 ms, is invisible to the host and to other tests, and vanishes with its
test, so tests can run in parallel. No root is needed: pytest, started by an ordinary user, starts
itself again as root of a user namespace, if the kernel allows that.

    def test_something(topology: Topology) -> None:
        topology.run("alice", ["ping", "-c", "1", str(BOB.underlay)])   # a program on alice
        with inside(topology, "alice"):                                 # this thread on alice
            sock = open_udp(socket.AF_INET, 4500)                       # stays alice's
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hushwire.lab.topology import Topology
from hushwire.lab.world import World
from hushwire.system.errors import NotPermittedError

# With a network of its own, because only to a network that it owns a thread may come back.
_AS_ROOT_INSIDE = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
_AS_ROOT_INSIDE += ['ip link set lo up && exec "$@"', "sh"]


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if os.geteuid() == 0 or is_worker:
        return
    if subprocess.run([*_AS_ROOT_INSIDE, "true"], capture_output=True).returncode != 0:
        return  # tests that need a world say so and are skipped
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()
    command = [sys.executable, "-m", "pytest", *config.invocation_params.args]
    os.execvp(_AS_ROOT_INSIDE[0], [*_AS_ROOT_INSIDE, *command])


@pytest.fixture
def world() -> Iterator[World]:
    """A world without hosts."""
    try:
        own = World.begin()
    except NotPermittedError as error:
        pytest.skip(str(error))
    with own:
        yield own


@pytest.fixture
def topology(world: World) -> Iterator[Topology]:
    """alice, eve and bob in a world of this test's own; see hushwire.lab.topology."""
    with Topology(world) as network:
        yield network
