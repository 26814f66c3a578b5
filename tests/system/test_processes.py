from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hushwire.system.processes import Recorded


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_again_by_when_it_began(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    Recorded.of(sleeper.pid).write(tmp_path / "pid")
    recorded = Recorded.read(tmp_path / "pid")
    assert recorded is not None
    assert recorded.alive
    assert not Recorded(recorded.pid, recorded.began - 1).alive
    assert recorded.ends(30, signal.SIGTERM)
    # A zombie, that nobody has waited for yet, has ended all the same.
    assert not recorded.alive
    sleeper.wait()
    assert not recorded.alive
    assert recorded.ends(30)


def test_another_process_of_the_same_number_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    recorded = Recorded.of(sleeper.pid)
    assert Recorded(recorded.pid, recorded.began - 1).ends(30, signal.SIGKILL)
    assert sleeper.poll() is None


def test_one_that_does_not_end_is_told() -> None:
    assert not Recorded.of(os.getpid()).ends(0.0)


@pytest.mark.parametrize("text", ["", "1", "one two", "1 2 3"])
def test_a_file_that_holds_no_process_is_none(tmp_path: Path, text: str) -> None:
    assert Recorded.read(tmp_path / "pid") is None
    (tmp_path / "pid").write_text(text)
    assert Recorded.read(tmp_path / "pid") is None
