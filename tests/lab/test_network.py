from __future__ import annotations

import signal

import pytest

from hushwire.lab.network import LabError
from hushwire.lab.topology import ALICE, BOB, Topology
from hushwire.lab.world import World

STUBBORN = "trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done"
ORDERLY = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"


@pytest.mark.parametrize(
    "address", [str(BOB.underlay), str(BOB.underlay6), f"{BOB.link_local}%eth0"]
)
def test_alice_reaches_bob(topology: Topology, address: str) -> None:
    topology.run(ALICE.name, ["ping", "-c", "1", "-W", "10", address])


def test_two_topologies_are_strangers(topology: Topology) -> None:
    with Topology(World.begin()) as other:
        topology.ip("address add 192.168.77.99/24 dev eth0", host=BOB.name)
        other.ip("link set eth0 down", host=BOB.name)
        topology.run(ALICE.name, ["ping", "-c", "1", "-W", "10", "192.168.77.99"])


def test_a_signal_reaches_the_program_and_its_exit_code_comes_back(topology: Topology) -> None:
    program = topology.start(ALICE.name, ["sh", "-c", ORDERLY])
    program.wait_for_line("ready")
    assert program.stop() == "ready\nbye"
    assert program.returncode == 5


def test_a_signal_right_after_the_start_is_not_lost(topology: Topology) -> None:
    program = topology.start(ALICE.name, ["sleep", "infinity"])
    program.terminate()
    assert program.wait(30) == -signal.SIGTERM


def test_a_stubborn_program_can_be_killed(topology: Topology) -> None:
    program = topology.start(ALICE.name, ["sh", "-c", STUBBORN])
    program.wait_for_line("ready")
    program.terminate()
    program.wait_for_line("no")
    program.kill()
    assert program.wait(30) == -signal.SIGKILL


def test_awaiting_a_line_that_never_comes_shows_what_came(topology: Topology) -> None:
    program = topology.start(ALICE.name, ["sh", "-c", "echo one; echo two >&2; exit 1"])
    with pytest.raises(LabError, match=r"ended before it said “three”(.|\n)*one\ntwo"):
        program.wait_for_line("three")
    silent = topology.start(ALICE.name, ["sleep", "infinity"])
    with pytest.raises(LabError, match="took 0 s without"):
        silent.wait_for_line("three", seconds=0)
    with pytest.raises(LabError, match="did not end in 0 s"):
        silent.finish(0)


def test_a_line_is_awaited_from_where_one_has_read(topology: Topology) -> None:
    program = topology.start(ALICE.name, ["sh", "-c", "echo up 1; echo up 2"])
    assert program.wait_for_line("up") == "up 1"
    assert program.wait_for_line("up", after=1) == "up 2"


def test_a_command_that_fails_shows_its_words_and_output(topology: Topology) -> None:
    with pytest.raises(LabError, match=r"`ip link show eth7` on bob failed \(1\)(.|\n)*eth7"):
        topology.run(BOB.name, ["ip", "link", "show", "eth7"])
    assert topology.run(BOB.name, ["false"], check=False).returncode == 1
    assert topology.run(BOB.name, ["cat"], text="read").stdout == "read"
    with pytest.raises(LabError, match="did not end in"):
        topology.run(BOB.name, ["sleep", "infinity"], seconds=0.1)


def test_hushwire_is_a_command_on_every_host(topology: Topology) -> None:
    for host in ("alice", "eve", "bob"):
        assert "hushwire" in topology.run(host, ["hushwire", "--version"]).stdout
