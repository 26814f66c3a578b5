"""Processes of which only a number is known: are they still who they were, and their end."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from hushwire.records import dataclass
from hushwire.system.errors import NotPermittedError


def began(pid: int) -> int:
    """When the process began, in clock ticks since boot (proc(5), field 22).

    Raises `OSError` when there is none.
    """
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process in a pid file. A number may come to a new owner; when it began tells."""

    pid: int
    began: int

    @classmethod
    def of(cls, pid: int) -> Recorded:
        """Raises `OSError` when there is no such process."""
        return cls(pid, began(pid))

    @classmethod
    def read(cls, file: Path) -> Recorded | None:
        """None when there is no file, or nothing of use in it. Raises `PermissionError`."""
        try:
            pid, start = file.read_text().split()
            return cls(int(pid), int(start))
        except (FileNotFoundError, ValueError):
            return None

    def write(self, file: Path) -> None:
        file.write_text(f"{self.pid} {self.began}\n")

    @property
    def alive(self) -> bool:
        try:
            return began(self.pid) == self.began and not _is_zombie(self.pid)
        except OSError:
            return False

    def ends(self, seconds: float, number: signal.Signals | None = None) -> bool:
        """Send the signal, if one is given, and wait as long; is it gone?

        Raises `NotPermittedError`.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive:
                return True
            with suppress(ProcessLookupError):
                if number is not None:
                    signal.pidfd_send_signal(descriptor, number)
            return bool(select.select([descriptor], [], [], seconds)[0])
        except PermissionError as error:
            raise NotPermittedError(
                [f"process {self.pid} belongs to another user. Run this with sudo."]
            ) from error
        finally:
            os.close(descriptor)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
