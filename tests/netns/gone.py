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


def namespaces_below(parent: int) -> Namespaces | None:
    """Of a world's holder: the child of the `unshare` that is a child of `parent`."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    own = Path("/proc/self/ns/pid").readlink()
    for child in children.get(parent, []):
        for holder in children.get(child, []):
            if Path(f"/proc/{holder}/ns/pid").readlink() != own:
                return Namespaces(holder)
    return None


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
