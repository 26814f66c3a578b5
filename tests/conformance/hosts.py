"""A host with an engine: TUN, sockets, addresses, in a namespace; and one without, to attack it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface

from hushwire.engines.base import Counters, Drop, Engine, Event, Interface
from hushwire.engines.python.engine import PythonEngine
from hushwire.system.addresses import add_address
from hushwire.system.core import why_missing
from hushwire.system.datagram import open_raw_esp, open_raw_whole, open_udp
from hushwire.system.tun import open_tun
from tests.conformance.namespaces import WIRE, Namespace, eventually

ENGINES: dict[str, Callable[[], Engine]] = {"python": PythonEngine}
"""Every engine held against the contract; those that another adds are tested by all of it."""

if not (why := why_missing()):
    from hushwire.engines.native.engine import NativeEngine

    ENGINES["native"] = NativeEngine
elif os.environ.get("HUSHWIRE_NO_SKIP"):
    raise RuntimeError(f"the native engine cannot be tested: {why}")

NATT = 4500
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_FROM_THIS_HOST = (Drop.NO_SA, Drop.SELECTOR_MISMATCH_OUT)
_ETH_P_ALL = 3


@dataclass
class Host:
    """One end of the wire, its engine running."""

    namespace: Namespace
    engine: Engine
    interface: Interface

    def counters(self) -> Counters:
        return self.engine.counters()

    def dropped(self) -> dict[Drop, int]:
        """The causes that have counted, without what the host's own kernel says unasked."""
        drops = self.engine.counters().drops
        return {drop: n for drop, n in drops.items() if n and drop not in _FROM_THIS_HOST}

    def await_drops(self, expected: dict[Drop, int]) -> None:
        """Wait until exactly these have counted."""
        total = sum(expected.values())
        eventually(f"{expected} counted", lambda: sum(self.dropped().values()) >= total)
        assert self.dropped() == expected

    def await_event(self, kind: type[Event]) -> Event:
        """The next event of this kind; others before it are passed over."""
        seen: list[Event] = []

        def found() -> Event | None:
            seen.extend(self.engine.events())
            return next((event for event in seen if isinstance(event, kind)), None)

        event = eventually(f"a {kind.__name__}", found)
        assert event is not None
        return event


@contextmanager
def host(
    namespace: Namespace,
    engine: str,
    *,
    inner: tuple[str, ...],
    mtu: int = 1400,
    keepalive_seconds: float = 20,
) -> Generator[Host]:
    """Start an engine in the namespace, with `inner` addresses (with prefix) on its TUN device."""
    with _sockets(namespace) as (udp, raw, whole):
        running = ENGINES[engine]()
        headers = running.capabilities().tun_headers
        tun = namespace.call(lambda: open_tun("hush0", mtu, headers=headers))
        try:
            for address in inner:
                namespace.call(partial(add_address, "hush0", ip_interface(address)))
                namespace.await_own(address)
            interface = Interface(tun.name, tun.fd, udp, raw, keepalive_seconds, whole)
            running.open(interface)
            yield Host(namespace, running, interface)
        finally:
            running.close()
            tun.close()


@contextmanager
def _sockets(
    namespace: Namespace,
) -> Generator[tuple[tuple[socket.socket, ...], ...]]:
    udp = tuple(namespace.call(partial(open_udp, family, NATT)) for family in _FAMILIES)
    raw = tuple(namespace.call(partial(open_raw_esp, family)) for family in _FAMILIES)
    whole = tuple(namespace.call(partial(open_raw_whole, family)) for family in _FAMILIES)
    try:
        yield udp, raw, whole
    finally:
        for sock in udp + raw + whole:
            sock.close()


@contextmanager
def plain_socket(
    namespace: Namespace,
    bind: tuple[str, int],
    kind: socket.SocketKind = socket.SOCK_DGRAM,
    protocol: int = 0,
) -> Generator[socket.socket]:
    """A socket with a generous time limit, bound inside the namespace."""
    family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
    sock = namespace.call(lambda: socket.socket(family, kind, protocol))
    with sock:
        sock.settimeout(30)
        sock.bind(bind)
        yield sock


@contextmanager
def wiretap(namespace: Namespace) -> Generator[Callable[[], list[bytes]]]:
    """Every frame that passes the namespace's wire, in and out: call it for all so far."""

    def listen() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind((WIRE, _ETH_P_ALL))
        sock.setblocking(False)
        return sock

    frames: list[bytes] = []

    def drain() -> list[bytes]:
        while True:
            try:
                frames.append(sock.recv(65535))
            except BlockingIOError:
                return frames

    with namespace.call(listen) as sock:
        yield drain
