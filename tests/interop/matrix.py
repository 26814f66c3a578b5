"""The interop matrix: what real peers have done with us, written by the tests that saw it.

A test says which cells it proves:

    @pytest.mark.interop("Tunnels", row="{auth}", column="{suite}")

`{name}` is the test's own parameter. A test may prove several cells, and a cell may need several
tests; it is green when all of them passed. Where the peer cannot do it, and the test shows that,
`limit="no ESN in kernel-libipsec"` names what it lacks. Another peer than strongSwan 5.9 is
`peer="strongSwan 6.1"`.

`pytest --interop-table=write` puts what ran into docs/interop.md; `--interop-table=check` fails
when it says something else. In both, a peer of which nothing ran keeps its tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "interop.md"
DEFAULT_PEER = "strongSwan 5.9"
_PROPERTY = "interop"
_YES, _NOT_TRIED = "yes", ""
_HEAD = """\
# Interoperability

What real peers have done with Hushwire, in network namespaces, with packets through the tunnel.
The tests write this page (`make interop-table`), and `make test` fails when it is not what they
saw. An empty cell was not tried; a number names a limit of the peer's, below its table.

"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place in the tables, and what the peer lacks there, "" for nothing."""

    peer: str
    section: str
    row: str
    column: str
    limit: str = ""


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Matrix:
    """Collects what ran, in pytest's main process; with xdist the workers send it."""

    mode: str
    outcomes: dict[Cell, set[str]] = field(default_factory=dict)
    differs: bool = False

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        item.user_properties += [(_PROPERTY, cell) for cell in cells_of(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and (report.when == "call" or not report.passed):
                cell = Cell(*value)  # type: ignore[misc]
                self.outcomes.setdefault(cell, set()).add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self.mode or hasattr(session.config, "workerinput"):
            return
        before = FILE.read_text() if FILE.exists() else ""
        wanted = self.wanted(before)
        if wanted is None:
            return
        if self.mode == "write":
            FILE.write_text(wanted)
        elif before != wanted:
            self.differs = True
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def wanted(self, before: str) -> str | None:
        """The page; None when nothing can be told, because something failed or was skipped.

        A peer with a test that was skipped keeps its tables: it is not there, or not whole.
        """
        if any("failed" in outcomes for outcomes in self.outcomes.values()):
            return None
        absent = {cell.peer for cell, found in self.outcomes.items() if found != {"passed"}}
        seen = [cell for cell in self.outcomes if cell.peer not in absent]
        return page(seen, before) if seen else None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.differs:
            terminalreporter.write_line(
                "docs/interop.md does not say what these tests saw: make interop-table", red=True
            )


def register(config: pytest.Config) -> None:
    """The marker, and who listens to it."""
    config.addinivalue_line(
        "markers",
        "interop(section, row, column, limit='', peer='strongSwan 5.9'): "
        "a cell of docs/interop.md that this test proves; {name} is a parameter",
    )
    config.pluginmanager.register(Matrix(str(config.getoption("--interop-table") or "")))


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interop-table",
        choices=("check", "write"),
        help="docs/interop.md: must be what the tests saw, or is written by them",
    )


def cells_of(item: pytest.Item) -> list[tuple[str, str, str, str, str]]:
    """What the test's markers name, with its parameters filled in."""
    found = []
    for mark in item.iter_markers("interop"):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        peer = mark.kwargs.get("peer", DEFAULT_PEER)
        words = [peer, *mark.args]
        words += [mark.kwargs[key] for key in ("row", "column") if key in mark.kwargs]
        peer, section, row, column = (word.format(**params) for word in words)
        found.append((peer, section, row, column, str(mark.kwargs.get("limit", ""))))
    return found


def page(cells: Iterable[Cell], before: str) -> str:
    """The whole of docs/interop.md; peers of whom `cells` say nothing stay as they were."""
    peers: dict[str, list[Cell]] = {}
    for cell in cells:
        peers.setdefault(cell.peer, []).append(cell)
    _, *parts = re.split(r"^## (.+)\n", before, flags=re.M)
    chapters = {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}
    chapters |= {peer: _chapter(found) for peer, found in peers.items()}
    return _HEAD + "\n".join(f"## {peer}\n\n{chapters[peer]}\n" for peer in sorted(chapters))


def _chapter(cells: list[Cell]) -> str:
    sections: dict[str, list[Cell]] = {}
    for cell in cells:
        sections.setdefault(cell.section, []).append(cell)
    return "\n\n".join(f"### {name}\n\n{_table(sections[name])}" for name in sorted(sections))


def _table(cells: list[Cell]) -> str:
    rows, columns = sorted({cell.row for cell in cells}), sorted({cell.column for cell in cells})
    limits = sorted({cell.limit for cell in cells if cell.limit})
    known = {(cell.row, cell.column): _NOT_TRIED for cell in cells}
    for cell in sorted(cells, key=lambda cell: cell.limit):
        shown = str(limits.index(cell.limit) + 1) if cell.limit else _YES
        known[cell.row, cell.column] = shown
    lines = [_line(["", *columns]), _line(["---"] * (len(columns) + 1))]
    lines += [
        _line([row, *(known.get((row, column), _NOT_TRIED) for column in columns)]) for row in rows
    ]
    notes = [f"{number}. {limit}" for number, limit in enumerate(limits, start=1)]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _line(texts: list[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
