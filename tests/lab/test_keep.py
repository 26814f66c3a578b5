from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from hushwire.lab.network import Network
from hushwire.lab.world import World
from tests.netns.ordinary import as_ordinary_user, really_root

LAB = [sys.executable, "-m", "hushwire.cli.main", "lab"]


def _lab(world: Network, *words: str) -> subprocess.CompletedProcess[str]:
    """In a world of the test's own, because there is one lab for each user of a host."""
    return world.run(None, [*LAB, *words], check=False)


@pytest.fixture
def host(world: World) -> Iterator[Network]:
    with Network(world) as network:
        yield network


def test_a_lab_stays_until_it_is_taken_down(host: Network) -> None:
    up = _lab(host, "up")
    assert up.returncode == 0, up.stderr
    assert "hushwire lab shell alice" in up.stdout
    assert "up already" in _lab(host, "up").stdout

    ping = _lab(host, "shell", "alice", "--", "ping", "-c", "1", "-W", "10", "10.0.1.2")
    assert ping.returncode == 0, ping.stdout + ping.stderr
    status = _lab(host, "shell", "bob", "--", "hushwire", "status")
    assert "alice: up" in status.stdout
    assert _lab(host, "shell", "eve", "--", "sh", "-c", "exit 7").returncode == 7
    tcpdump = host.start(None, [*LAB, "shell", "eve", "--", "tcpdump", "-ni", "br0"])
    tcpdump.wait_for_line("listening on br0")

    assert "gone" in _lab(host, "down").stdout
    assert host.run(None, ["find", "/run/hushwire", "-type", "f"]).stdout == ""
    programs = host.run(None, ["ps", "-A", "-o", "args"]).stdout
    assert "hushwire" not in programs


def test_without_a_lab_each_verb_says_so(host: Network) -> None:
    shell = _lab(host, "shell", "alice")
    assert shell.returncode == 1
    assert "`hushwire lab up` makes one" in shell.stderr
    down = _lab(host, "down")
    assert down.returncode == 0
    assert "No lab is up" in down.stdout


def test_a_lab_whose_holder_is_gone_is_not_up(host: Network) -> None:
    assert _lab(host, "up").returncode == 0
    host.run(None, ["pkill", "-KILL", "-x", "sleep"])
    assert "No lab is up" in _lab(host, "down").stdout
    assert "The lab is up:" in _lab(host, "up").stdout


def test_a_shell_tells_where_one_is(host: Network) -> None:
    assert _lab(host, "up").returncode == 0
    terminal = ["script", "-qec", " ".join([*LAB, "shell", "eve"]), "/dev/null"]
    shown = host.run(None, terminal, text="echo $((6*7)); exit 5\n", check=False)
    assert shown.returncode == 5
    assert "You are on eve" in shown.stdout
    assert "tcpdump -ni br0" in shown.stdout
    assert "[eve]" in shown.stdout
    assert "42" in shown.stdout


@really_root
def test_an_ordinary_user_can_have_a_lab_too() -> None:
    lab = " ".join(LAB)
    script = f"{lab} up && {lab} shell alice -- ping -c 1 -W 10 10.0.1.2; {lab} down"
    told = subprocess.run(
        as_ordinary_user("env", "-u", "XDG_RUNTIME_DIR", "sh", "-c", script),
        capture_output=True,
        text=True,
    )
    assert "1 received" in told.stdout, told.stdout + told.stderr
    assert "The lab is gone" in told.stdout
