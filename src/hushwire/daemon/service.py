"""One interface, running: sockets, device, engine and protocol wired together on asyncio.

sockets ─► Endpoint.datagram ─► effects ─► sockets, engine, timer, journal
engine events (IKE on port 4500) ─► the same
"""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import Coroutine, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from socket import socket

from hushwire.config.model import Config, IpAddress, PeerConfig, Start
from hushwire.daemon.control import ControlServer, Facts
from hushwire.daemon.device import open_device
from hushwire.daemon.facts import interface_facts
from hushwire.daemon.greeting import greet
from hushwire.daemon.guarding import Guarding
from hushwire.daemon.hosts import HostRoutes, with_real_addresses
from hushwire.daemon.journal import Journal
from hushwire.daemon.pathmtu import PathMtus
from hushwire.daemon.peers import (
    destination,
    ike_peer,
    known_endpoints,
    longest_prefix,
    resolve,
)
from hushwire.daemon.renewal import Renewal
from hushwire.daemon.sockets import IKE_PORT, Sockets
from hushwire.daemon.startup import Startup
from hushwire.daemon.streams import Streams
from hushwire.engines.base import (
    Acquire,
    Engine,
    EngineFailure,
    IkeDatagram,
    Interface,
    PathMoved,
    SequenceNearEnd,
    StreamClosed,
)
from hushwire.engines.choice import make_engine
from hushwire.explain.outcome import (
    Cause,
    ClosedByPeer,
    Connecting,
    Event,
    Failure,
    NoConnection,
    PeerSilent,
    Retrying,
    TunnelUp,
)
from hushwire.ike.effects import (
    CloseStream,
    ConfirmSa,
    Effect,
    InstallSa,
    Reauthenticate,
    RemoveSa,
    Report,
    RetireSa,
    Send,
    SetTimer,
    TryTcp,
    UpdateSa,
)
from hushwire.ike.endpoint import Endpoint
from hushwire.sa.association import Address, Carrier, ChildSa, Encap, Path
from hushwire.system import datagram
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.privileges import missing
from hushwire.system.routes import source_address

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
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
        self._peers = {peer.name: peer for peer in config.peers}
        self._startup = Startup(self._starting())
        journal.listener = self._startup.say
        self._retry_after: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._send_errors: dict[IpAddress, str] = {}
        self._tcp_failures: dict[str, str] = {}
        self._tcp_attempts: set[str] = set()
        self._reasons: dict[str, Failure] = {}  # why the peer will close what goes on without it
        self._stopping = asyncio.Event()
        self._ended_by: Failure | None = None
        self._broken: SystemFailureError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Opened by run().
        self._loop: asyncio.AbstractEventLoop
        self._sockets: Sockets
        self._engine: Engine
        self._endpoint: Endpoint
        self._hosts: HostRoutes
        self._paths: PathMtus
        self._streams: Streams
        self._renewal: Renewal

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
                "rekey": lambda: self._renewal.rekey(ike=False),
                "rekey-ike": lambda: self._renewal.rekey(ike=True),
            },
        )
        control.claim()
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
                    self._connect_soon(name, 0.0)
                await self._stopping.wait()
                asked = self._broken is None and self._ended_by is None
                await self._close_tunnels()
        finally:
            await control.close()
            for task in self._tasks:
                task.cancel()
        if self._broken is not None:
            raise self._broken
        return self._ended_by

    def stop(self) -> None:
        """Tell the peers, take everything down, return from `run`. A second time: at once."""
        self._stopping.set()

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
        self._broken = SystemFailureError(
            "hushwire", f"a mistake of its own: {context.get('message')}", "Please report it."
        )
        self.stop()

    # Up and down.

    async def _open(self, opened: ExitStack) -> None:
        config = self._config = with_real_addresses(self._config)
        self._peers = {peer.name: peer for peer in config.peers}
        endpoints = await known_endpoints(config)
        self._endpoint = Endpoint(
            [
                ike_peer(peer, config.interface.private_key, endpoints.get(peer.name))
                for peer in config.peers
            ],
            os.urandom,
            self._loop.time(),
        )
        tcp_port = config.interface.tcp_port if config.listens_in_tcp else None
        self._sockets = Sockets(config.interface.underlay, tcp_port)
        opened.callback(self._sockets.close)
        self._engine, lacking = make_engine(config.interface.engine)
        headers = self._engine.capabilities().tun_headers
        tun, mtu = open_device(config, endpoints, headers=headers)
        opened.callback(tun.close)
        self._hosts = HostRoutes(config, tun, endpoints.values())
        self._hosts.open()
        opened.callback(self._hosts.close)
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
        self._streams = Streams(
            self._engine, self._endpoint, self._carry_out, self._journal, config.interface.underlay
        )
        opened.callback(self._streams.close)
        self._renewal = Renewal(config.peers, self._engine, self._endpoint, self._carry_out)
        opened.callback(self._renewal.close)
        self._streams.listen(self._sockets.listeners)
        for sock in self._sockets.ike:
            self._loop.add_reader(sock, self._readable, sock)
            opened.callback(self._loop.remove_reader, sock)
        self._loop.add_reader(self._engine.event_fd, self._engine_events)
        opened.callback(self._loop.remove_reader, self._engine.event_fd)
        greet(self._journal, config, self._engine.capabilities().name, mtu)
        if lacking:
            self._journal.say(lacking)

    def _end_by_signals(self, opened: ExitStack) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self.stop)
            opened.callback(self._loop.remove_signal_handler, number)

    async def _close_tunnels(self) -> None:
        """Tell every peer; as long as `Limits.close_seconds`, or until a second signal."""
        self._stopping.clear()
        self._carry_out(self._endpoint.close(self._loop.time()))
        while not self._endpoint.idle and not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.02)
        if self._timer is not None:
            self._timer.cancel()

    # Peers.

    def _starting(self) -> Iterable[str]:
        return (name for name, peer in self._peers.items() if peer.start is Start.UP)

    def _connect_soon(self, name: str, seconds: float) -> None:
        self._spawn(self._connect(self._peers[name], seconds))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: PeerConfig, seconds: float, *, again: bool = False) -> None:
        await asyncio.sleep(seconds)
        busy = not again and self._endpoint.busy(peer.name)
        if peer.endpoint is None or self._stopping.is_set() or busy:
            return
        try:
            remote = await resolve(peer.endpoint)
            local = source_address(remote, self._config.interface.underlay)
        except (OSError, SystemFailureError) as error:
            self._journal.say(f"{peer.name}: {peer.endpoint} cannot be reached now: {error}")
            self._startup.failed(peer.name, Cause.NOT_REACHED)
            if again:
                return  # the tunnel is there, and asks again
            if self._once:
                self._broken = SystemFailureError(
                    f"peer {peer.name}", str(error), "Is the network up, and the endpoint right?"
                )
                self.stop()
            else:
                self._retry(peer.name)
            return
        self._endpoint.set_peer(ike_peer(peer, self._config.interface.private_key, remote))
        if peer.encap is Encap.TCP:
            if failure := await self._connect_in_tcp(peer, remote, again=again):
                self._reported(failure)
            return
        path = Path(Address(local, IKE_PORT), Address(remote, IKE_PORT))
        self._journal.event(Connecting(peer.name, str(remote)))
        self._carry_out(self._endpoint.connect(peer.name, path, self._loop.time(), again=again))

    async def _connect_in_tcp(
        self, peer: PeerConfig, remote: IpAddress, *, again: bool = False
    ) -> NoConnection | None:
        """RFC 9329 §6.1: a connection first, then IKE_SA_INIT in it."""
        if peer.name in self._tcp_attempts:
            return None
        self._tcp_attempts.add(peer.name)
        self._journal.event(Connecting(peer.name, str(remote), peer.tcp_port))
        try:
            path = await self._streams.connect(Address(remote, peer.tcp_port))
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            return NoConnection(peer.name, str(remote), peer.tcp_port, reason)
        finally:
            self._tcp_attempts.discard(peer.name)
        self._carry_out(self._endpoint.connect(peer.name, path, self._loop.time(), again=again))
        return None

    async def _try_tcp(self, peer: PeerConfig) -> None:
        """UDP has not been answered for some seconds. Its attempt goes on; the first one wins."""
        with suppress(OSError):
            remote = await resolve(peer.endpoint or "")
            if failure := await self._connect_in_tcp(peer, remote):
                self._tcp_failures[peer.name] = failure.why

    def _wanted(self, target: IpAddress) -> None:
        """Traffic that no SA carries: reason enough to begin, for peers with start = "traffic"."""
        peer = longest_prefix(self._config.peers, target)
        if (
            peer is not None
            and peer.start is Start.TRAFFIC
            and not self._endpoint.busy(peer.name)
            and self._loop.time() >= self._not_before.get(peer.name, 0.0)
        ):
            self._connect_soon(peer.name, 0.0)

    def _retry(self, name: str) -> None:
        """Try again by itself."""
        seconds = self._pause(name)
        self._journal.event(Retrying(name, seconds))
        self._connect_soon(name, seconds)

    def _pause(self, name: str) -> float:
        """Seconds before the next attempt: one, then twice as long each time, up to a minute."""
        seconds = self._retry_after.get(name, _FIRST_RETRY_SECONDS)
        self._retry_after[name] = min(2 * seconds, _LONGEST_RETRY_SECONDS)
        return seconds

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
                self._wanted(destination(event.flow))
            elif isinstance(event, SequenceNearEnd):
                now = self._loop.time()
                self._carry_out(self._endpoint.near_end(event.inbound_spi, now))
            elif isinstance(event, PathMoved):
                now = self._loop.time()
                self._carry_out(self._endpoint.moved(event.inbound_spi, event.path, now))
            elif isinstance(event, StreamClosed):
                self._streams.closed(event)
            elif isinstance(event, EngineFailure):
                self._broken = SystemFailureError(
                    "the packet engine", f"it stopped: {event.error}", "Please report this."
                )
                self.stop()

    def _ike(self, data: bytes, path: Path) -> None:
        if not self._paths.answered(data, path):
            self._carry_out(self._endpoint.datagram(data, path, self._loop.time()))

    def _due(self) -> None:
        for spi, used in self._engine.counters().sas.items():
            if used.last_in is not None:
                self._endpoint.heard(spi, used.last_in)
        self._carry_out(self._endpoint.timer(self._loop.time()))

    # From the protocol to the world.

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data, path):
                    self._send(data, path)
                case InstallSa(sa):
                    child = self._as_configured(sa)
                    self._engine.install(child)
                    self._paths.installed(child)
                    self._follow(child)
                case ConfirmSa(spi):
                    self._engine.confirm(spi)
                case RetireSa(spi):
                    self._engine.retire(spi)
                case Reauthenticate(peer):
                    self._spawn(self._connect(self._peers[peer], 0.0, again=True))
                case RemoveSa(spi):
                    self._paths.removed(spi)
                    self._engine.remove(spi)
                case UpdateSa(spi, path, encapsulation):
                    self._engine.update(spi, path, encapsulation)
                case TryTcp(peer):
                    self._spawn(self._try_tcp(self._peers[peer]))
                case CloseStream(path):
                    self._engine.close_stream(path)
                case SetTimer(at):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = None if at is None else self._loop.call_at(at, self._due)
                case Report(event):
                    self._reported(event)

    def _follow(self, sa: ChildSa) -> None:
        try:
            self._hosts.follow(sa)
        except SystemFailureError as error:
            self._journal.say(f"{sa.peer}: {error}")

    def _as_configured(self, sa: ChildSa) -> ChildSa:
        """With what concerns this host alone, and was not negotiated."""
        return replace(sa, copy_dscp=self._peers[sa.peer].copy_dscp)

    def _send(self, data: bytes, path: Path) -> None:
        if path.carrier is Carrier.TCP:
            self._engine.send_ike(data, path)
            return
        remote = path.remote.ip
        try:
            self._sockets.send_ike(data, path)
        except OSError as error:
            # The protocol sends it again; a person is told once what is in the way.
            if self._send_errors.get(remote) != str(error):
                self._send_errors[remote] = str(error)
                reason = (error.strerror or str(error)).lower()
                self._journal.say(f"Sending to {remote} fails: {reason}. Trying again.")
        else:
            self._send_errors.pop(remote, None)

    def _reported(self, event: Event) -> None:
        # Of two attempts, in UDP and in TCP, one has ended; or one to replace a tunnel that is up.
        other_goes_on = self._endpoint.busy(event.peer) and (
            isinstance(event, PeerSilent) or self._endpoint.connected(event.peer)
        )
        if isinstance(event, PeerSilent):
            event = replace(event, tcp=self._tcp_failures.pop(event.peer, ""))
        self._journal.event(event)
        peer = self._peers.get(event.peer)
        if peer is None:
            return
        if isinstance(event, TunnelUp):
            self._retry_after.pop(event.peer, None)
            self._reasons.pop(event.peer, None)
            self._guarding.tunnel_up()
            self._startup.up(event.peer)
        elif isinstance(event, Failure) and not self._stopping.is_set():
            if other_goes_on:
                self._reasons[event.peer] = event
                return
            if isinstance(event, ClosedByPeer):
                event = self._reasons.pop(event.peer, event)
            self._startup.failed(event.peer, event.cause)
            if self._once:
                self._ended_by = event
                self.stop()
            elif peer.start is Start.TRAFFIC:
                self._not_before[event.peer] = self._loop.time() + self._pause(event.peer)
            elif peer.start is Start.UP:
                # After this call, when the failed attempt is really over.
                self._loop.call_soon(self._retry_unless_busy, event.peer)

    def _retry_unless_busy(self, name: str) -> None:
        if not self._endpoint.busy(name) and not self._stopping.is_set():
            self._retry(name)
