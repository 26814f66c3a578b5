"""The line of each key in a TOML document, which tomllib does not tell.

It reads only what tomllib has accepted, so it may trust the syntax and look at nothing but keys,
brackets, strings and comments.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]
"""Keys from the top down; an integer counts the elements of an array."""

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_INLINE_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*'")
# A closing run of up to five quotes: two of them may be the string's own last characters.
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


class Lines:
    """Made from the text of a valid TOML document."""

    def __init__(self, text: str) -> None:
        # tomllib does the same, so that the places of characters agree.
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", self._text)]
        self._lines: dict[KeyPath, int] = {}
        self._document()

    def of(self, path: KeyPath) -> int | None:
        """The line, from one, of that key or array element; else of the nearest one around it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def within(self, table: KeyPath) -> dict[str, int]:
        """The line of each key in a table; that of the table itself as ""."""
        return {
            "".join(map(str, path[len(table) :])): line
            for path, line in self._lines.items()
            if table in (path, path[:-1])
        }

    def _document(self) -> None:
        table: KeyPath = ()
        while self._skip(_SPACE):
            if self._peek() == "[":
                line = self._line()
                while self._peek() == "[":
                    self._at += 1
                table = self._key()
                self._record((), table, line)
                while self._peek() == "]":
                    self._at += 1
            else:
                self._pair(table)

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        key = self._key()
        self._record(table, key, line)
        self._at += 1  # the equals sign
        self._value(table + key)

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_INLINE_SPACE)
            token = self._take(_KEY)
            parts.append(_unquote(token) if token[0] in "\"'" else token)
            self._skip(_INLINE_SPACE)
            if self._peek() != ".":
                return tuple(parts)
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_INLINE_SPACE)
        self._lines.setdefault(path, self._line())
        opening = self._peek()
        if opening not in ("[", "{"):
            self._take(_SCALAR)
            return
        closing = "]" if opening == "[" else "}"
        self._at += 1
        index = 0
        while self._skip(_SPACE) and self._peek() != closing:
            if opening == "[":
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._skip(_SPACE)
            if self._peek() == ",":
                self._at += 1
        self._at += 1

    def _record(self, table: KeyPath, key: KeyPath, line: int) -> None:
        for length in range(1, len(key) + 1):
            self._lines.setdefault(table + key[:length], line)

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Whether anything is left after what `pattern` covers."""
        self._take(pattern)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        token = match.group() if match else ""
        self._at += len(token)
        return token


def _unquote(token: str) -> str:
    """The name that a quoted key means."""
    (name,) = tomllib.loads(f"{token} = 0")
    return name
