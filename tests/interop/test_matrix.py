"""The interop matrix says what ran, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.matrix import Cell, Matrix, page

_TESTS = """
import pytest
@pytest.mark.interop("Tunnels", row="{auth}", column="{suite} & more")
@pytest.mark.interop("Life", "liveness", "we ask", limit="it does not answer {auth}")
@pytest.mark.parametrize("auth", ["PSK"])
@pytest.mark.parametrize("suite", ["GCM", "CBC"])
def test_it(auth, suite): pass
@pytest.mark.interop("Tunnels", "PSK", "ChaCha", peer="other 1.0")
def test_other(): pass
"""
_CONFTEST = """
from pathlib import Path
from tests.interop import matrix
matrix.FILE = Path(__file__).with_name("interop.md")
pytest_addoption, pytest_configure = matrix.add_option, matrix.register
"""


def run(folder: Path, mode: str, *options: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    command += ["--strict-markers", "--rootdir", str(folder), f"--interop-table={mode}"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert "INTERNALERROR" not in done.stdout + done.stderr
    return done.returncode


def test_a_run_writes_the_table_and_the_next_one_finds_whether_it_is_right(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_it.py").write_text(_TESTS)
    assert run(tmp_path, "write", "-n", "2") == 0
    text = (tmp_path / "interop.md").read_text()
    assert "| PSK | yes | yes |" in text
    assert "|  | CBC & more | GCM & more |" in text
    assert "| liveness | 1 |" in text
    assert "1. it does not answer {auth}" in text  # a limit is said as it stands
    (tmp_path / "interop.md").write_text(text.replace("| yes | yes |", "| yes |  |"))
    assert run(tmp_path, "check") == 1


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_what_failed_or_was_skipped_says_nothing_about_the_table(outcome: str) -> None:
    cell = Cell("p", "s", "a", "x")
    matrix = Matrix("check", {cell: {"passed"}, Cell("p", "s", "a", "y"): {"passed", outcome}})
    assert matrix.wanted("") is None
    assert Matrix("check", {cell: {"passed"}}).wanted("") == page([cell], "")


def test_a_peer_that_is_not_here_does_not_keep_the_others_from_being_checked() -> None:
    here, absent = Cell("p", "s", "a", "x"), Cell("q", "s", "a", "x")
    before = page([absent], "")
    found = Matrix("check", {here: {"passed"}, absent: {"skipped"}}).wanted(before)
    assert found == page([here], before)


def test_a_peer_of_whom_nothing_ran_keeps_its_tables() -> None:
    cell = Cell("other 1.0", "s", "a", "x")
    both = page([Cell("strongSwan 5.9", "s", "a", "x"), cell], "")
    assert page([cell], both) == both
    assert both.count("## ") == 2 + 2  # two peers, each with a section


@pytest.mark.parametrize("before", ["", "# Something else\n"])
def test_rows_and_columns_are_in_order_and_empty_where_nothing_was_tried(before: str) -> None:
    cells = [
        Cell("p", "s", "b", "y"),
        Cell("p", "s", "a", "x"),
        Cell("p", "s", "b", "x", "cannot"),
    ]
    text = page(cells, before)
    assert "|  | x | y |\n| --- | --- | --- |\n| a | yes |  |\n| b | 1 | yes |\n\n1. cannot" in text
