"""What is wrong with the user's configuration: where, what, and how to mend it."""

from __future__ import annotations

from pathlib import Path


def _sentences(what: str, cure: str) -> str:
    """Both as one paragraph; `what` gets the stop that it has not."""
    return f"{what}{'' if what.endswith(('.', '?')) else '.'} {cure}".rstrip()


class ConfigError(Exception):
    """A configuration that cannot be used.

    `what` is a phrase without its full stop, `cure` whole sentences or empty. `line` counts from
    one, and is None when the whole file is meant.
    """

    def __init__(self, path: Path, line: int | None, what: str, cure: str = "") -> None:
        where = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {_sentences(what, cure)}")
        self.path = path
        self.line = line
        self.what = what
        self.cure = cure


class BadValueError(Exception):
    """A value that cannot be used, before it is known where it stands."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(_sentences(what, cure))
        self.what = what
        self.cure = cure
