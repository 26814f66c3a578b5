"""What is left of a world, seen from the host."""

from __future__ import annotations

from pathlib import Path

from hushwire.lab.world import World


def namespaces_of(world: World) -> set[str]:
    """The names that the kernel has for the world's PID and mount namespaces."""
    links = Path(f"/proc/{world.pid}/ns")
    return {str((links / kind).readlink()) for kind in ("pid", "mnt")}


def processes_in(namespaces: set[str]) -> list[int]:
    """Those that still live in one of the namespaces, zombies left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str((process / "ns" / kind).readlink()) for kind in ("pid", "mnt")}
        except OSError:  # it has ended meanwhile, or it is a zombie
            continue
        if links & namespaces:
            found.append(int(process.name))
    return found
