"""TCP connections of one interface (RFC 9329): opened by the peers, by us, and by us once more.

Each becomes the engine's as soon as its stream prefix has been read or written.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Coroutine

from hushwire.daemon.guests import Guests
from hushwire.daemon.journal import Journal
from hushwire.engines.base import Engine, StreamClosed
from hushwire.explain.outcome import ConnectionLost
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint
from hushwire.records import dataclass
from hushwire.sa.association import Address, Path
from hushwire.system import stream
from hushwire.wire.tcpencap import STREAM_PREFIX

CONNECT_SECONDS = 10.0

_SWEEP_SECONDS = 1.0
_ACCEPTED_AT_ONCE = 64
_STEADY_SECONDS = 10.0  # a connection that lived so long has proved the network good
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: whoever is refused leaves no TIME_WAIT


@dataclass(frozen=True, slots=True)
class _Own:
    """A connection that we opened, and for how long we had paused before."""

    since: float
    pause: float


class Streams:
    """Accepts, connects and connects again. `carry_out` takes the effects of the protocol."""

    def __init__(
        self,
        engine: Engine,
        endpoint: Endpoint,
        carry_out: Callable[[list[Effect]], None],
        journal: Journal,
        device: str | None,
    ) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._carry_out = carry_out
        self._journal = journal
        self._device = device
        self._loop = asyncio.get_running_loop()
        self._guests = Guests()
        self._admissions: dict[Path, asyncio.Task[None]] = {}
        self._own: dict[Path, _Own] = {}
        self._reconnections: set[asyncio.Task[None]] = set()
        self._listeners: tuple[socket.socket, ...] = ()
        self._exhausted = False
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def listen(self, listeners: tuple[socket.socket, ...]) -> None:
        """Accept connections on these from now on."""
        self._listeners = listeners
        for listener in listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Accept and open no more. What the engine has, it closes itself."""
        self._sweeper.cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        self._listeners = ()
        for task in (*self._admissions.values(), *self._reconnections):
            task.cancel()

    def closed(self, event: StreamClosed) -> None:
        """The engine's last word about a connection. If it was ours and is needed, another one."""
        self._guests.left(event.path)
        own = self._own.pop(event.path, None)
        if own is None:
            self._endpoint.lost(event.path, self._loop.time())
        if own is None or event.path not in self._endpoint.streams():
            return
        for view in self._endpoint.sessions():
            if view.path == event.path:
                address = str(event.path.remote.ip)
                self._journal.event(ConnectionLost(view.peer, address, event.why))
        steady = self._loop.time() - own.since >= _STEADY_SECONDS
        pause = 0.0 if steady else _longer(own.pause)
        self._spawn(self._reconnect(event.path, pause))

    # The peer connects.

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                got = stream.accept(listener)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(listener, error)
                    return
                continue  # a connection that has failed before it was accepted
            if got is None:
                self._exhausted = False
                return
            self._welcome(*got)

    def _rest(self, listener: socket.socket, error: OSError) -> None:
        """This host has no room: look again a little later, as the socket stays readable."""
        if not self._exhausted:
            reason = os.strerror(error.errno or 0).lower()
            self._journal.say(f"A TCP connection cannot be accepted now: {reason}. Trying again.")
        self._exhausted = True
        self._loop.remove_reader(listener)
        self._loop.call_later(_SWEEP_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _welcome(self, sock: socket.socket, path: Path) -> None:
        if self._guests.full:
            self._review_guests()  # whoever has an IKE SA by now is not the one to go
        leaving = self._guests.enter(path, self._loop.time())
        if leaving == path:
            _refuse(sock)
            return
        if leaving is not None:
            self._throw_out(leaving)
        task = self._loop.create_task(self._admit(sock, path))
        self._admissions[path] = task
        task.add_done_callback(lambda _: self._admissions.pop(path, None))

    async def _admit(self, sock: socket.socket, path: Path) -> None:
        """Read the prefix, not one octet more, before anything else is looked at (§6.1)."""
        prefix = b""
        admitted = False
        try:
            async with asyncio.timeout(self._guests.limits.prefix_seconds):
                while prefix != STREAM_PREFIX:
                    missing = len(STREAM_PREFIX) - len(prefix)
                    octets = await self._loop.sock_recv(sock, missing)
                    prefix += octets
                    if not octets or not STREAM_PREFIX.startswith(prefix):
                        return
            self._engine.add_stream(sock, path, originated=False)
            admitted = True
        except OSError:  # TimeoutError is one of these
            pass
        finally:
            if not admitted:
                self._guests.left(path)
                _refuse(sock)

    def _throw_out(self, path: Path) -> None:
        admission = self._admissions.get(path)
        if admission is not None:
            admission.cancel()
        else:
            self._engine.close_stream(path)

    # We connect.

    async def connect(self, remote: Address) -> Path:
        """Open a connection and give it to the engine. Raises `OSError` when there is none."""
        return await self._originate(remote, 0.0)

    async def _originate(self, remote: Address, pause: float) -> Path:
        sock = stream.open_stream(remote.ip, self._device)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._loop.sock_connect(sock, stream.socket_address(remote))
                await self._loop.sock_sendall(sock, STREAM_PREFIX)
            path = stream.path_of(sock)
        except BaseException as error:
            sock.close()
            if isinstance(error, TimeoutError):
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from error
            raise
        self._engine.add_stream(sock, path, originated=True)
        self._own[path] = _Own(self._loop.time(), pause)
        return path

    async def _reconnect(self, before: Path, pause: float) -> None:
        """As long as an IKE SA of ours needs it; it decides itself how long it waits (§6.1)."""
        while True:
            await asyncio.sleep(pause)
            if before not in self._endpoint.streams():
                return
            try:
                path = await self._originate(before.remote, pause)
            except OSError:
                pause = _longer(pause)
                continue
            self._carry_out(self._endpoint.reconnected(before, path, self._loop.time()))
            return

    # Both.

    def _sweep(self) -> None:
        """Close what no IKE SA uses: our own at once, a peer's when it has had its time."""
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        self._review_guests()
        for path in self._own.keys() - self._endpoint.streams().keys():
            self._engine.close_stream(path)

    def _review_guests(self) -> None:
        used = self._endpoint.streams()
        established = {path for path, is_established in used.items() if is_established}
        for path in self._guests.review(established, self._loop.time()):
            self._throw_out(path)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._reconnections.add(task)
        task.add_done_callback(self._reconnections.discard)


def _longer(pause: float) -> float:
    return min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _refuse(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
