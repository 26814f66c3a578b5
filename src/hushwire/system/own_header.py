"""An IPv6 header put together from ancillary data: raw IPv6 sockets hand over none (RFC 3542)."""

from __future__ import annotations

import socket
import sys

from hushwire.wire.front import Front
from hushwire.wire.registry import IpProtocol

# From <linux/in6.h>; Python's socket module lacks some of them in some of its versions.
_FLOWINFO = 11
_RECVHOPLIMIT, _HOPLIMIT = 51, 52
_RECVHOPOPTS, _HOPOPTS = 53, 54
_RECVRTHDR, _RTHDR = 56, 57
_RECVDSTOPTS, _DSTOPTS = 58, 59

HEADER_OPTIONS = (_FLOWINFO, _RECVHOPLIMIT, _RECVHOPOPTS, _RECVRTHDR, _RECVDSTOPTS)
"""Options of level IPPROTO_IPV6 that make the kernel tell everything that is needed."""

_EXTENSIONS: dict[int, int] = {
    _HOPOPTS: IpProtocol.HOP_BY_HOP,
    _RTHDR: IpProtocol.ROUTING,
    _DSTOPTS: IpProtocol.DESTINATION_OPTIONS,
}


def ipv6_front(source: bytes, destination: bytes, ancillary: list[tuple[int, int, bytes]]) -> Front:
    """The headers of a packet in their order; addresses are 16 octets.

    Its payload length is left 0, and the last next header is what the packet's was.
    """
    first_word = bytes(4)
    hop_limit = 0
    extensions: list[tuple[int, bytes]] = []
    for level, kind, content in ancillary:
        if level != socket.IPPROTO_IPV6:
            continue
        if kind == _FLOWINFO:  # traffic class and flow label, in network order
            first_word = content
        elif kind == _HOPLIMIT:
            hop_limit = int.from_bytes(content, sys.byteorder) & 0xFF
        elif kind in _EXTENSIONS:
            extensions.append((_EXTENSIONS[kind], content))
    octets = bytearray(
        bytes([0x60 | first_word[0] & 0x0F]) + first_word[1:4] + bytes((0, 0, 0, hop_limit))
    )
    octets += source + destination
    protocol_at = 6
    for protocol, content in extensions:
        octets[protocol_at] = protocol
        protocol_at = len(octets)
        octets += content
    octets[protocol_at] = IpProtocol.ESP
    return Front(bytes(octets), protocol_at)
