"""One direction of a TCP connection in a capture: the messages that come in it (RFC 9329)."""

from __future__ import annotations

from collections.abc import Iterator

from hushwire.wire.errors import WireError
from hushwire.wire.sniffed import Sniffed
from hushwire.wire.tcpencap import LENGTH_OCTETS, STREAM_PREFIX, FrameReader

_MOST_EARLY = 64
_NUMBERS = 1 << 32
_HALF = 1 << 31


class Direction:
    """Takes its segments as they were captured: out of order, repeated, or some of them missing.

    Holds `_MOST_EARLY` segments and one incomplete frame at most.
    """

    def __init__(self) -> None:
        self._next: int | None = None  # sequence number of the octet that comes next
        self._early: dict[int, bytes] = {}
        self._frames = FrameReader()
        self._start: bytes | None = b""
        self._lost = 0

    @property
    def unread(self) -> int:
        """Segments in which no frame could be found: what comes before them is missing."""
        return self._lost + len(self._early)

    def add(self, segment: Sniffed) -> Iterator[bytes]:
        """The messages that are complete now. Never raises for its octets."""
        if segment.opens:
            self._begin(segment.number)
        if not segment.payload:
            return
        if len(self._early) >= _MOST_EARLY:
            self._lose()  # what is missing is not in the capture
        if self._next is None and _begins_with_a_frame(segment.payload):
            self._begin(segment.number)
        if self._next is None:
            self._lost += 1
            return
        self._early[segment.number] = segment.payload
        yield from self._in_order()

    def _begin(self, number: int) -> None:
        self._next = number
        self._early.clear()
        self._frames = FrameReader()
        self._start = b""

    def _lose(self) -> None:
        self._next = None
        self._lost += len(self._early)
        self._early.clear()

    def _in_order(self) -> Iterator[bytes]:
        while (octets := self._follower()) is not None:
            if self._start is not None:
                self._start += octets
                if len(self._start) < len(STREAM_PREFIX) and STREAM_PREFIX.startswith(self._start):
                    continue  # of who opened the connection (§4)
                octets, self._start = self._start.removeprefix(STREAM_PREFIX), None
            try:
                yield from self._frames.feed(octets)
            except WireError:
                self._lose()

    def _follower(self) -> bytes | None:
        """The octets that come next, out of one of the segments that are here; None for none."""
        if self._next is None:
            return None
        for number in list(self._early):
            known = (self._next - number) % _NUMBERS
            if known >= _HALF:
                continue  # it begins later
            octets = self._early.pop(number)[known:]
            if octets:
                self._next = (self._next + len(octets)) % _NUMBERS
                return octets
        return None


def _begins_with_a_frame(octets: bytes) -> bool:
    """Whether a segment begins the stream, or holds just one frame, as those with IKE mostly do."""
    length = int.from_bytes(octets[:LENGTH_OCTETS], "big")
    return octets.startswith(STREAM_PREFIX) or length == len(octets) > LENGTH_OCTETS
