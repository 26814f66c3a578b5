"""How many TCP connections strangers may hold, and for how long (RFC 9329 §10).

Whoever has no established IKE SA on a connection is a stranger on it. Those who have one are
counted by nobody: they have proved who they are, and are as many as the configuration names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, ip_network

from hushwire.records import dataclass
from hushwire.sa.association import Path


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """Connections in number, and seconds.

    `seconds` is the time for an IKE SA to be established, after the connection or after the IKE SA
    before has ended. `prefix_seconds` is the time for the stream prefix, in it.
    """

    strangers: int = 256
    of_one_source: int = 8
    seconds: float = 30.0
    prefix_seconds: float = 5.0


class Guests:
    """The connections that others have opened."""

    def __init__(self, limits: GuestLimits | None = None) -> None:
        self.limits = limits or GuestLimits()
        self._strangers: dict[Path, float] = {}  # since when, oldest first
        self._known: set[Path] = set()
        self._sources: Counter[object] = Counter()

    def __contains__(self, path: Path) -> bool:
        return path in self._strangers or path in self._known

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    @property
    def full(self) -> bool:
        """Would another stranger throw one out?"""
        return len(self._strangers) >= self.limits.strangers

    def enter(self, path: Path, now: float) -> Path | None:
        """Let a stranger in; returns who has to go for it, which may be itself.

        A source that has too many gets no more. Where there are too many in all, the oldest goes:
        an honest peer needs its connection for a moment only until it is no stranger any more.
        """
        source = _source(path)
        if path in self or self._sources[source] >= self.limits.of_one_source:
            return path
        oldest = next(iter(self._strangers), None)
        self._strangers[path] = now
        self._sources[source] += 1
        if oldest is not None and len(self._strangers) > self.limits.strangers:
            self.left(oldest)
            return oldest
        return None

    def left(self, path: Path) -> None:
        """The connection is closed."""
        self._known.discard(path)
        if self._strangers.pop(path, None) is not None:
            source = _source(path)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    def review(self, established: Container[Path], now: float) -> list[Path]:
        """Who has had its time as a stranger; `established` are the connections with an IKE SA."""
        for path in [path for path in self._strangers if path in established]:
            self.left(path)
            self._known.add(path)
        for path in [path for path in self._known if path not in established]:
            self._known.discard(path)
            self._strangers[path] = now
            self._sources[_source(path)] += 1
        latest = now - self.limits.seconds
        return [path for path, since in self._strangers.items() if since <= latest]


def _source(path: Path) -> object:
    """Who counts as one: an IPv4 address, or an IPv6 network of the smallest usual size."""
    ip: IPv4Address | IPv6Address = path.remote.ip
    if isinstance(ip, IPv4Address):
        return ip
    return ip_network((ip.packed, 64), strict=False)
