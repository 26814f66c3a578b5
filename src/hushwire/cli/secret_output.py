"""Where secrets go: to standard output, or to a new file that only its owner can read."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from hushwire.cli.errors import UsageError

_OWNER_ONLY = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_new_secret(path: Path, text: str) -> None:
    """A new file of mode 0600. Raises `UsageError` rather than write over anything."""
    try:
        # O_EXCL: made here and now, so neither a link nor another's open file can catch the secret.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already, and a secret is never written over. "
            "Choose another name, or remove it first."
        ) from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 (an open file)
            os.fchmod(descriptor, _OWNER_ONLY)  # whatever the umask took away
            file.write(text)
    except OSError:
        path.unlink()
        raise


def print_secret(text: str) -> None:
    """To standard output, with a warning when that is a file which others can use."""
    mode = os.fstat(sys.stdout.fileno()).st_mode
    if stat.S_ISREG(mode) and mode & _OTHERS:
        print(
            "hushwire: warning: this secret goes into a file that others can use "
            f"(mode {stat.S_IMODE(mode):04o}). Run chmod 600 on it; -o FILE does that by itself.",
            file=sys.stderr,
        )
    print(text, end="")
