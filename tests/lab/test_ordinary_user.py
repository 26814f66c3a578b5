from __future__ import annotations

import json
import subprocess
import sys

from tests.netns.ordinary import as_ordinary_user, really_root

DEMO = [sys.executable, "-m", "hushwire.cli.main", "lab", "demo"]


@really_root
def test_an_ordinary_user_can_be_told_the_story() -> None:
    argv = as_ordinary_user(*DEMO, "--json")
    told = subprocess.run(argv, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    facts = json.loads(told.stdout)
    assert facts["frames"]["clear"] == 0
    assert facts["frames"]["esp"] > 0


@really_root
def test_a_user_who_may_not_open_tun_is_told_in_one_sentence() -> None:
    told = subprocess.run(as_ordinary_user(*DEMO, tun=False), capture_output=True, text=True)
    assert told.returncode == 3
    assert told.stdout == ""
    assert told.stderr.splitlines() == [
        "hushwire: /dev/net/tun cannot be opened here, and a tunnel needs it; "
        "`sudo hushwire lab demo` works."
    ]


@really_root
def test_a_host_without_user_namespaces_is_told_in_one_sentence() -> None:
    argv = as_ordinary_user(*DEMO, namespaces=False)
    told = subprocess.run(argv, capture_output=True, text=True)
    assert told.returncode == 3, told.stdout + told.stderr
    (line,) = told.stderr.splitlines()
    assert "does not let this user make namespaces" in line
    assert line.endswith("`sudo hushwire lab demo` works.")


@really_root
def test_tests_in_worlds_need_no_root() -> None:
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    argv = as_ordinary_user(*pytest, "tests/system/test_tun.py", "tests/lab/test_eve.py")
    told = subprocess.run(argv, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "passed" in told.stdout
    assert "skipped" not in told.stdout
