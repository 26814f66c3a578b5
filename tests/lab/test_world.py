from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hushwire.lab.network import Network
from hushwire.lab.topology import Topology
from hushwire.lab.world import FILES, World, need
from hushwire.system.errors import SystemFailureError
from tests.netns.gone import namespaces_of, processes_in
from tests.netns.waiting import wait_until

# Builds a lab with a program that would never end, says which world, and then waits.
LIVES_ON = """
import sys
from hushwire.lab.topology import Topology
with Topology() as network:
    network.start("alice", ["sleep", "infinity"])
    print(network.world.pid, flush=True)
    sys.stdin.read()
    raise RuntimeError("enough")
"""


def _host_state() -> tuple[str, list[Path]]:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
    return links, sorted(Path("/run").glob("netns/*")) + sorted(Path("/run").glob("lab/*"))


def test_a_world_is_invisible_from_outside_and_leaves_nothing() -> None:
    before = _host_state()
    with Topology() as network:
        assert _host_state() == before
        namespaces = namespaces_of(network.world)
        sleeper = network.start("bob", ["sh", "-c", "echo ready; exec sleep infinity"])
        sleeper.wait_for_line("ready")
        assert processes_in(namespaces)
    assert sleeper.returncode == -signal.SIGTERM
    assert processes_in(namespaces) == []
    assert _host_state() == before


def test_a_world_leaves_nothing_after_an_exception() -> None:
    with pytest.raises(RuntimeError, match="enough"), Topology() as network:
        namespaces = namespaces_of(network.world)
        network.start("bob", ["sleep", "infinity"])
        raise RuntimeError("enough")
    assert processes_in(namespaces) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_a_world_leaves_nothing_however_its_maker_ends(how: signal.Signals | None) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", LIVES_ON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert maker.stdout is not None
    namespaces = namespaces_of(World(int(maker.stdout.readline()), user=False))
    assert processes_in(namespaces)
    if how is not None:
        maker.send_signal(how)
        maker.wait()
    maker.communicate()
    wait_until(lambda: not processes_in(namespaces), "end of the world")


def test_a_lasting_world_lasts_until_it_is_closed_by_anybody() -> None:
    made = World.begin(lasting=True)
    namespaces = namespaces_of(made)
    pid, user = made.pid, made.user
    made.abandon()
    again = World(pid, user)
    network = Network(again)
    assert network.run(None, ["sh", "-c", "echo here"]).stdout == "here\n"
    again.close()
    # unshare(1), which began it, is its parent and ends a moment later.
    wait_until(lambda: not processes_in(namespaces), "end of the world")
    again.close()


def test_files_of_the_world_are_in_reach_and_go_with_it() -> None:
    with Network() as network:
        note = network.world.path(FILES / "note")
        note.write_text("from outside")
        assert network.run(None, ["cat", FILES / "note"]).stdout == "from outside"
        assert network.world.path(FILES).stat().st_mode & 0o777 == 0o700
    assert not note.exists()


def test_commands_keep_the_directory_they_were_given_in(tmp_path: Path) -> None:
    before = Path.cwd()
    with Network() as network:
        os.chdir(tmp_path)
        try:
            assert network.run(None, ["pwd"]).stdout.strip() == str(tmp_path)
        finally:
            os.chdir(before)


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(SystemFailureError, match="apt install nothing-of-this-name"):
        need("no-such-program", "nothing-of-this-name")
