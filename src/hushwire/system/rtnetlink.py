"""The kernel's rtnetlink (rtnetlink(7), netlink(7)): messages, and a socket that speaks them.

    struct nlmsghdr │ the header of its kind, as struct rtmsg │ attributes
    length kind flags number port                               length kind value, to 4 octets

Numbers stand in the byte order of the host; addresses as on the wire. What a library for this
would do more is not needed here, and takes as long to load as all else together.
"""

from __future__ import annotations

import os
import socket
import struct
from types import TracebackType

from hushwire.records import dataclass

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")
_CODE = struct.Struct("=i")
_MOST_OCTETS = 1 << 16  # the kernel fills at most 32 KiB at once

# From <linux/netlink.h>.
_NETLINK_ROUTE = 0
_REQUEST, _ACK, _DUMP = 0x001, 0x004, 0x300
_ERROR, _DONE = 2, 3
_TYPE_MASK = 0x3FFF
CREATE, EXCL, REPLACE = 0x400, 0x200, 0x100

# From <linux/rtnetlink.h>: the kinds of message.
NEW_LINK, GET_LINK = 16, 18
NEW_ADDRESS, GET_ADDRESS = 20, 22
NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26
NEW_RULE, DELETE_RULE, GET_RULE = 32, 33, 34

# Their headers.
LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix, flags, scope, index
# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
# struct fib_rule_hdr is the same, with the action in the place of the type.
ROUTE = struct.Struct("=8BI")
_HEADERS = {16: LINK, 20: ADDRESS, 24: ROUTE, 32: ROUTE}


@dataclass(slots=True)
class Message:
    """An answer: the fields of its header, and its attributes as octets."""

    header: tuple[int, ...]
    attributes: dict[int, bytes]

    def number(self, kind: int) -> int | None:
        """An attribute of 32 bits."""
        value = self.attributes.get(kind)
        return None if value is None else int(_NUMBER.unpack(value)[0])


class Rtnetlink:
    """A socket for a few questions and orders. They raise `OSError` as the kernel refuses."""

    def __init__(self) -> None:
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE
        )
        self._number = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def order(self, kind: int, header: bytes, *attributes: bytes, flags: int = 0) -> None:
        """Change something; `flags` as CREATE."""
        self._talk(kind, flags | _ACK, header + b"".join(attributes))

    def one(self, kind: int, header: bytes, *attributes: bytes) -> Message:
        """The one thing that is asked for."""
        return self._talk(kind, _ACK, header + b"".join(attributes))[0]

    def all(self, kind: int, header: bytes) -> list[Message]:
        """Everything of a kind."""
        return self._talk(kind, _DUMP, header)

    def _talk(self, kind: int, flags: int, body: bytes) -> list[Message]:
        self._number += 1
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, kind, flags | _REQUEST, self._number, 0)
        self._sock.sendto(header + body, (0, 0))
        found: list[Message] = []
        while True:
            octets = self._sock.recv(_MOST_OCTETS)
            at = 0
            while at + _HEADER.size <= len(octets):
                length, kind, _, number, _ = _HEADER.unpack_from(octets, at)
                body = octets[at + _HEADER.size : at + length]
                at += _aligned(length)
                if number != self._number:
                    continue
                if kind in (_ERROR, _DONE):
                    (code,) = _CODE.unpack_from(body)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return found
                found.append(_message(kind, body))


def route_header(
    family: int,
    *,
    prefix: int = 0,
    table: int = 0,
    protocol: int = 0,
    kind: int = 0,
    flags: int = 0,
) -> bytes:
    """Of a route, or of a rule with its action as `kind`; zero is everything that is asked for."""
    return ROUTE.pack(family, prefix, 0, 0, table, protocol, 0, kind, flags)


def attribute(kind: int, value: bytes | int) -> bytes:
    """One that goes into a message; a number has 32 bits. Several, joined, nest in another."""
    octets = _NUMBER.pack(value) if isinstance(value, int) else value
    front = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(octets), kind)
    return front + octets + bytes(-len(octets) % 4)


def attributes(octets: bytes) -> dict[int, bytes]:
    """Those that `octets` hold."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        found[kind & _TYPE_MASK] = octets[at + _ATTRIBUTE.size : at + length]
        at += _aligned(max(length, _ATTRIBUTE.size))
    return found


def _message(kind: int, body: bytes) -> Message:
    header = _HEADERS[kind]
    return Message(header.unpack_from(body), attributes(body[header.size :]))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
