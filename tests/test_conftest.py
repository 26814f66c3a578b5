"""The rule of CI that nothing is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CONFTEST = Path(__file__).with_name("conftest.py")
_SKIPS = {
    "mark": "@pytest.mark.skip(reason='no eve')\ndef test(): pass",
    "call": "def test(): pytest.skip('no eve')",
    "fixture": "@pytest.fixture\ndef f(): pytest.skip('no eve')\ndef test(f): pass",
    "module": "pytest.skip('no eve', allow_module_level=True)",
}


def _pytest(folder: Path, body: str, no_skip: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(_CONFTEST.read_text())
    (folder / "test_it.py").write_text(f"import pytest\n{body}\ndef test_runs(): pass\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", folder, folder],
        capture_output=True,
        text=True,
        env=os.environ | {"HUSHWIRE_NO_SKIP": no_skip, "PYTEST_ADDOPTS": ""},
    )


@pytest.mark.parametrize("body", _SKIPS.values(), ids=_SKIPS.keys())
def test_a_skipped_test_fails_where_nothing_may_be_skipped(tmp_path: Path, body: str) -> None:
    done = _pytest(tmp_path, body, "1")
    assert done.returncode not in (0, 5), done.stdout
    assert "no eve" in done.stdout
    assert "HUSHWIRE_NO_SKIP" in done.stdout


def test_skips_are_skips_elsewhere_and_expected_failures_are_never_failures(tmp_path: Path) -> None:
    assert _pytest(tmp_path, _SKIPS["mark"], "").returncode == 0
    xfail = "@pytest.mark.xfail\ndef test(): assert 0"
    assert _pytest(tmp_path, xfail, "1").returncode == 0
