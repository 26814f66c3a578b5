"""Numbered datagrams at a steady pace, through the tunnel and counted at its end."""

from __future__ import annotations

import socket
import struct
import threading
import time

from tests.conformance.namespaces import Namespace

_NUMBER = struct.Struct(">Q")
_PAUSE_SECONDS = 0.002
_PAYLOAD_OCTETS = 200
_PORT = 7001
_LAST_WAIT_SECONDS = 5.0


class Probes:
    """One direction: `start`, then `finish`; then `sent`, `missing` and `twice` are known."""

    def __init__(self, sender: Namespace, receiver: Namespace, address: str) -> None:
        self.sent = 0
        self._seen = bytearray()
        self.twice = 0
        self._stopping = threading.Event()
        self._over = threading.Event()

        def opened() -> socket.socket:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
            return sock

        self._out, self._in = sender.call(opened), receiver.call(opened)
        self._in.bind((address, _PORT))
        self._in.settimeout(0.5)
        self._to = (address, _PORT)
        self._threads = [threading.Thread(target=it) for it in (self._send, self._receive)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Send no more, and wait for those that are underway."""
        self._stopping.set()
        self._threads[0].join()
        deadline = time.monotonic() + _LAST_WAIT_SECONDS
        while self.missing and time.monotonic() < deadline:
            self._over.wait(0.05)
        self._over.set()
        self._threads[1].join()
        self._out.close()
        self._in.close()

    @property
    def missing(self) -> int:
        return self.sent - sum(self._seen)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            self._seen.append(0)
            self._out.sendto(_NUMBER.pack(self.sent) + bytes(_PAYLOAD_OCTETS), self._to)
            self.sent += 1
            due = max(due + _PAUSE_SECONDS, time.monotonic() - 0.1)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while not self._over.is_set():
            try:
                data = self._in.recv(2048)
            except TimeoutError:
                continue
            (number,) = _NUMBER.unpack_from(data)
            self.twice += self._seen[number]
            self._seen[number] = 1
