"""The engine in plain Python: the reference that is read, and that others are tested against."""

from __future__ import annotations

import threading
import time
from socket import socket

from hushwire.crypto.ciphers import CIPHERS
from hushwire.engines.base import Capabilities, Counters, Event, Interface
from hushwire.engines.python.boundary import Fit
from hushwire.engines.python.events import EventQueue
from hushwire.engines.python.pump import Pump
from hushwire.engines.python.table import Table, Tunnel
from hushwire.esp.size import inner_mtu
from hushwire.sa.association import ChildSa, Encapsulation, Path


class PythonEngine:
    """Implements `engines.base.Engine` with one thread. This side swaps tables; `Pump` reads them.

    `remove` may return while the thread seals its last packet under the SA removed.
    """

    def __init__(self) -> None:
        self._events = EventQueue()
        self._lock = threading.Lock()
        self._pump: Pump | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def capabilities(self) -> Capabilities:
        return Capabilities("python", tuple(CIPHERS), tuple(Encapsulation))

    def open(self, interface: Interface) -> None:
        with self._lock:
            if self._closed or self._pump is not None:
                raise RuntimeError("an engine is opened once")
            self._pump = Pump(interface, self._events)
            self._thread = threading.Thread(
                target=self._pump.run, name=f"hushwire {interface.name}", daemon=True
            )
            self._thread.start()

    def install(self, sa: ChildSa) -> None:
        with self._lock:
            pump = self._opened()
            self._swap(pump, pump.table.plus(Tunnel(sa, time.monotonic())))

    def update(
        self,
        inbound_spi: int,
        path: Path,
        encapsulation: Encapsulation,
        *,
        keepalive: bool = False,
        follow: bool = False,
    ) -> None:
        with self._lock:
            pump = self._opened()
            tunnel = pump.table[inbound_spi]
            tunnel.route = (encapsulation, path)
            tunnel.keepalive, tunnel.follow = keepalive, follow
            pump.wake()

    def set_path_mtu(self, inbound_spi: int, mtu: int, whole: int) -> None:
        with self._lock:
            tunnel = self._opened().table[inbound_spi]
            encapsulation, path = tunnel.route
            version = path.remote.ip.version
            inner = inner_mtu(mtu, version, encapsulation, tunnel.child.suite.cipher)
            tunnel.fit = Fit(whole, inner)

    def confirm(self, inbound_spi: int) -> None:
        with self._lock:
            self._opened().table[inbound_spi].proved = True

    def retire(self, inbound_spi: int) -> None:
        with self._lock:
            self._opened().table[inbound_spi].retired = True

    def remove(self, inbound_spi: int) -> None:
        with self._lock:
            pump = self._opened()
            self._swap(pump, pump.table.minus(inbound_spi))

    def add_stream(self, sock: socket, path: Path, *, originated: bool) -> None:
        with self._lock:
            pump = self._opened()
            pump.streams.add(sock, path, originated=originated)
            pump.wake()

    def send_ike(self, data: bytes, path: Path) -> None:
        with self._lock:
            pump = self._opened()
            pump.streams.send_ike(data, path)
            pump.wake()

    def close_stream(self, path: Path) -> None:
        with self._lock:
            pump = self._opened()
            pump.streams.close_one(path)
            pump.wake()

    def counters(self) -> Counters:
        with self._lock:
            pump = self._opened()
            return Counters(
                dict(pump.drops),
                {tunnel.child.inbound_spi: tunnel.counters() for tunnel in pump.table},
            )

    def events(self) -> list[Event]:
        return self._events.take()

    @property
    def event_fd(self) -> int:
        return self._events.fd

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            pump, thread = self._pump, self._thread
            self._pump = None
        if pump is not None and thread is not None:
            pump.stop()
            thread.join()
            pump.close()
        self._events.close()

    def _opened(self) -> Pump:
        if self._pump is None:
            raise RuntimeError("the engine is not open")
        return self._pump

    def _swap(self, pump: Pump, table: Table) -> None:
        pump.table = table
        pump.wake()
