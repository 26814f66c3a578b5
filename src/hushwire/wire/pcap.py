"""Capture files, pcap and pcapng, as tcpdump, Wireshark and strangers write them: read only.

pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng. The file is as hostile as the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hushwire.wire.errors import WireError

Read = Callable[[int], bytes]
"""Gives up to so many octets, fewer only at the end of the file."""

LARGEST_FRAME = 1 << 18
_LARGEST_BLOCK = LARGEST_FRAME + (1 << 16)
_MOST_INTERFACES = 256

_PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6), b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9), b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}  # fmt: skip
_PCAP_HEADER_OCTETS = 24
_LINK_BITS = 0x0FFFFFFF  # what is above tells of frame check sequences

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_TIME_RESOLUTION = 9


class Frame(NamedTuple):
    """One frame: when it was seen (seconds since 1970), its link type, as much as was kept."""

    at: float
    link: int
    data: bytes


def frames(read: Read) -> Iterator[Frame]:
    """Every frame in its order; a file that ends in the middle of one ends before it.

    Raises `WireError` for what is no capture, or has a frame that cannot be one.
    """
    magic = read(4)
    if magic in _PCAP_MAGICS:
        yield from _pcap(read, *_PCAP_MAGICS[magic])
    elif magic == _SECTION_MAGIC:
        yield from _pcapng(read)
    else:
        raise WireError("not a capture: it begins neither as pcap nor as pcapng")


def _pcap(read: Read, order: str, unit: float) -> Iterator[Frame]:
    header = read(_PCAP_HEADER_OCTETS - 4)
    if len(header) < _PCAP_HEADER_OCTETS - 4:
        return
    link = struct.unpack(f"{order}I", header[16:20])[0] & _LINK_BITS
    record = struct.Struct(f"{order}IIII")
    while len(head := read(record.size)) == record.size:
        seconds, fraction, kept, _ = record.unpack(head)
        if kept > LARGEST_FRAME:
            raise WireError(f"capture: a frame of {kept} octets")
        data = read(kept)
        if len(data) < kept:
            return
        yield Frame(seconds + fraction * unit, link, data)


def _pcapng(read: Read) -> Iterator[Frame]:
    order = _section(read)
    interfaces: list[tuple[int, float]] = []
    while len(head := read(8)) == 8:
        if head[:4] == _SECTION_MAGIC:
            order = _section(read, head[4:])
            interfaces = []
            continue
        kind, length = struct.unpack(f"{order}II", head)
        if not 12 <= length <= _LARGEST_BLOCK or length % 4:
            raise WireError(f"capture: a block of {length} octets")
        body = read(length - 8)
        if len(body) < length - 8:
            return
        body = body[:-4]
        if kind == _INTERFACE and len(body) >= 8 and len(interfaces) < _MOST_INTERFACES:
            interfaces.append((struct.unpack(f"{order}H", body[:2])[0], _unit(body[8:], order)))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, kept, _ = struct.unpack(f"{order}5I", body[:20])
            if number < len(interfaces) and kept <= len(body) - 20:
                link, unit = interfaces[number]
                yield Frame((high << 32 | low) * unit, link, body[20 : 20 + kept])
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            kept = min(struct.unpack(f"{order}I", body[:4])[0], len(body) - 4)
            yield Frame(0.0, interfaces[0][0], body[4 : 4 + kept])


def _section(read: Read, length: bytes = b"") -> str:
    """The rest of a section header block; the byte order of all that follows."""
    length = length or read(4)
    order = _BYTE_ORDERS.get(read(4))
    if order is None or len(length) < 4:
        raise WireError("capture: a section header without its byte order")
    octets = struct.unpack(f"{order}I", length)[0]
    if not 28 <= octets <= _LARGEST_BLOCK:
        raise WireError(f"capture: a section header of {octets} octets")
    read(octets - 12)
    return order


def _unit(options: bytes, order: str) -> float:
    """Seconds in one unit of an interface's timestamps; microseconds unless it says otherwise."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack(f"{order}HH", options[at : at + 4])
        if code == _TIME_RESOLUTION and length == 1 and at + 5 <= len(options):
            value = options[at + 4]
            exponent = value & 0x7F
            if exponent > 63:
                return 1e-6
            return 2.0**-exponent if value & 0x80 else 10.0**-exponent
        at += 4 + (length + 3) // 4 * 4
    return 1e-6
