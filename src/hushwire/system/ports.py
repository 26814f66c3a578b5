"""Who has a port in this network namespace, read from /proc (proc_net(5))."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hushwire.records import dataclass

_LISTENING = "0A"  # TCP_LISTEN of <net/tcp_states.h>


@dataclass(frozen=True, slots=True)
class Holder:
    """A process with the port; `pid` is 0 where this user may not see it."""

    pid: int
    name: str


def holders(protocol: str, port: int) -> list[Holder]:
    """Everybody who has the port ("udp"), or listens on it ("tcp"), on some address.

    Each once, in order of their numbers.
    """
    inodes = _inodes(protocol, port)
    found = {inode: holder for holder, inode in _owners(inodes)} if inodes else {}
    # /proc is no snapshot: a socket without an owner may just have been closed.
    hidden = inodes - found.keys()
    hidden &= _inodes(protocol, port) if hidden else hidden
    holders = set(found.values()) | {Holder(0, "") for _ in hidden}
    return sorted(holders, key=lambda holder: holder.pid)


def _inodes(protocol: str, port: int) -> set[str]:
    inodes = set()
    for table in (protocol, f"{protocol}6"):
        try:
            rows = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            fields = row.split()
            if protocol == "tcp" and fields[3] != _LISTENING:
                continue
            if int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _owners(inodes: set[str]) -> list[tuple[Holder, str]]:
    """Processes that have one of the sockets open, as far as this user may look."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            links = list((process / "fd").iterdir())
        except OSError:  # not ours to see, or it has just ended
            continue
        for link in links:
            with suppress(OSError):  # a file closed since then says nothing about the others
                if (inode := wanted.get(str(link.readlink()))) is not None:
                    found.append((Holder(int(process.name), name), inode))
    return found
