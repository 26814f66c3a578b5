from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.ordinary import as_ordinary_user, really_root

LAB = [sys.executable, "-m", "hushwire.cli.main", "lab"]

# A lab that stays is one for each user of a host: these tests take turns.
pytestmark = pytest.mark.xdist_group("lab that stays")


def _lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAB, *words], capture_output=True, text=True)


@pytest.fixture
def no_lab() -> Iterator[None]:
    if _lab("shell", "alice", "--", "true").returncode == 0:
        pytest.skip("a lab is up already, and it is not ours to take down")
    yield
    _lab("down")


def test_a_lab_stays_until_it_is_taken_down(no_lab: None) -> None:
    up = _lab("up")
    assert up.returncode == 0, up.stderr
    assert "hushwire lab shell alice" in up.stdout
    assert "up already" in _lab("up").stdout

    ping = _lab("shell", "alice", "--", "ping", "-c", "1", "-W", "10", "10.0.1.2")
    assert ping.returncode == 0, ping.stdout + ping.stderr
    status = _lab("shell", "bob", "--", "hushwire", "status")
    assert "alice: up" in status.stdout
    assert _lab("shell", "eve", "--", "sh", "-c", "exit 7").returncode == 7
    tcpdump = _lab("shell", "eve", "--", "timeout", "-s", "INT", "1", "tcpdump", "-ni", "br0")
    assert "listening on br0" in tcpdump.stderr

    assert "gone" in _lab("down").stdout
    assert not Path("/run/hushwire/lab").exists()


def test_without_a_lab_each_verb_says_so(no_lab: None) -> None:
    shell = _lab("shell", "alice")
    assert shell.returncode == 1
    assert "`hushwire lab up` makes one" in shell.stderr
    down = _lab("down")
    assert down.returncode == 0
    assert "No lab is up" in down.stdout


def test_a_shell_tells_where_one_is(no_lab: None) -> None:
    assert _lab("up").returncode == 0
    terminal = ["script", "-qec", " ".join([*LAB, "shell", "eve"]), "/dev/null"]
    typed = "echo $((6*7)); exit 5\n"
    shown = subprocess.run(terminal, input=typed, capture_output=True, text=True)
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
        env={**os.environ},
    )
    assert "1 received" in told.stdout, told.stdout + told.stderr
    assert "The lab is gone" in told.stdout
