"""The book says nothing that is not so, as far as a program can see."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command import hushwire

ROOT = Path(__file__).parents[2]
CHAPTERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(chapter: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", chapter.read_text()):
        if not target.startswith(("http", "#")):
            assert (chapter.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_python_in_it_runs(chapter: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", chapter.read_text(), re.DOTALL):
        subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_verbs_and_options_in_it_exist(chapter: Path) -> None:
    lines = re.findall(r"^.*\bhushwire (?:lab )?[a-z]+ .*--[a-z].*$", chapter.read_text(), re.M)
    for line in lines:
        words = re.search(r"\bhushwire ((?:lab )?[a-z]+)", line)
        assert words is not None
        known = hushwire(*words[1].split(), "--help").stdout
        for option in re.findall(r"(?<= )--[a-z][a-z0-9-]+", line.partition("hushwire")[2]):
            assert option in known, f"{line}: {option}"


def test_every_path_in_the_architecture_exists() -> None:
    """Those with a folder; a name alone stands beside the one before it."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = set(re.findall(r"`([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/(?:[a-z_]+\.[a-z.]+)?)`", text))
    assert len(paths) > 100
    places = [ROOT, *(ROOT / place for place in ("src/hushwire", "rust/core/src", "bpf"))]
    assert not [p for p in paths if not any((place / p).exists() for place in places)]


def test_every_picture_is_used_and_fetches_nothing() -> None:
    text = "".join(chapter.read_text() for chapter in CHAPTERS)
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        assert f"pictures/{picture.name}" in text
        svg = picture.read_text()
        ElementTree.fromstring(svg)
        assert not re.search(r"""(href|src)=["']http|url\(["']?http""", svg)
