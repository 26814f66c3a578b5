"""An engine between two ends that the test holds: an application's, and the peer's on the wire."""

from __future__ import annotations

import select
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from hushwire.engines.base import Drop, Engine, Interface
from hushwire.sa.association import ChildSa, Encapsulation, Mode, Path
from hushwire.system import datagram
from tests.conformance.hosts import ENGINES
from tests.conformance.namespaces import Namespace, eventually, joined
from tests.differential.packets import NATT, OUTER, under_own_header

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_BUFFER_OCTETS = 8 << 20
_LARGEST = 1 << 17
_LIMIT_SECONDS = 30

Sealed = tuple[bytes, bytes, int]
"""Headers of its own or none, the ESP packet, marks of the outer header."""


@dataclass(frozen=True)
class Outcome:
    """What came of some packets: those that arrived, and what has been counted.

    `counted` is packets and octets out, packets and octets in.
    """

    drops: dict[Drop, int]
    counted: tuple[int, int, int, int]
    sealed: list[Sealed] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)


class Subject:
    """An engine in a namespace, with a socket where its TUN device would be."""

    def __init__(
        self,
        engine: Engine,
        application: socket.socket,
        udp: dict[int, socket.socket],
        raw: dict[int, socket.socket],
        whole: dict[int, socket.socket],
    ) -> None:
        self.engine = engine
        self._application = application
        self._udp, self._raw, self._whole = udp, raw, whole

    def from_application(self, packets: list[bytes], child: ChildSa, outer: int) -> Outcome:
        """The engine gets these from its host; what it sends, as the peer receives it."""
        before = self._state(child)
        for packet in packets:
            self._application.send(packet)
        drops, counted = self._settled(child, before, len(packets))
        sealed = [self._receive(child, outer) for _ in range(counted[0])]
        return Outcome(drops, counted, sealed=sealed)

    def from_wire(self, packets: list[tuple[bytes, int]], child: ChildSa, outer: int) -> Outcome:
        """The engine gets these from the wire; what it gives to its host."""
        before = self._state(child)
        for packet, marks in packets:
            self._send(packet, marks, child, outer)
        drops, counted = self._settled(child, before, len(packets))
        delivered = [self._application.recv(_LARGEST) for _ in range(counted[2])]
        return Outcome(drops, counted, delivered=delivered)

    def _state(self, child: ChildSa) -> tuple[dict[Drop, int], tuple[int, int, int, int]]:
        self.engine.events()
        counters = self.engine.counters()
        sa = counters.sas[child.inbound_spi]
        return counters.drops, (sa.packets_out, sa.bytes_out, sa.packets_in, sa.bytes_in)

    def _settled(
        self,
        child: ChildSa,
        before: tuple[dict[Drop, int], tuple[int, int, int, int]],
        packets: int,
    ) -> tuple[dict[Drop, int], tuple[int, int, int, int]]:
        """Wait until every packet has been counted, delivered or dropped."""

        def done() -> tuple[dict[Drop, int], tuple[int, int, int, int]] | None:
            drops, counted = self._state(child)
            drops = {drop: n - before[0][drop] for drop, n in drops.items() if n - before[0][drop]}
            out, bytes_out, came, bytes_in = (
                after - then for after, then in zip(counted, before[1], strict=True)
            )
            if out + came + sum(drops.values()) < packets:
                return None
            return drops, (out, bytes_out, came, bytes_in)

        settled = eventually(f"{packets} packets counted by {self.engine}", done)
        assert settled is not None
        assert settled[1][0] + settled[1][2] + sum(settled[0].values()) == packets
        return settled

    def _send(self, packet: bytes, marks: int, child: ChildSa, outer: int) -> None:
        path = Path(child.path.remote, child.path.local)
        if child.encapsulation is Encapsulation.UDP:
            datagram.send(self._udp[outer], packet, path, marks)
        elif child.mode is Mode.TRANSPORT:
            # What the kernel puts into a header of its own making would be delivered, too.
            datagram.send_whole(self._whole[outer], under_own_header(packet, marks, outer))
        else:
            datagram.send_esp(self._raw[outer], packet, path, marks)

    def _receive(self, child: ChildSa, outer: int) -> Sealed:
        udp = child.encapsulation is Encapsulation.UDP
        sock = (self._udp if udp else self._raw)[outer]
        ready, _, _ = select.select([sock], [], [], _LIMIT_SECONDS)
        assert ready, "a packet was counted as sent and did not arrive"
        if udp:
            got = datagram.receive_marked(sock)
            assert got is not None
            return b"", got[0], got[2]
        if child.mode is Mode.TRANSPORT:
            whole = datagram.receive_esp_whole(sock)
            assert whole is not None
            return whole[0].octets, whole[1], whole[0].traffic_class
        plain = datagram.receive_esp_marked(sock)
        assert plain is not None
        return b"", plain[0], plain[3]


@contextmanager
def subject(engine: str) -> Generator[Subject]:
    """Needs root."""
    addresses = [(f"{OUTER[4][end]}/24", f"{OUTER[6][end]}/64") for end in (0, 1)]
    with joined(*addresses) as (wire, namespace):
        ends = [_sockets(end) for end in (wire, namespace)]
        tun, application = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        tun.setblocking(False)
        application.settimeout(_LIMIT_SECONDS)
        for end in (tun, application):
            end.setsockopt(socket.SOL_SOCKET, 32, _BUFFER_OCTETS)  # SO_SNDBUFFORCE
        running = ENGINES[engine]()
        udp, raw, whole = (tuple(sockets.values()) for sockets in ends[1])
        try:
            running.open(Interface("hush0", tun.fileno(), udp, raw, whole=whole))
            yield Subject(running, application, *ends[0])
        finally:
            running.close()
            for sock in (
                tun,
                application,
                *(s for end in ends for kind in end for s in kind.values()),
            ):
                sock.close()


def _sockets(namespace: Namespace) -> tuple[dict[int, socket.socket], ...]:
    return tuple(
        {version: namespace.call(partial(opened, family)) for version, family in _FAMILIES.items()}
        for opened in (
            partial(datagram.open_udp, port=NATT),
            datagram.open_raw_esp,
            datagram.open_raw_whole,
        )
    )
