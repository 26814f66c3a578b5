"""Path MTUs of the tunnels that are up: probes, ICMP errors, and the MTU of the TUN device.

Child SA installed ─► PathMtu of its path ─► probes ─► answers, ICMP errors
                                │
                                └─► engine (what fits), TUN device (what the kernel sends)
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import field, replace
from socket import socket

from hushwire.daemon.journal import Journal
from hushwire.daemon.sockets import IKE_PORT, NATT_PORT, Sockets
from hushwire.engines.base import Engine
from hushwire.esp.pmtu import LEAST, PathMtu
from hushwire.esp.size import inner_mtu
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.system.errors import SystemFailureError
from hushwire.system.icmp import receive_too_big
from hushwire.system.routes import link_mtu
from hushwire.system.tun import Tun
from hushwire.wire.icmp import TooBig
from hushwire.wire.ike.header import SPI_OCTETS
from hushwire.wire.ike.probe import answered_spi, build_probe
from hushwire.wire.natt import NON_ESP_MARKER
from hushwire.wire.registry import IpProtocol

_IP_HEADER_OCTETS = {4: 20, 6: 40}
_UDP_HEADER_OCTETS = 8
_LARGEST_PACKET = 65535
_ERRORS_AT_ONCE = 16
_FITTED = (Encapsulation.ESP, Encapsulation.UDP)
"""In TCP nothing has to fit: the kernel cuts that stream by a path MTU of its own."""

_Key = tuple[bytes, bytes]


@dataclass(slots=True)
class _Road:
    """One pair of outer addresses, the SAs that use it, and the probe that is under way."""

    path: Path
    search: PathMtu
    children: dict[int, ChildSa] = field(default_factory=dict)
    spi: bytes = b""
    size: int = 0
    packets: int = 0


class PathMtus:
    """Keeps every tunnel's path MTU, and the device's after it."""

    def __init__(
        self, sockets: Sockets, engine: Engine, tun: Tun, mtu: int, journal: Journal
    ) -> None:
        """`mtu` is what the TUN device has now. The engine is closed after this."""
        self.mtu = mtu
        self._wanted = 0
        self.ignored = 0
        self._sockets = sockets
        self._engine = engine
        self._tun = tun
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._roads: dict[_Key, _Road] = {}
        self._timer: asyncio.TimerHandle | None = None
        for sock in sockets.icmp:
            self._loop.add_reader(sock, self._readable, sock)

    def close(self) -> None:
        """Stop looking; the tunnels may go on."""
        for sock in self._sockets.icmp:
            self._loop.remove_reader(sock)
        if self._timer is not None:
            self._timer.cancel()

    def by_peer(self) -> dict[str, int]:
        """Path MTUs by the names of peers, of those that have one."""
        return {
            child.peer: road.search.mtu
            for road in self._roads.values()
            for child in road.children.values()
        }

    # SAs come and go.

    def installed(self, child: ChildSa) -> None:
        """The engine has it."""
        if child.encapsulation not in _FITTED:
            return
        path = child.path
        key = (path.local.ip.packed, path.remote.ip.packed)
        road = self._roads.get(key)
        if road is None:
            road = self._roads[key] = _Road(path, self._new_search(path))
        road.path = path
        road.children[child.inbound_spi] = child
        self._advance()

    def moved(self, inbound_spi: int, path: Path, encapsulation: Encapsulation) -> None:
        """The SA sends on another path from now on."""
        for road in self._roads.values():
            child = road.children.get(inbound_spi)
            if child is not None:
                self.removed(inbound_spi)
                self.installed(replace(child, path=path, encapsulation=encapsulation))
                return

    def removed(self, inbound_spi: int) -> None:
        """The engine forgets it."""
        for key, road in list(self._roads.items()):
            if road.children.pop(inbound_spi, None) and not road.children:
                del self._roads[key]
        self._advance()

    # What comes back.

    def answered(self, message: bytes, path: Path) -> bool:
        """Whether an IKE message is the answer to a probe of ours, and so done with."""
        road = self._roads.get((path.local.ip.packed, path.remote.ip.packed))
        if road is None or not road.spi or not message.startswith(road.spi):
            return False
        if answered_spi(message) != road.spi:
            return False
        road.search.answered(road.size, self._loop.time())
        self._advance()
        return True

    def _readable(self, sock: socket) -> None:
        believed = False
        for _ in range(_ERRORS_AT_ONCE):
            try:
                error = receive_too_big(sock, self._tun.index)
            except OSError:
                break
            if error is None:
                break
            believed |= self._too_big(error)
        if believed:
            self._advance()

    def _too_big(self, error: TooBig) -> bool:
        """RFC 4301 §8.2.1: an error counts only for the SA that it is about."""
        road = self._roads.get((error.source.packed, error.destination.packed))
        if (
            road is not None
            and _is_about(error, road)
            and road.search.too_big(error.mtu, self._loop.time())
        ):
            return True
        self.ignored += 1
        return False

    # What is to be done.

    def _advance(self) -> None:
        """Send what probes are due, and tell engine and device what is known."""
        now = self._loop.time()
        for road in self._roads.values():
            self._probe(road, now)
            for spi in road.children:
                self._engine.set_path_mtu(spi, road.search.mtu, road.search.whole)
        self._set_device()
        if self._timer is not None:
            self._timer.cancel()
        deadlines = [road.search.deadline for road in self._roads.values()]
        self._timer = self._loop.call_at(min(deadlines), self._advance) if deadlines else None

    def _probe(self, road: _Road, now: float) -> None:
        search = road.search
        if now < search.deadline:
            return
        if not search.awaited and search.link != (link := self._link(road.path)):
            search = road.search = PathMtu(road.path.remote.ip.version, link, now)
        sent = self._packets(road)
        size = search.timer(now, used=sent != road.packets)
        road.packets = sent
        if size is None:
            return
        if size != road.size or not road.spi:
            road.spi, road.size = os.urandom(SPI_OCTETS), size
        headers = _IP_HEADER_OCTETS[road.path.remote.ip.version] + _UDP_HEADER_OCTETS
        if road.path.local.port == NATT_PORT:
            headers += len(NON_ESP_MARKER)
        try:
            self._sockets.send_probe(build_probe(road.spi, size - headers), road.path)
        except OSError:
            return  # as good as lost: the search goes on without it

    def _packets(self, road: _Road) -> int:
        used = self._engine.counters().sas
        return sum(used[spi].packets_out for spi in road.children if spi in used)

    def _set_device(self) -> None:
        """The MTU of the path that takes most; for the others the engine answers by ICMP."""
        fitting = [
            max(_inner(child, road.search.mtu), LEAST[_largest_version(child)])
            for road in self._roads.values()
            for child in road.children.values()
        ]
        if not fitting or max(fitting) == self._wanted:
            return
        self._wanted = max(fitting)
        try:
            mtu = self._tun.set_mtu(self._wanted)
        except SystemFailureError as error:
            self._journal.say(f"{error}")
            return
        if mtu != self.mtu:
            self.mtu = mtu
            self._journal.say(f"{self._tun.name}: MTU {mtu} now.", mtu=mtu)

    def _new_search(self, path: Path) -> PathMtu:
        return PathMtu(path.remote.ip.version, self._link(path), self._loop.time())

    def _link(self, path: Path) -> int:
        try:
            return min(link_mtu(path.remote.ip, self._sockets.device), _LARGEST_PACKET)
        except SystemFailureError:
            return LEAST[path.remote.ip.version]  # no route at this moment


def _inner(child: ChildSa, mtu: int) -> int:
    version = child.path.remote.ip.version
    return inner_mtu(mtu, version, child.encapsulation, child.suite.cipher)


def _largest_version(child: ChildSa) -> int:
    """6 where the SA carries IPv6, whose links have to take 1280 octets (RFC 8200 §5)."""
    return max(selector.start.version for selector in child.remote_selectors)


def _is_about(error: TooBig, road: _Road) -> bool:
    """Whether the quoted packet is ours: ESP of a live SA, or the probe under way."""
    payload = error.payload
    if error.protocol == IpProtocol.ESP:
        return _is_esp(payload, road, Encapsulation.ESP)
    if error.protocol != IpProtocol.UDP or len(payload) < _UDP_HEADER_OCTETS:
        return False
    port = int.from_bytes(payload[:2], "big")
    content = payload[_UDP_HEADER_OCTETS:]
    if port == NATT_PORT:
        if not content.startswith(NON_ESP_MARKER):
            return _is_esp(content, road, Encapsulation.UDP)
        content = content[len(NON_ESP_MARKER) :]
    elif port != IKE_PORT:
        return False
    return bool(road.spi) and content.startswith(road.spi)


def _is_esp(content: bytes, road: _Road, encapsulation: Encapsulation) -> bool:
    spi = int.from_bytes(content[:4], "big")
    return any(
        child.outbound_spi == spi and child.encapsulation is encapsulation
        for child in road.children.values()
    )
