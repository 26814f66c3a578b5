"""Packets go to the peer, and none come back: it may have forgotten us (RFC 7296 §2.4).

A peer that was killed and began anew may say nothing about it. Where two hosts have talked, one
second without an answer is enough to ask. Where packets go one way only, for good reasons perhaps,
the question comes ever more seldom, in the end as seldom as that about a silent peer.
"""

from __future__ import annotations

FIRST_SECONDS = 1.0


class Unanswered:
    """What one IKE SA's CHILD_SAs have carried, and since when nothing has come in return."""

    def __init__(self) -> None:
        self._out = self._in = 0
        self._since: float | None = None
        self._seconds = FIRST_SECONDS

    def carried(self, out: int, came: int, now: float, longest: float) -> bool:
        """So many packets in all. Is it time to ask? `longest` is the most to wait, in seconds.

        Fewer than before, because an SA has gone, say nothing.
        """
        more, self._out = out > self._out, out
        answered, self._in = came != self._in, came
        if answered:
            self._since, self._seconds = None, FIRST_SECONDS
        elif self._since is None:
            self._since = now if more else None
        elif now >= self._since + self._seconds:
            self._since, self._seconds = None, min(2 * self._seconds, longest)
            return True
        return False
