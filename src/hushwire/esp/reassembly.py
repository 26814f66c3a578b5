"""Whole datagrams from the fragments that the kernel puts into TUN.

RFC 4303 §3.3.4, RFC 4301 §4.1: transport mode seals whole datagrams, never fragments. A "bump in
the stack", which this is, reassembles first, seals, and fragments again.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import field
from typing import NamedTuple

from hushwire.records import dataclass
from hushwire.wire.fragments import Fragment, parse_fragment
from hushwire.wire.front import Front, join

SECONDS = 30.0
"""How long the parts of a datagram are waited for, as Linux does."""

MOST_OCTETS = 4 << 20
"""What all unfinished datagrams may hold together; the oldest goes first."""

_KEEPING_OCTETS = 128  # what a fragment costs besides its data


class Whole(NamedTuple):
    """A datagram; the size of its largest fragment, which the way took; its identification."""

    packet: bytes
    largest: int
    identification: int


@dataclass(slots=True)
class _Unfinished:
    until: float
    pieces: list[tuple[int, bytes]] = field(default_factory=list)  # by offset
    front: tuple[Front, int] | None = None  # and the protocol, from the first part
    end: int | None = None  # from the last part
    largest: int = 0
    octets: int = _KEEPING_OCTETS
    spoilt: bool = False


class Reassembly:
    """Gathers fragments in bounded memory. Not safe for two threads at once.

    `lost` counts the datagrams that were given up: too late, too much, or overlapping parts.
    """

    def __init__(self, most_octets: int = MOST_OCTETS, seconds: float = SECONDS) -> None:
        self.lost = 0
        self._most_octets = most_octets
        self._seconds = seconds
        self._octets = 0
        self._unfinished: dict[tuple[bytes, bytes, int, int], _Unfinished] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._unfinished)

    def add(self, packet: bytes, now: float) -> Whole | None:
        """The datagram if this was all that it lacked; a packet that is none is whole already.

        `now` is in seconds from any fixed point. Raises `WireError` for a malformed packet.
        """
        part = parse_fragment(packet)
        if part is None:
            return Whole(packet, len(packet), 0)
        self._forget(now)
        datagram = self._unfinished.get(part.key)
        if datagram is None:
            datagram = self._unfinished[part.key] = _Unfinished(now + self._seconds)
            self._octets += datagram.octets
        if datagram.spoilt:
            return None
        datagram.largest = max(datagram.largest, len(packet))
        if not self._put(datagram, part):
            self._spoil(datagram)
            return None
        if datagram.front is None or datagram.end is None:
            return None
        if sum(len(data) for _, data in datagram.pieces) < datagram.end:
            return None
        self._octets -= self._unfinished.pop(part.key).octets
        front, protocol = datagram.front
        packet = join(front, protocol, b"".join(data for _, data in datagram.pieces))
        return Whole(packet, datagram.largest, part.identification)

    def _put(self, datagram: _Unfinished, part: Fragment) -> bool:
        """False where it contradicts what is here."""
        start, end = part.offset, part.offset + len(part.data)
        piece = (start, part.data)
        at = bisect(datagram.pieces, start, key=lambda known: known[0])
        if at and datagram.pieces[at - 1] == piece:
            return True  # the very same once more
        if at and datagram.pieces[at - 1][0] + len(datagram.pieces[at - 1][1]) > start:
            return False
        if at < len(datagram.pieces) and datagram.pieces[at][0] < end:
            return False
        last = datagram.pieces[-1] if datagram.pieces else (0, b"")
        known_end = datagram.end if datagram.end is not None else (None if part.more else end)
        if known_end is not None and max(end, last[0] + len(last[1])) > known_end:
            return False
        if not part.more and known_end != end:
            return False
        datagram.pieces.insert(at, piece)
        datagram.end = known_end
        if start == 0:
            datagram.front = (part.front, part.protocol)
        cost = len(part.data) + _KEEPING_OCTETS
        datagram.octets += cost
        self._octets += cost
        return True

    def _spoil(self, datagram: _Unfinished) -> None:
        """RFC 8200 §4.5 (RFC 5722): overlapping parts end all of it, those to come as well."""
        datagram.spoilt = True
        datagram.pieces.clear()
        self._octets -= datagram.octets - _KEEPING_OCTETS
        datagram.octets = _KEEPING_OCTETS
        self.lost += 1

    def _forget(self, now: float) -> None:
        """What is too late; and the oldest, while all together is too much."""
        for key, datagram in list(self._unfinished.items()):
            if datagram.until > now and self._octets <= self._most_octets:
                break
            if not datagram.spoilt:
                self.lost += 1
            self._octets -= datagram.octets
            del self._unfinished[key]
