"""Messages that wait for the key exchange: bounded, in order, and not for ever. Pure, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import field
from typing import NamedTuple

from hushwire.classroom.frames import Frame, Part
from hushwire.records import dataclass

PATIENCE_SECONDS = 5.0
KNOCK_SECONDS = 0.25
MOST_FRAMES = 1024
MOST_OCTETS = 4 << 20


class Pair(NamedTuple):
    """Two hosts as the programs know them: 16 octets each, IPv4 mapped (RFC 4291 §2.5.5.2)."""

    local: bytes
    remote: bytes


class _Waiting(NamedTuple):
    since: float
    frame: Frame


@dataclass(slots=True)
class _Queue:
    knock_at: float
    frames: deque[_Waiting] = field(default_factory=deque)


class Held:
    """What is held, for every peer. Times are seconds of any clock that only goes forward."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._queues: dict[Pair, _Queue] = {}
        self._octets = 0
        self._frames = 0

    def add(self, pair: Pair, frame: Frame, *, offered: bool, now: float) -> bool:
        """Keep the frame; False when there is no room. `offered`: an OFFER is out already."""
        if self._frames >= MOST_FRAMES or self._octets + len(frame.octets) > MOST_OCTETS:
            return False
        queue = self._queues.setdefault(pair, _Queue(now + KNOCK_SECONDS if offered else now))
        queue.frames.append(_Waiting(now, frame))
        self._frames += 1
        self._octets += len(frame.octets)
        return True

    def take(self, pair: Pair) -> list[Frame]:
        """All frames for this peer, oldest first; they are not held any more."""
        queue = self._queues.pop(pair, None)
        frames = [waiting.frame for waiting in queue.frames] if queue else []
        self._forget(frames)
        return frames

    def expire(self, now: float) -> dict[Pair, list[Frame]]:
        """Those that have waited for too long; they are not held any more."""
        gone = {}
        for pair, queue in list(self._queues.items()):
            old = []
            while queue.frames and queue.frames[0].since + self._patience <= now:
                old.append(queue.frames.popleft().frame)
            if old:
                gone[pair] = old
                self._forget(old)
            if not queue.frames:
                del self._queues[pair]
        return gone

    def knocks(self, now: float) -> dict[Pair, Frame]:
        """Peers that are to be asked again now, with a frame that is to reach them."""
        due = {}
        for pair, queue in self._queues.items():
            if queue.knock_at <= now:
                queue.knock_at = now + KNOCK_SECONDS
                # A later fragment has no ports to knock at.
                whole = (one.frame for one in queue.frames if one.frame.part is not Part.LATER)
                if frame := next(whole, None):
                    due[pair] = frame
        return due

    def pairs(self) -> list[Pair]:
        """The peers for whom something is held."""
        return list(self._queues)

    def next_time(self) -> float | None:
        """When `expire` or `knocks` has something to do next."""
        times = [queue.knock_at for queue in self._queues.values()]
        times += [queue.frames[0].since + self._patience for queue in self._queues.values()]
        return min(times, default=None)

    @property
    def messages(self) -> int:
        """Messages held."""
        return sum(
            count(waiting.frame for waiting in queue.frames) for queue in self._queues.values()
        )

    def _forget(self, frames: list[Frame]) -> None:
        self._frames -= len(frames)
        self._octets -= sum(len(frame.octets) for frame in frames)


def count(frames: Iterable[Frame]) -> int:
    """How many messages they are: later fragments belong to one that has begun."""
    return sum(frame.part is not Part.LATER for frame in frames)
