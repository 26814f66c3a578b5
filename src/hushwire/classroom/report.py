"""What `hushwire classroom` says: sentences with one live line, or one JSON object a line."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any, TextIO

from hushwire.classroom import statistics

_CLEAR = "\r\x1b[2K"


class Report:
    """Writes at once. The live line stands below all others, in a terminal only."""

    def __init__(self, interface: str, *, as_json: bool, out: TextIO | None = None) -> None:
        self._interface = interface
        self.as_json = as_json
        self._out = out or sys.stdout
        self._live = not as_json and self._out.isatty()
        self._line = ""

    def say(self, event: str, sentence: str, about: str = "", /, **facts: object) -> None:
        """`sentence` about `about` (the interface, if nothing else), or the facts."""
        if self.as_json:
            self._write(json.dumps({"event": event, **facts}))
        else:
            self._write(f"{about or self._interface}: {sentence}")

    def trace(self, line: str) -> None:
        """A line of trace_pipe."""
        self._write(json.dumps({"event": "trace", "line": line}) if self.as_json else line)

    def statistics(self, facts: dict[str, Any], *, final: bool) -> None:
        """The counts, now or at the end."""
        if self.as_json:
            self._write(json.dumps({"event": "statistics", "final": final, **facts}))
        elif final:
            self._line = ""
            self._write(f"{self._interface}: {statistics.line(facts)}.")
            for trouble in statistics.troubles(facts):
                self._write(f"{self._interface}: {trouble}.")
        elif self._live:
            room = shutil.get_terminal_size().columns - 1
            self._line = f"{self._interface}: {statistics.line(facts)}"[:room]
            self._out.write(_CLEAR + self._line)
            self._out.flush()

    def _write(self, text: str) -> None:
        if self._live:
            self._out.write(f"{_CLEAR}{text}\n{self._line}")
        else:
            self._out.write(f"{text}\n")
        self._out.flush()
