"""Messages in a TCP stream (RFC 9329 §3, §4): a prefix, then frames of 16-bit length and message.

A message is what a datagram on UDP port 4500 would hold: `natt.classify` tells which kind it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from hushwire.wire.errors import WireError

STREAM_PREFIX = b"IKETCP"
"""The first octets of every stream, sent by who opened the connection, and only by it (§4)."""

TCP_PORT = 4500

LENGTH_OCTETS = 2

LARGEST_MESSAGE = 0xFFFF - LENGTH_OCTETS
"""In octets: the length field counts itself (§3)."""


def build_frame(message: bytes) -> bytes:
    """The length, in network byte order and its own two octets included, and the message.

    Raises `ValueError` for more than `LARGEST_MESSAGE` octets.
    """
    if len(message) > LARGEST_MESSAGE:
        raise ValueError(f"{len(message)} octets do not fit into a frame ({LARGEST_MESSAGE} do)")
    return (LENGTH_OCTETS + len(message)).to_bytes(LENGTH_OCTETS, "big") + message


class FrameReader:
    """Takes the octets behind the prefix as they come and gives the messages in them.

    Holds no more than what it was fed last and one incomplete frame, at most 65,534 octets of it.
    """

    __slots__ = ("_octets",)

    def __init__(self) -> None:
        self._octets = bytearray()

    @property
    def waiting(self) -> int:
        """Octets of a frame whose end has not come yet."""
        return len(self._octets)

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """The messages that are complete now; to be used up before more is fed.

        An empty message is passed over (§3). Raises `WireError` at a length of 0 or 1, behind
        which nothing can be read any more: the connection has to be closed (§3.1).
        """
        held = self._octets
        held += octets
        start = 0
        try:
            while len(held) - start >= LENGTH_OCTETS:
                length = int.from_bytes(held[start : start + LENGTH_OCTETS], "big")
                if length < LENGTH_OCTETS:
                    raise WireError(f"a TCP frame of length {length}, which counts itself")
                end = start + length
                if len(held) < end:
                    break
                message = bytes(held[start + LENGTH_OCTETS : end])
                start = end
                if message:
                    yield message
        finally:
            del held[:start]
