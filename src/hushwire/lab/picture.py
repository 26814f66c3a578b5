"""What the screen has shown, as an SVG picture that fetches nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

WIDTH = 92
"""Columns of a picture."""

_FONT_FROM_THE_NETWORK = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FRAME = _FONT_FROM_THE_NETWORK.sub("", CONSOLE_SVG_FORMAT).replace(
    "Fira Code, monospace", "'DejaVu Sans Mono', Menlo, Consolas, monospace"
)


def save(console: Console, folder: Path, name: str, title: str) -> Path:
    """All that the recording `console` has shown since the last picture, in `folder`/`name`.svg.

    Raises `OSError`.
    """
    file = folder / f"{name}.svg"
    text = console.export_svg(title=title, code_format=_FRAME, unique_id=name)
    file.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    return file
