"""The engine in Rust (`rust/core`), bound by `hushwire._core`: the contract's types around it."""

from __future__ import annotations

from socket import socket
from typing import Any

from hushwire import _core
from hushwire.crypto.ciphers import CIPHERS
from hushwire.engines.base import (
    Acquire,
    Capabilities,
    Counters,
    EngineFailure,
    Event,
    IkeDatagram,
    Interface,
    PathMoved,
    SaCounters,
    SequenceNearEnd,
    StreamClosed,
    UnknownSpi,
)
from hushwire.engines.native.plain import path_of, plain_interface, plain_path, plain_sa
from hushwire.esp.drops import Drop
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.wire.ip import Flow


class NativeEngine:
    """Implements `engines.base.Engine` with one thread outside Python."""

    def __init__(self) -> None:
        self._core = _core.Engine()

    def capabilities(self) -> Capabilities:
        return Capabilities("native", tuple(CIPHERS), tuple(Encapsulation), tun_headers=True)

    def open(self, interface: Interface) -> None:
        self._core.open(plain_interface(interface))

    def install(self, sa: ChildSa) -> None:
        self._core.install(plain_sa(sa))

    def update(
        self,
        inbound_spi: int,
        path: Path,
        encapsulation: Encapsulation,
        *,
        keepalive: bool = False,
        follow: bool = False,
    ) -> None:
        way = (plain_path(path), encapsulation.value, keepalive, follow)
        self._core.update(inbound_spi, way)

    def set_path_mtu(self, inbound_spi: int, mtu: int, whole: int) -> None:
        self._core.set_path_mtu(inbound_spi, mtu, whole)

    def confirm(self, inbound_spi: int) -> None:
        self._core.confirm(inbound_spi)

    def retire(self, inbound_spi: int) -> None:
        self._core.retire(inbound_spi)

    def remove(self, inbound_spi: int) -> None:
        self._core.remove(inbound_spi)

    def add_stream(self, sock: socket, path: Path, *, originated: bool) -> None:
        self._core.add_stream(sock.detach(), plain_path(path), originated)

    def send_ike(self, data: bytes, path: Path) -> None:
        self._core.send_ike(data, plain_path(path))

    def close_stream(self, path: Path) -> None:
        self._core.close_stream(plain_path(path))

    def counters(self) -> Counters:
        drops, sas, features = self._core.counters()
        return Counters(
            {Drop(name): packets for name, packets in drops.items()},
            {spi: SaCounters(*counts) for spi, counts in sas},
            features,
        )

    def events(self) -> list[Event]:
        return [_event(*plain) for plain in self._core.events()]

    @property
    def event_fd(self) -> int:
        return self._core.event_fd

    def close(self) -> None:
        self._core.close()


def _event(kind: str, *plain: Any) -> Event:  # noqa: ANN401 (by kind)
    match kind:
        case "ike":
            return IkeDatagram(plain[0], path_of(plain[1]))
        case "acquire":
            (version, source, destination), protocol, ports = plain
            return Acquire(Flow(version, source, destination, protocol, *ports))
        case "near_end":
            return SequenceNearEnd(plain[0])
        case "stream_closed":
            return StreamClosed(path_of(plain[0]), plain[1])
        case "path_moved":
            return PathMoved(plain[0], path_of(plain[1]))
        case "unknown_spi":
            return UnknownSpi(plain[0], path_of(plain[1]))
        case _:
            return EngineFailure(plain[0])
