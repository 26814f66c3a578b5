"""Files that the configuration names, read with care. Every function raises `BadValueError`."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from hushwire.config.errors import BadValueError
from hushwire.config.table import quote

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read(path: Path, most: int, longest: str, *, secret: bool = False) -> bytes:
    """At most so many octets. A `secret` that others can read is no secret: it is refused.

    Raises `FileNotFoundError` too: its cure is the caller's to name.
    """
    try:
        # O_NONBLOCK: a FIFO is refused below, instead of waiting for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadValueError(
            f"{path} cannot be read: {error.strerror}", "Run as the user whose file it is."
        ) from error
    except ValueError as error:
        raise BadValueError(f"{quote(str(path))} cannot be the name of a file") from error
    try:
        # One open file is checked and read: nobody can put another in its place in between.
        _check(path, os.fstat(descriptor).st_mode, secret=secret)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise BadValueError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(octets) > most:
        raise BadValueError(f"{path} is longer than {longest}")
    return octets


def _check(path: Path, mode: int, *, secret: bool) -> None:
    if not stat.S_ISREG(mode):
        raise BadValueError(f"{path} is not a plain file")
    if secret and mode & _OTHERS:
        raise BadValueError(
            f"{path} holds a secret, and others than its owner can use it "
            f"(mode {stat.S_IMODE(mode):04o})",
            f"Run: chmod 600 {shlex.quote(str(path))}",
        )
