"""THREATS.md names files and tests that exist, and every class of hole has a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "THREATS.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| hole")
]


def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_hole_has_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 3
    named = re.findall(r"`([^`]+)`", row[2])
    assert named
    for name in named:
        file, _, function = name.partition("::")
        assert function.startswith("test_")
        assert function in functions_of(ROOT / file), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_file_that_stops_one_exists(row: list[str]) -> None:
    files = re.findall(r"`([a-z0-9_/]+/[a-z0-9_]+\.(?:py|rs))`", row[1])
    for file in files:
        assert any((place / file).exists() for place in (ROOT, ROOT / "src" / "hushwire")), file


def test_it_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "(THREATS.md)" in readme
    assert "(SECURITY.md)" in readme


def test_its_links_and_those_of_security_lead_somewhere() -> None:
    for name in ("THREATS.md", "SECURITY.md"):
        for target in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), target
