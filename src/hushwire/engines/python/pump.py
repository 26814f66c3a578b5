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
from hushwire.engines.python.boundary import ErrorSource
from hushwire.engines.python.events import EventQueue
from hushwire.engines.python.origins import Origins, natt_path
from hushwire.engines.python.stream import Stream, Streams
from hushwire.engines.python.table import Table, Tunnel
from hushwire.esp import transport
from hushwire.esp.ecn import decapsulated, outer_traffic_class
from hushwire.esp.mss import clamped
from hushwire.esp.reassembly import Reassembly
from hushwire.sa.association import Encapsulation, Path
from hushwire.system import datagram
from hushwire.system.fragments import fits
from hushwire.wire import natt
from hushwire.wire.errors import WireError
from hushwire.wire.esp import parse_header
from hushwire.wire.fragments import cut
from hushwire.wire.front import Front
from hushwire.wire.ip import Flow, parse_flow

BATCH = 64
"""Packets taken from one descriptor before the others have their turn."""

ACQUIRE_SECONDS = 1.0

_LARGEST_PACKET = 65535
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
        self._whole = {sock.family: sock for sock in interface.whole}
        self._reassembly = Reassembly()
        self._errors = ErrorSource()
        self._origins = Origins(events)
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
        if self.table.pairs and flow[:3] in self.table.pairs:
            self._outward_whole(packet)
            return
        tunnel = self._tunnel(flow)
        if tunnel is None:
            return
        if tunnel.fit is not None:
            if limit := tunnel.fit.refuses(packet):
                self._send_back(packet, limit)
                return
            packet = clamped(packet, tunnel.fit.inner)
        try:
            sealed = tunnel.outbound.seal(packet)
        except EspDropError as error:
            self.drops[error.drop] += 1
            return
        tos = outer_traffic_class(packet, copy_dscp=tunnel.child.copy_dscp)
        self._sent(tunnel, packet, self._send(tunnel, sealed, tos))

    def _outward_whole(self, packet: bytes) -> None:
        """In transport mode the packet keeps its IP header, and must be a whole datagram."""
        try:
            whole = self._reassembly.add(packet, time.monotonic())
            self.drops[Drop.REASSEMBLY] = self._reassembly.lost
            tunnel = None if whole is None else self._tunnel(parse_flow(whole.packet))
        except WireError:
            self.drops[Drop.NOT_IP] += 1
            return
        if whole is None or tunnel is None:
            return
        try:
            if tunnel.front is None:
                sent = self._send(tunnel, tunnel.outbound.seal(whole.packet))
            elif tunnel.route[0] is Encapsulation.ESP:
                sealed = transport.seal(tunnel.outbound, whole.packet)
                # What came in fragments leaves in fragments that fit where those did.
                most = whole.largest if len(packet) < len(whole.packet) else len(sealed)
                sent = self._send_whole(tunnel, cut(sealed, most, whole.identification))
            else:
                sent = self._send(tunnel, transport.seal_bare(tunnel.outbound, whole.packet))
        except EspDropError as error:
            self.drops[error.drop] += 1
        except WireError:
            self.drops[Drop.OVERSIZED] += 1
        else:
            self._sent(tunnel, whole.packet, sent)

    def _tunnel(self, flow: Flow) -> Tunnel | None:
        """The one that carries the flow; where there is none, the packet is dropped."""
        table = self.table
        tunnel = table.outbound(flow)
        if tunnel is None:
            self.drops[Drop.SELECTOR_MISMATCH_OUT if table else Drop.NO_SA] += 1
            self._acquire(flow)
        return tunnel

    def _sent(self, tunnel: Tunnel, packet: bytes, sent: bool) -> None:
        if tunnel.outbound.near_end and not tunnel.near_end_told:
            tunnel.near_end_told = True
            self._events.put(SequenceNearEnd(tunnel.child.inbound_spi))
        if sent:
            tunnel.packets_out += 1
            tunnel.bytes_out += len(packet)

    def _send_whole(self, tunnel: Tunnel, pieces: list[bytes]) -> bool:
        tunnel.last_out = time.monotonic()
        sock = self._whole.get(_FAMILIES[pieces[0][0] >> 4])
        if sock is None:
            self.drops[Drop.SEND_FAILED] += 1
            return False
        try:
            for piece in pieces:
                datagram.send_whole(sock, piece)
        except OSError as error:
            self._send_failed(error)
            return False
        return True

    def _send_back(self, packet: bytes, limit: int) -> None:
        """RFC 4301 §8.2.1: its sender is to send smaller ones."""
        self.drops[Drop.TOO_BIG] += 1
        error = self._errors.too_big(packet, limit, time.monotonic())
        if error is not None:
            try:
                os.write(self._interface.tun_fd, error)
            except OSError:
                self.drops[Drop.TUN_WRITE_FAILED] += 1

    def _send(self, tunnel: Tunnel, data: bytes, tos: int = 0) -> bool:
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
            if not self._send_in_fragments(tunnel, data, tos):
                if in_udp:
                    datagram.send(sock, data, natt_path(path), tos)
                else:
                    datagram.send_esp(sock, data, path, tos)
        except OSError as error:
            self._send_failed(error)
            return False
        return True

    def _send_failed(self, error: OSError) -> None:
        too_large = error.errno == errno.EMSGSIZE
        self.drops[Drop.OVERSIZED if too_large else Drop.SEND_FAILED] += 1

    def _send_in_fragments(self, tunnel: Tunnel, data: bytes, tos: int) -> bool:
        """What is larger than an IPv6 path takes; IPv4 routers do that themselves."""
        encapsulation, path = tunnel.route
        fragmenter, fit = self._interface.fragmenter, tunnel.fit
        if fit is None or fragmenter is None or path.remote.ip.version == 4:
            return False
        udp = encapsulation is Encapsulation.UDP
        if fits(len(data) + (8 if udp else 0), fit.outer):
            return False
        if udp:
            fragmenter.send_udp(data, natt_path(path), fit.outer, tos)
        else:
            fragmenter.send_esp(data, path, fit.outer, tos)
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
            if tunnel.keepalive and tunnel.route[0] is Encapsulation.UDP
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

    def _inward(self, packet: bytes, tos: int = 0, own: Front | None = None) -> Tunnel | Drop:
        """An ESP packet; `own` is the IP header that it came under, if it has no other.

        Returns the tunnel by which an authentic packet came, or why it went no further.
        """
        try:
            table = self.table
            tunnel = table.inbound(parse_header(packet).spi)
            if tunnel is None:
                raise EspDropError(Drop.UNKNOWN_SPI)
            if tunnel.front is None:
                inner = tunnel.inbound.open(packet).inner
            else:
                own, rewritten = own or tunnel.front, tunnel.child.rewritten
                inner = transport.open_packet(tunnel.inbound, packet, own, rewritten=rewritten)
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
        if tunnel.front is None:
            # In transport mode the packet's own header has had the marks of the way all along.
            try:
                inner = decapsulated(inner, tos)
            except EspDropError as error:
                self.drops[error.drop] += 1
                return error.drop
        if tunnel.fit is not None:
            inner = clamped(inner, tunnel.fit.inner)
        try:
            os.write(self._interface.tun_fd, inner)
        except OSError:
            self.drops[Drop.TUN_WRITE_FAILED] += 1
            return tunnel
        tunnel.packets_in += 1
        tunnel.bytes_in += len(inner)
        return tunnel

    def _datagram(self, data: bytes, path: Path, tos: int = 0) -> None:
        """RFC 3948 §2: what came to port 4500."""
        kind = natt.classify(data)
        if kind is natt.Datagram.ESP:
            self._origins.note(self._inward(data, tos), data, path)
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
                got = datagram.receive_marked(sock)
            except OSError as error:
                self._receive_failed(error)
                return
            if got is None:
                return
            self._datagram(*got)

    def _read_raw(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                got = datagram.receive_esp_whole(sock)
            except OSError as error:
                self._receive_failed(error)
                return
            if got is None:
                return
            own, packet = got
            self._origins.note(self._inward(packet, own.traffic_class, own), packet, own)

    def _receive_failed(self, error: OSError) -> None:
        if error.errno not in _NETWORK_TROUBLE:
            raise error
        self.drops[Drop.RECEIVE_FAILED] += 1
