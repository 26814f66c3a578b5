"""IP fragments: read one, and cut a packet into them (RFC 791 §3.2, RFC 8200 §4.5)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hushwire.wire.errors import TruncatedError, WireError
from hushwire.wire.front import Front, join, split
from hushwire.wire.registry import IpProtocol

_MORE_FRAGMENTS = 0x2000
_DONT_FRAGMENT = 0x4000
_OFFSET = 0x1FFF
_COPIED = 0x80  # RFC 791 §3.1: this option stands in every fragment, not in the first alone
_END_OF_OPTIONS, _NO_OPERATION = 0, 1
_FRAGMENT_HEADER_OCTETS = 8
_LARGEST = 65535

_U16 = struct.Struct(">H")
_FRAGMENT_HEADER = struct.Struct(">BxHI")  # next header, offset and M, identification


class Fragment(NamedTuple):
    """A part of a datagram.

    `key` is the same for all parts of one datagram, `offset` in octets. `front` are the headers
    that the whole datagram will have if this part is its first, `protocol` what follows them.
    """

    key: tuple[bytes, bytes, int, int]
    offset: int
    more: bool
    front: Front
    protocol: int
    data: bytes

    @property
    def identification(self) -> int:
        return self.key[2]


def is_fragment(front: Front) -> bool:
    """Whether the packet with this front is a fragment of a datagram."""
    if front.version == 6:
        return front.protocol == IpProtocol.FRAGMENT
    return bool(_U16.unpack_from(front.octets, 6)[0] & (_MORE_FRAGMENTS | _OFFSET))


def parse_fragment(packet: bytes) -> Fragment | None:
    """None for a packet that is a whole datagram.

    An IPv6 packet with a fragment header is a fragment, also where it is the only one of its
    datagram (RFC 6946). Raises `WireError`.
    """
    front, rest = split(packet)
    if not is_fragment(front):
        return None
    if front.version == 4:
        field = int(_U16.unpack_from(packet, 6)[0])
        octets = bytearray(front.octets)
        _U16.pack_into(octets, 6, field & _DONT_FRAGMENT)
        key = (packet[12:16], packet[16:20], int(_U16.unpack_from(packet, 4)[0]), packet[9])
        found = Fragment(
            key,
            (field & _OFFSET) * 8,
            bool(field & _MORE_FRAGMENTS),
            Front(bytes(octets), front.protocol_at),
            front.protocol,
            rest,
        )
    else:
        if len(rest) < _FRAGMENT_HEADER_OCTETS:
            raise TruncatedError("IPv6 packet: ends inside its fragment header")
        protocol, field, identification = _FRAGMENT_HEADER.unpack_from(rest)
        found = Fragment(
            (packet[8:24], packet[24:40], identification, 0),
            field & ~7,
            bool(field & 1),
            front,
            protocol,
            rest[_FRAGMENT_HEADER_OCTETS:],
        )
    if found.more and len(found.data) % 8:
        raise WireError(f"IP fragment: {len(found.data)} octets, and it is not the last")
    if found.offset + len(found.data) > _LARGEST:
        raise WireError("IP fragment: ends beyond the largest datagram")
    return found


def cut(packet: bytes, most: int, identification: int) -> list[bytes]:
    """The packet in fragments of at most `most` octets; itself if it fits.

    `identification` is IPv6's; an IPv4 packet has its own, and gets this one only where that is 0,
    which Linux would replace in each fragment by another. Raises `WireError` where `most` is too
    small for any.
    """
    if len(packet) <= most:
        return [packet]
    front, data = split(packet)
    if front.version == 4:
        return _cut_ipv4(front, data, most, identification)
    room = (most - len(front.octets) - _FRAGMENT_HEADER_OCTETS) // 8 * 8
    return [
        join(
            front,
            IpProtocol.FRAGMENT,
            _FRAGMENT_HEADER.pack(
                front.protocol, at | (at + room < len(data)), identification
            ) + data[at : at + room],
        )
        for at in _places(len(data), room)
    ]  # fmt: skip


def _cut_ipv4(front: Front, data: bytes, most: int, identification: int) -> list[bytes]:
    octets = bytearray(front.octets)
    if not any(octets[4:6]):
        _U16.pack_into(octets, 4, (identification & 0xFFFF) or 1)
    later = octets[:20] + _copied_options(bytes(octets[20:]))
    later[0] = 0x40 | len(later) // 4
    room = (most - len(octets)) // 8 * 8
    pieces = []
    for at in _places(len(data), room):
        header = bytearray(later if at else octets)
        more = _MORE_FRAGMENTS if at + room < len(data) else 0
        _U16.pack_into(header, 6, at >> 3 | more)
        piece = data[at : at + room]
        pieces.append(join(Front(bytes(header), front.protocol_at), front.protocol, piece))
    return pieces


def _places(octets: int, room: int) -> range:
    if room < 8:
        raise WireError("IP packet: no fragment of it can be so small")
    return range(0, octets, room)


def _copied_options(options: bytes) -> bytes:
    """RFC 791 §3.1: those that every fragment carries, padded to whole words."""
    kept = b""
    at = 0
    while at < len(options) and options[at] != _END_OF_OPTIONS:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            raise WireError("IPv4 packet: an option does not fit into its header")
        if options[at] & _COPIED:
            kept += options[at : at + length]
        at += length
    return kept + bytes(-len(kept) % 4)
