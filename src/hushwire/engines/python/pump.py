"""The packet thread: one packet's journey from TUN to the wire, and back.

Follow `_outward` and `_inward`; the rest waits for them to have something to do.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial

from hushwire.engines.base import (
    Acquire,
    Drop,
    EngineFailure,
    EspDropError,
    IkeDatagram,
    Interface,
    PathMoved,
    SequenceNearEnd,
    StreamClosed,
)
from hushwire.engines.python.events import EventQueue
from hushwire.engines.python.stream import Stream, Streams
from hushwire.engines.python.table import Table, Tunnel
from hushwire.sa.association import Address, Encapsulation, Path
from hushwire.system import datagram
from hushwire.wire import natt
from hushwire.wire.errors import WireError
from hushwire.wire.esp import parse_header
from hushwire.wire.ip import Flow, parse_flow

BATCH = 64
"""Packets taken from one descriptor before the others have their turn."""

ACQUIRE_SECONDS = 1.0

_LARGEST_PACKET = 65535
_IKE_PORT = 500
_NATT_PORT = 4500
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

_NETWORK_TROUBLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EMSGSIZE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPROTO,
    }
)
"""What a socket reports once for trouble in the network; anything else ends the engine."""

logger = logging.getLogger(__name__)


class Pump:
    """Moves packets while `run` runs. `table` is replaced, never changed, by another thread."""

    def __init__(self, interface: Interface, events: EventQueue) -> None:
        self.table = Table()
        self.drops = dict.fromkeys(Drop, 0)
        self._events = events
        self._interface = interface
        self._udp = {sock.family: sock for sock in interface.udp}
        self._raw = {sock.family: sock for sock in interface.raw}
        self._next_acquire = 0.0
        self._next_keepalive = 0.0
        self._stopping = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self.streams = Streams(self._selector, self._message, self._stream_closed)
        try:
            self._register()
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """The body of the thread: returns after `stop`, or after telling why it cannot go on."""
        try:
            while not self._stopping:
                pause = max(0.0, self._next_keepalive - time.monotonic())
                for key, _ in self._selector.select(pause):
                    key.data()
                if time.monotonic() >= self._next_keepalive:
                    self._send_keepalives()
        except Exception as error:
            # Fail closed: nobody reads TUN any more, so nothing of it can leave.
            logger.exception("the packet thread of %s has ended", self._interface.name)
            self._events.put(EngineFailure(f"{type(error).__name__}: {error}"))
        finally:
            self._selector.close()

    def wake(self) -> None:
        """Look at the table again. For the other thread."""
        os.eventfd_write(self._wake_fd, 1)

    def stop(self) -> None:
        """Make `run` return soon. For the other thread."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """After `run` has returned."""
        self.streams.close()
        self._selector.close()
        os.close(self._wake_fd)

    # From this host to the wire (RFC 4301 §5.1, RFC 4303 §3.3).

    def _outward(self, packet: bytes) -> None:
        try:
            flow = parse_flow(packet)
        except WireError:
            self.drops[Drop.NOT_IP] += 1
            return
        table = self.table
        tunnel = table.outbound(flow)
        if tunnel is None:
            self.drops[Drop.SELECTOR_MISMATCH_OUT if table else Drop.NO_SA] += 1
            self._acquire(flow)
            return
        try:
            sealed = tunnel.outbound.seal(packet)
        except EspDropError as error:
            self.drops[error.drop] += 1
            return
        if tunnel.outbound.near_end and not tunnel.near_end_told:
            tunnel.near_end_told = True
            self._events.put(SequenceNearEnd(tunnel.child.inbound_spi))
        if self._send(tunnel, sealed):
            tunnel.packets_out += 1
            tunnel.bytes_out += len(packet)

    def _send(self, tunnel: Tunnel, data: bytes) -> bool:
        encapsulation, path = tunnel.route
        if encapsulation is Encapsulation.TCP:
            return self._send_in_tcp(data, path)
        in_udp = encapsulation is Encapsulation.UDP
        sock = (self._udp if in_udp else self._raw).get(_FAMILIES[path.remote.ip.version])
        tunnel.last_out = time.monotonic()
        if sock is None:  # the host has this address family switched off
            self.drops[Drop.SEND_FAILED] += 1
            return False
        try:
            if in_udp:
                datagram.send(sock, data, _natt_path(path))
            else:
                datagram.send_esp(sock, data, path)
        except OSError as error:
            too_large = error.errno == errno.EMSGSIZE
            self.drops[Drop.OVERSIZED if too_large else Drop.SEND_FAILED] += 1
            return False
        return True

    def _send_in_tcp(self, data: bytes, path: Path) -> bool:
        drop = self.streams.send_esp(data, path)
        if drop is not None:
            self.drops[drop] += 1
        return drop is None

    def _acquire(self, flow: Flow) -> None:
        now = time.monotonic()
        if now >= self._next_acquire:
            self._next_acquire = now + ACQUIRE_SECONDS
            if not self._events.offer(Acquire(flow)):
                self.drops[Drop.EVENTS_FULL] += 1

    def _send_keepalives(self) -> None:
        """RFC 3948 §4: one octet, when nothing else has kept the NAT's mapping alive."""
        interval = self._interface.keepalive_seconds
        now = time.monotonic()
        self._next_keepalive = now + interval
        # An old SA and the one that replaces it share a mapping: one packet is enough for both.
        newest: dict[Path, float] = {}
        waiting = [
            tunnel
            for tunnel in self.table
            if tunnel.child.keepalive and tunnel.route[0] is Encapsulation.UDP
        ]
        for tunnel in waiting:
            path = tunnel.route[1]
            newest[path] = max(tunnel.last_out, newest.get(path, 0.0))
        for tunnel in waiting:
            path = tunnel.route[1]
            if newest[path] + interval <= now:
                self._send(tunnel, natt.KEEPALIVE)
                newest[path] = now
            self._next_keepalive = min(self._next_keepalive, newest[path] + interval)

    # From the wire to this host (RFC 4301 §5.2, RFC 4303 §3.4).

    def _inward(self, packet: bytes) -> Tunnel | Drop:
        """The tunnel by which an authentic packet came, or why it went no further."""
        try:
            table = self.table
            tunnel = table.inbound(parse_header(packet).spi)
            if tunnel is None:
                raise EspDropError(Drop.UNKNOWN_SPI)
            inner = tunnel.inbound.open(packet).inner
            if not table.belongs(tunnel, inner):
                raise EspDropError(Drop.SELECTOR_MISMATCH_IN)
        except WireError:
            self.drops[Drop.TRUNCATED] += 1
            return Drop.TRUNCATED
        except EspDropError as error:
            self.drops[error.drop] += 1
            return error.drop
        tunnel.proved = True
        tunnel.last_in = time.monotonic()
        try:
            os.write(self._interface.tun_fd, inner)
        except OSError:
            self.drops[Drop.TUN_WRITE_FAILED] += 1
            return tunnel
        tunnel.packets_in += 1
        tunnel.bytes_in += len(inner)
        return tunnel

    def _datagram(self, data: bytes, path: Path) -> None:
        """RFC 3948 §2: what came to port 4500."""
        kind = natt.classify(data)
        if kind is natt.Datagram.ESP:
            self._inward(data)
        elif kind is natt.Datagram.IKE:
            message = IkeDatagram(data[len(natt.NON_ESP_MARKER) :], path)
            if not self._events.offer(message):
                self.drops[Drop.EVENTS_FULL] += 1
        else:
            self.drops[Drop.NOT_ESP if kind is None else Drop.KEEPALIVE] += 1

    # Inside TCP (RFC 9329).

    def _message(self, stream: Stream, message: bytes) -> None:
        """A whole message from a stream: what UDP port 4500 would bring as a datagram."""
        kind = natt.classify(message)
        if kind is not natt.Datagram.ESP:
            self._datagram(message, stream.path)
            if kind is None:
                self.streams.doubt(stream, Drop.NOT_ESP)
            return
        outcome = self._inward(message)
        if isinstance(outcome, Drop):
            self.streams.doubt(stream, outcome)
            return
        stream.doubts = 0
        encapsulation, path = outcome.route
        if encapsulation is Encapsulation.TCP and self.streams.supersedes(stream, path):
            outcome.route = (encapsulation, stream.path)
            self._events.put(PathMoved(outcome.child.inbound_spi, stream.path))

    def _stream_closed(self, path: Path, why: str) -> None:
        self._events.put(StreamClosed(path, why))

    # Waiting.

    def _register(self) -> None:
        readers: list[tuple[int | socket.socket, Callable[[], None]]] = [
            (self._wake_fd, self._woken),
            (self._interface.tun_fd, self._read_tun),
        ]
        readers += [(sock, partial(self._read_udp, sock)) for sock in self._interface.udp]
        readers += [(sock, partial(self._read_raw, sock)) for sock in self._interface.raw]
        for source, reader in readers:
            self._selector.register(source, selectors.EVENT_READ, reader)

    def _woken(self) -> None:
        os.eventfd_read(self._wake_fd)
        self.streams.work()
        self._next_keepalive = 0.0

    def _read_tun(self) -> None:
        for _ in range(BATCH):
            try:
                packet = os.read(self._interface.tun_fd, _LARGEST_PACKET)
            except BlockingIOError:
                return
            self._outward(packet)

    def _read_udp(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                got = datagram.receive(sock)
            except OSError as error:
                self._receive_failed(error)
                return
            if got is None:
                return
            self._datagram(*got)

    def _read_raw(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                got = datagram.receive_esp(sock)
            except OSError as error:
                self._receive_failed(error)
                return
            if got is None:
                return
            self._inward(got[0])

    def _receive_failed(self, error: OSError) -> None:
        if error.errno not in _NETWORK_TROUBLE:
            raise error
        self.drops[Drop.RECEIVE_FAILED] += 1


def _natt_path(path: Path) -> Path:
    """A path that IKE found on port 500 has ESP on 4500 (RFC 7296 §2.23); else it is as it is."""
    if path.remote.port != _IKE_PORT:
        return path
    return Path(path.local, Address(path.remote.ip, _NATT_PORT))
