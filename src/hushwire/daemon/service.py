"""One interface, running: sockets, device, engine and protocol wired together on asyncio.

sockets ─► Endpoint.datagram ─► effects ─► `carrying`: sockets, engine, timer; `outcomes`
engine events (IKE on port 4500) ─► the same
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from socket import socket

from hushwire.config.model import Config, Start
from hushwire.daemon import telling
from hushwire.daemon.attempts import Attempts
from hushwire.daemon.carrying import Calls, Carrying
from hushwire.daemon.control import ControlServer, Facts
from hushwire.daemon.device import open_device
from hushwire.daemon.ending import Ending
from hushwire.daemon.facts import interface_facts
from hushwire.daemon.greeting import greet
from hushwire.daemon.guarding import Guarding
from hushwire.daemon.hosts import HostRoutes, with_real_addresses
from hushwire.daemon.journal import Journal
from hushwire.daemon.outcomes import Outcomes
from hushwire.daemon.pathmtu import PathMtus
from hushwire.daemon.peers import destination, ike_limits, ike_peer, known_endpoints
from hushwire.daemon.renewal import Renewal
from hushwire.daemon.revocation import Revocations
from hushwire.daemon.roaming import Roaming
from hushwire.daemon.sockets import Sockets
from hushwire.daemon.startup import Startup
from hushwire.daemon.streams import Streams
from hushwire.daemon.telling import Telling
from hushwire.daemon.together import Together
from hushwire.daemon.unanswered import Unanswered
from hushwire.engines.base import (
    Acquire,
    Engine,
    EngineFailure,
    IkeDatagram,
    Interface,
    PathMoved,
    SequenceNearEnd,
    StreamClosed,
    UnknownSpi,
)
from hushwire.engines.choice import make_engine
from hushwire.explain.outcome import Event, Failure, TunnelUp
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint
from hushwire.sa.association import Path
from hushwire.system import datagram
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.privileges import missing

_DATAGRAMS_AT_ONCE = 64


class Service:
    """Runs one configuration until it is told to stop; with `once`, until the first end."""

    def __init__(
        self, config: Config, journal: Journal, *, once: bool = False, keep_guard: bool = False
    ) -> None:
        self._config = config
        self._journal = journal
        self._once = once
        self._guarding = Guarding(config, journal, keep=keep_guard)
        self._startup = Startup(self._starting())
        journal.listener = self._startup.say
        self._ending = Ending()
        # Opened by run().
        self._loop: asyncio.AbstractEventLoop
        self._sockets: Sockets
        self._engine: Engine
        self._endpoint: Endpoint
        self._paths: PathMtus
        self._streams: Streams
        self._carrying: Carrying
        self._attempts: Attempts
        self._outcomes: Outcomes
        self._renewal: Renewal
        self._roaming: Roaming
        self._telling: Telling

    async def run(self) -> Failure | None:
        """Until SIGINT, SIGTERM or `stop`. With `once`: the failure that ended it, if one did.

        Raises `NotPermittedError` and `SystemFailureError` when it cannot work here.
        """
        if lacks := missing():
            raise NotPermittedError(lacks)
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._our_mistake)
        control = ControlServer(
            self._config.interface.name,
            {
                "status": self.status,
                "startup": self._startup.facts,
                "stop": self._stop_by_control,
                "explain": lambda: Telling.facts(self._telling),
                "keys": lambda: Telling.keys(self._telling),
                "rekey": lambda: self._renewal.rekey(ike=False),
                "rekey-ike": lambda: self._renewal.rekey(ike=True),
            },
        )
        control.claim()
        telling.forget(self._config.interface.name)
        asked = False
        try:
            with ExitStack() as opened:
                self._end_by_signals(opened)
                self._guarding.begin()
                opened.callback(lambda: self._guarding.end(asked=asked))
                self._guarding.watch(self._loop, opened)
                await self._open(opened)
                await control.open()
                self._startup.opened()
                for name in self._starting():
                    self._attempts.begin(name)
                await self._ending.wait()
                asked = self._ending.wished
                await self._close_tunnels()
                self._leave_word()
        finally:
            await control.close()
        if self._ending.broken is not None:
            raise self._ending.broken
        return self._ending.ended_by

    def _leave_word(self) -> None:
        """For `hushwire explain`, when the one attempt has failed."""
        failure, name = self._ending.ended_by, self._config.interface.name
        if failure is not None:
            telling.leave(name, self._telling.facts(), f"after one attempt ({failure.cause.value})")
            self._journal.say(f"{name}: `hushwire explain {name}` tells more, message by message.")

    def stop(self) -> None:
        """Tell the peers, take everything down, return from `run`. A second time: at once."""
        self._ending.stop()

    def _stop_by_control(self) -> Facts:
        self.stop()
        return {"pid": os.getpid()}

    def status(self) -> Facts:
        """What `hushwire status --json` prints."""
        paths = self._paths
        counters = self._engine.counters()
        facts = interface_facts(
            self._config,
            self._endpoint,
            counters,
            self._loop.time(),
            paths.by_peer(),
        )
        engine = self._engine.capabilities().name
        return facts | {
            "engine": engine,
            "engine_features": counters.features,
            "mtu": paths.mtu,
            "icmp_ignored": paths.ignored,
        }

    def _our_mistake(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """An exception that nobody expected: end in order rather than run on half broken."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            traceback.print_exception(error)
        what = f"a mistake of its own: {context.get('message')}"
        self._ending.break_off(SystemFailureError("hushwire", what, "Please report it."))

    # Up and down.

    async def _open(self, opened: ExitStack) -> None:
        config = self._config = with_real_addresses(self._config)
        endpoints = await known_endpoints(config)
        self._endpoint = Endpoint(
            [ike_peer(peer, endpoints.get(peer.name)) for peer in config.peers],
            os.urandom,
            self._loop.time(),
            limits=ike_limits(config),
            wall=time.time,
        )
        tcp_port = config.interface.tcp_port if config.listens_in_tcp else None
        self._sockets = Sockets(config.interface.underlay, tcp_port)
        opened.callback(self._sockets.close)
        self._engine, lacking = make_engine(config.interface.engine)
        headers = self._engine.capabilities().tun_headers
        tun, mtu = open_device(config, endpoints, headers=headers)
        opened.callback(tun.close)
        hosts = HostRoutes(config, tun, endpoints.values())
        hosts.open()
        opened.callback(hosts.close)
        self._engine.open(
            Interface(
                tun.name,
                tun.fd,
                self._sockets.natt,
                self._sockets.raw,
                min(peer.keepalive for peer in config.peers),
                self._sockets.whole,
                self._sockets.fragmenter,
            )
        )
        opened.callback(self._engine.close)
        self._paths = PathMtus(self._sockets, self._engine, tun, mtu, self._journal)
        opened.callback(self._paths.close)
        self._telling = Telling(config, self._endpoint, self._loop)
        self._telling.listen(self._sockets.families, self._sockets.device, opened)
        self._connect_parts(config, hosts, tun.name, opened)
        self._streams.listen(self._sockets.listeners)
        for sock in self._sockets.ike:
            self._loop.add_reader(sock, self._readable, sock)
            opened.callback(self._loop.remove_reader, sock)
        self._loop.add_reader(self._engine.event_fd, self._engine_events)
        opened.callback(self._loop.remove_reader, self._engine.event_fd)
        greet(self._journal, config, self._engine.capabilities().name, mtu)
        if lacking:
            self._journal.say(lacking)

    def _connect_parts(
        self, config: Config, hosts: HostRoutes, device: str, opened: ExitStack
    ) -> None:
        """What acts for the protocol, and what it leads back to."""
        run = Together(config, self._journal, self._startup, self._ending, self._once)
        engine, endpoint = self._engine, self._endpoint
        self._streams = Streams(
            engine, endpoint, self._carry_out, self._journal, config.interface.underlay
        )
        opened.callback(self._streams.close)
        self._attempts = Attempts(run, endpoint, self._streams, self._carry_out, self._reported)
        opened.callback(self._attempts.close)
        self._outcomes = Outcomes(run, endpoint, self._attempts, self._guarding)
        again, try_tcp = self._attempts.reauthenticate, self._attempts.try_tcp
        calls = Calls(self._due, self._reported, again, try_tcp, self._telling.unsent)
        self._carrying = Carrying(run, self._sockets, engine, hosts, self._paths, calls=calls)
        opened.callback(self._carrying.close)
        self._renewal = Renewal(config.peers, engine, endpoint, self._carry_out)
        opened.callback(self._renewal.close)
        opened.callback(Unanswered(engine, endpoint, self._carry_out).close)
        self._roaming = Roaming(run, endpoint, self._attempts, self._carry_out, device)
        self._roaming.begin(opened)
        opened.callback(Revocations(config.peers, self._journal).close)

    def _carry_out(self, effects: list[Effect]) -> None:
        self._carrying.out(effects)

    def _reported(self, event: Event) -> None:
        self._outcomes.reported(event)
        if isinstance(event, TunnelUp):
            self._roaming.soon()  # another address, for which nobody has asked the kernel yet

    def _end_by_signals(self, opened: ExitStack) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self.stop)
            opened.callback(self._loop.remove_signal_handler, number)

    async def _close_tunnels(self) -> None:
        """Tell every peer; as long as `Limits.close_seconds`, or until a second signal."""
        self._carry_out(self._endpoint.close(self._loop.time()))
        while not self._endpoint.idle and not self._ending.at_once:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait_at_once(), 0.02)

    def _starting(self) -> Iterable[str]:
        return (peer.name for peer in self._config.peers if peer.start is Start.UP)

    # From the world to the protocol.

    def _readable(self, sock: socket) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                got = datagram.receive(sock)
            except OSError:
                return  # an ICMP error that came back for something sent earlier
            if got is None:
                return
            self._ike(*got)

    def _engine_events(self) -> None:
        for event in self._engine.events():
            if isinstance(event, IkeDatagram):
                self._ike(event.data, event.path)
            elif isinstance(event, Acquire):
                self._attempts.wanted(destination(event.flow))
            elif isinstance(event, SequenceNearEnd):
                now = self._loop.time()
                self._carry_out(self._endpoint.near_end(event.inbound_spi, now))
            elif isinstance(event, PathMoved):
                now = self._loop.time()
                self._carry_out(self._endpoint.moved(event.inbound_spi, event.path, now))
            elif isinstance(event, UnknownSpi):
                now = self._loop.time()
                self._carry_out(self._endpoint.unknown_spi(event.spi, event.path, now))
            elif isinstance(event, StreamClosed):
                self._streams.closed(event)
            elif isinstance(event, EngineFailure):
                why, cure = f"it stopped: {event.error}", "Please report this."
                self._ending.break_off(SystemFailureError("the packet engine", why, cure))

    def _ike(self, data: bytes, path: Path) -> None:
        if not self._paths.answered(data, path):
            self._carry_out(self._endpoint.datagram(data, path, self._loop.time()))

    def _due(self) -> None:
        for spi, used in self._engine.counters().sas.items():
            if used.last_in is not None:
                self._endpoint.heard(spi, used.last_in)
        self._carry_out(self._endpoint.timer(self._loop.time()))
