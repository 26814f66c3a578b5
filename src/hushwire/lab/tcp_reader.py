"""Which TCP segments of a capture carry IKE and ESP and nothing else (RFC 9329), by own reading.

A segment alone tells nothing: every connection is put together again from its first octet on, and
must be a stream prefix and then frames, each of them IKE, ESP or a keepalive, to its very end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from hushwire.records import dataclass

PORT = 4500

_PREFIX = b"IKETCP"
_HEADER_OCTETS = 20
_SYN, _ACK = 0x02, 0x10
_ESP_HEADER_OCTETS = 8
_IKE_HEADER_OCTETS = 28
_SEQUENCE_NUMBERS = 1 << 32


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment from `source` to `destination`, each an address and a port."""

    source: tuple[str, int]
    destination: tuple[str, int]
    sequence: int
    flags: int
    payload: bytes


def parse(source: str, destination: str, octets: bytes) -> Segment | None:
    """None for what is not a whole TCP header, or has nothing to do with the port."""
    if len(octets) < _HEADER_OCTETS:
        return None
    ports = int.from_bytes(octets[0:2], "big"), int.from_bytes(octets[2:4], "big")
    start = (octets[12] >> 4) * 4
    if PORT not in ports or not _HEADER_OCTETS <= start <= len(octets):
        return None
    return Segment(
        (source, ports[0]),
        (destination, ports[1]),
        int.from_bytes(octets[4:8], "big"),
        octets[13],
        octets[start:],
    )


@dataclass(slots=True)
class _Direction:
    """One half of a connection: its octets by their place, and where each segment stands."""

    first: int  # the sequence number of its first octet
    originator: bool
    octets: bytearray = field(default_factory=bytearray)
    early: dict[int, bytes] = field(default_factory=dict)
    segments: list[tuple[int, int]] = field(default_factory=list)  # name, end

    def add(self, name: int, segment: Segment) -> None:
        place = (segment.sequence - self.first) % _SEQUENCE_NUMBERS
        if place >= _SEQUENCE_NUMBERS // 2:
            place -= _SEQUENCE_NUMBERS  # a probe for life repeats the octet before
        self.segments.append((name, place + len(segment.payload)))
        self.early[place] = max(self.early.get(place, b""), segment.payload, key=len)
        for start in sorted(self.early):
            if start > len(self.octets):
                return
            self.octets += self.early.pop(start)[len(self.octets) - start :]

    def understood(self) -> int:
        """How many octets from the first one are what they have to be."""
        start = 0
        if self.originator:
            begin = bytes(self.octets[: len(_PREFIX)])
            if not _PREFIX.startswith(begin):
                return 0
            start = len(begin)
        while len(self.octets) - start >= 2:
            length = int.from_bytes(self.octets[start : start + 2], "big")
            message = bytes(self.octets[start + 2 : start + length])
            if length < 2 or not _may_be_message(message, length - 2):
                return start
            start += length
        return max(start, len(self.octets))


def sealed(segments: Iterable[tuple[int, Segment]]) -> set[int]:
    """The names of those segments, given in the order of the capture, that carry nothing else."""
    directions: dict[tuple[tuple[str, int], tuple[str, int]], _Direction] = {}
    every: list[_Direction] = []
    good: set[int] = set()
    for name, segment in segments:
        key = segment.source, segment.destination
        if segment.flags & _SYN:
            first = (segment.sequence + 1) % _SEQUENCE_NUMBERS
            known = directions.get(key)
            if known is None or known.first != first:
                originator = not segment.flags & _ACK
                directions[key] = _Direction(first, originator)
                every.append(directions[key])
        if not segment.payload:
            good.add(name)
        elif key in directions and not segment.flags & _SYN:
            directions[key].add(name, segment)
    for direction in every:
        understood = direction.understood()
        good |= {name for name, end in direction.segments if end <= understood}
    return good


def _may_be_message(message: bytes, length: int) -> bool:
    """`message` may be cut off at the end of the capture; `length` is the whole of it."""
    if length == 0 or (length == 1 and message in (b"", b"\xff")):
        return True
    if message[:4] == bytes(4):
        header = message[4 : 4 + _IKE_HEADER_OCTETS]
        if len(header) < _IKE_HEADER_OCTETS:
            return len(message) < length
        return header[17] >> 4 == 2 and int.from_bytes(header[24:28], "big") == length - 4
    return length > _ESP_HEADER_OCTETS
