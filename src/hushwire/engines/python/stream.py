"""ESP and IKE inside TCP connections (RFC 9329), for the packet thread.

A connection must never hold up the others: nothing here blocks, and nothing grows without bound.
Another thread only leaves work in an inbox, so a stream has one reader and one writer, and no
message of one can come into the middle of another.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from hushwire.esp.drops import Drop
from hushwire.sa.association import Path
from hushwire.wire.errors import WireError
from hushwire.wire.natt import NON_ESP_MARKER
from hushwire.wire.tcpencap import LARGEST_MESSAGE, FrameReader, build_frame

IKE_WAITING_OCTETS = 48 << 10
"""IKE messages that wait for a connection that takes nothing; more are dropped."""

MOST_DOUBTS = 32
"""So many messages in a row that belong to no SA here, and the stream counts as corrupted."""

_READ_OCTETS = 64 << 10

# RFC 9329 §6.1: signs of a corrupted stream. A few unknown SPIs are none, as both sides' databases
# may differ for a moment; a packet that is not authentic cannot come about in TCP by itself.
_DOUBTFUL = frozenset({Drop.UNKNOWN_SPI, Drop.TRUNCATED, Drop.NOT_ESP})


class Stream:
    """One connection. `number` grows with every one that is added."""

    __slots__ = ("doubts", "frames", "number", "open", "originated", "path", "sock", "unsent")

    def __init__(self, sock: socket.socket, path: Path, number: int, *, originated: bool) -> None:
        self.sock = sock
        self.path = path
        self.number = number
        self.originated = originated
        self.frames = FrameReader()
        self.unsent = bytearray()  # the rest of a frame that was begun, and IKE behind it
        self.doubts = 0
        self.open = True

    def write(self, frame: bytes) -> bool:
        """Begin a frame if the connection takes any of it now. Raises `OSError`."""
        if self.unsent:
            return False
        try:
            sent = self.sock.send(frame)
        except BlockingIOError:
            return False
        self.unsent += memoryview(frame)[sent:]
        return True

    def flush(self) -> None:
        """Go on with what waits. Raises `OSError`."""
        try:
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            pass

    def read(self) -> bytes | None:
        """Octets that have come, none at the end of the stream; None: nothing now.

        Raises `OSError`.
        """
        try:
            return self.sock.recv(_READ_OCTETS)
        except BlockingIOError:
            return None


class Streams:
    """All connections. `received` gets every message, `closed` the path and why, once for each."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        received: Callable[[Stream, bytes], None],
        closed: Callable[[Path, str], None],
    ) -> None:
        self._selector = selector
        self._received = received
        self._closed = closed
        self._streams: dict[Path, Stream] = {}
        self._added = 0
        self._inbox: deque[Callable[[], None]] = deque()
        self._ended = False

    # For the other thread, which then wakes the packet thread.

    def add(self, sock: socket.socket, path: Path, *, originated: bool) -> None:
        self._inbox.append(partial(self._add, sock, path, originated))

    def send_ike(self, data: bytes, path: Path) -> None:
        self._inbox.append(partial(self._send_ike, data, path))

    def close_one(self, path: Path) -> None:
        self._inbox.append(partial(self._close_one, path))

    # For the packet thread.

    def work(self) -> None:
        """Do what the other thread has asked for."""
        while self._inbox:
            self._inbox.popleft()()

    def send_esp(self, packet: bytes, path: Path) -> Drop | None:
        """Send it at once or not at all; then why not."""
        stream = self._streams.get(path)
        if stream is None:
            return Drop.NO_STREAM
        if len(packet) > LARGEST_MESSAGE:
            return Drop.OVERSIZED
        try:
            begun = stream.write(build_frame(packet))
        except OSError as error:
            self._close(stream, _reason(error))
            return Drop.NO_STREAM
        if not begun:
            return Drop.STREAM_FULL
        self._watch(stream)
        return None

    def supersedes(self, stream: Stream, path: Path) -> bool:
        """Has the peer opened this stream after the one that `path` names, or is that one gone?

        Never when we opened it: who opens the connections knows which one is the last.
        """
        other = self._streams.get(path)
        return not stream.originated and (other is None or other.number < stream.number)

    def doubt(self, stream: Stream, drop: Drop) -> None:
        """A message of this stream went no further because of `drop`: is it corrupted? (§6.1)"""
        if drop is Drop.BAD_ICV:
            self._close(stream, "a packet in it was not authentic")
        elif drop in _DOUBTFUL:
            stream.doubts += 1
            if stream.doubts >= MOST_DOUBTS:
                self._close(stream, f"{stream.doubts} packets in a row belonged to no tunnel")

    def close(self) -> None:
        """Close every connection, those too that wait in the inbox."""
        self._ended = True
        for stream in list(self._streams.values()):
            self._forget(stream)
        self.work()

    def _add(self, sock: socket.socket, path: Path, originated: bool) -> None:
        if self._ended:
            sock.close()
            return
        self._added += 1
        stream = Stream(sock, path, self._added, originated=originated)
        self._streams[path] = stream
        self._selector.register(sock, selectors.EVENT_READ, partial(self._ready, stream))

    def _send_ike(self, data: bytes, path: Path) -> None:
        stream = self._streams.get(path)
        if stream is None or len(stream.unsent) + len(data) > IKE_WAITING_OCTETS:
            return  # the protocol sends its requests again when there is a new connection
        stream.unsent += build_frame(NON_ESP_MARKER + data)
        self._flush(stream)

    def _close_one(self, path: Path) -> None:
        stream = self._streams.get(path)
        if stream is not None:
            self._close(stream, "this side closed it")

    def _ready(self, stream: Stream) -> None:
        """The connection takes more, or has more."""
        if stream.open and stream.unsent:
            self._flush(stream)
        if stream.open:
            self._read(stream)

    def _flush(self, stream: Stream) -> None:
        try:
            stream.flush()
        except OSError as error:
            self._close(stream, _reason(error))
        else:
            self._watch(stream)

    def _read(self, stream: Stream) -> None:
        try:
            octets = stream.read()
        except OSError as error:
            self._close(stream, _reason(error))
            return
        if octets == b"":
            # §6.1: what came of an unfinished message goes with the connection.
            self._close(stream, "the peer closed it")
        if not octets:
            return
        try:
            for message in stream.frames.feed(octets):
                self._received(stream, message)
                if not stream.open:
                    return
        except WireError as error:
            self._close(stream, str(error))

    def _watch(self, stream: Stream) -> None:
        """Wait for room too while something is unsent."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.unsent else 0)
        key = self._selector.get_key(stream.sock)
        if key.events != events:
            self._selector.modify(stream.sock, events, key.data)

    def _close(self, stream: Stream, why: str) -> None:
        self._selector.unregister(stream.sock)
        self._forget(stream)
        self._closed(stream.path, why)

    def _forget(self, stream: Stream) -> None:
        stream.open = False
        stream.sock.close()
        del self._streams[stream.path]


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
