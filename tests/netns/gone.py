"""What is left of a world, seen from the host."""

from __future__ import annotations

import os
from pathlib import Path

from hushwire.lab.world import World

_KINDS = ("pid", "mnt")


class Namespaces:
    """The PID and mount namespaces of one process, held open while this object lives.

    The kernel gives the number of a namespace that is gone to the next one that is made, by a test
    that runs beside this one perhaps. One that is held keeps its number.
    """

    def __init__(self, pid: int) -> None:
        """Raises `OSError` when the process has ended."""
        self._held = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in _KINDS]
        self.names = {_name(Path(f"/proc/self/fd/{fd}")) for fd in self._held}

    def __del__(self) -> None:
        for fd in self._held:
            os.close(fd)


def namespaces_of(world: World) -> Namespaces:
    """Those of its holder."""
    return Namespaces(world.pid)


def processes_in(namespaces: Namespaces) -> list[int]:
    """Those that still live in one of the namespaces, zombies left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {_name(process / "ns" / kind) for kind in _KINDS}
        except OSError:  # it has ended meanwhile, or it is a zombie
            continue
        if links & namespaces.names:
            found.append(int(process.name))
    return found


def _name(link: Path) -> str:
    return str(link.readlink())
