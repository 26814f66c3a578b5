"""What a record says: tables for the terminal, a picture, and with `--publish` the book.

`python -m bench.show FILE [--publish]`; `make bench-book` measures and publishes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from bench.book import PICTURE, RECORD, publish
from bench.goals import ratios
from bench.picture import caption, picture
from bench.record import Record
from bench.table import Table, tables

_WIDTH = 160
"""Columns where no terminal says how many it has."""


def show(record: Record, file: Path) -> None:
    """Tables; the picture goes beside `file`, the book's to its others."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for table in (*tables(record), ratios(record)):
        console.print(_grid(table))
    drawn = PICTURE if file.resolve() == RECORD else file.with_suffix(".svg")
    drawn.write_text(picture(record))
    console.print(f"{caption(record)}. In {file}, and as a picture in {drawn}.")


def _grid(table: Table) -> Grid:
    grid = Grid(title=table.title, title_justify="left", title_style="bold")
    for place, head in enumerate(table.head):
        grid.add_column(head, justify="right" if place else "left", no_wrap=not place)
    for row in table.rows:
        grid.add_row(*row)
    return grid


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=Path("build/bench/bench.json"))
    parser.add_argument("--publish", action="store_true", help="into docs/ and README.md")
    asked = parser.parse_args()
    record = Record.load(asked.file)
    show(record, asked.file)
    if asked.publish:
        publish(record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
