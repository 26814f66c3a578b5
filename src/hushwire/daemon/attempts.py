"""How peers are connected to: by UDP, by TCP, once more after a failure, and on demand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress

from hushwire.config.model import IpAddress, PeerConfig, Start
from hushwire.daemon.peers import ike_peer, longest_prefix, resolve
from hushwire.daemon.sockets import IKE_PORT
from hushwire.daemon.streams import Streams
from hushwire.daemon.together import Together
from hushwire.explain.outcome import Cause, Connecting, Event, NoConnection, Retrying
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint
from hushwire.sa.association import Address, Encap, Path
from hushwire.system.errors import SystemFailureError
from hushwire.system.routes import source_address

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0


class Attempts:
    """Begins IKE SAs.

    `carry_out` takes the effects of the protocol, `report` what an attempt has come to.
    """

    def __init__(
        self,
        run: Together,
        endpoint: Endpoint,
        streams: Streams,
        carry_out: Callable[[list[Effect]], None],
        report: Callable[[Event], None],
    ) -> None:
        self._config = run.config
        self._journal = run.journal
        self._startup = run.startup
        self._ending = run.ending
        self._once = run.once
        self._peers = {peer.name: peer for peer in run.config.peers}
        self._endpoint = endpoint
        self._streams = streams
        self._carry_out = carry_out
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._retry_after: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._tcp_failures: dict[str, str] = {}
        self._hurry = asyncio.Event()
        self._in_tcp: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def begin(self, name: str) -> None:
        """Now, unless there is an IKE SA with this peer, or one on the way."""
        self._spawn(self._connect(self._peers[name], 0.0))

    def reauthenticate(self, name: str) -> None:
        """Another one, that takes the place of the one there is."""
        self._spawn(self._connect(self._peers[name], 0.0, again=True))

    def try_tcp(self, name: str) -> None:
        """UDP has not been answered for some seconds. Its attempt goes on; the first one wins."""
        self._spawn(self._try_tcp(self._peers[name]))

    def wanted(self, target: IpAddress) -> None:
        """Traffic that no SA carries: reason enough to begin, for peers with start = "traffic"."""
        peer = longest_prefix(self._config.peers, target)
        if (
            peer is not None
            and peer.start is Start.TRAFFIC
            and not self._endpoint.busy(peer.name)
            and self._loop.time() >= self._not_before.get(peer.name, 0.0)
        ):
            self.begin(peer.name)

    def hasten(self) -> None:
        """The network has changed: whoever waits for another attempt waits no longer."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    # What came of it.

    def succeeded(self, name: str) -> None:
        """The next failure is a first one."""
        self._retry_after.pop(name, None)

    def failed(self, name: str) -> None:
        """An attempt, or the tunnel, has ended: another one, when its peer's `start` wants it."""
        start = self._peers[name].start
        if start is Start.TRAFFIC:
            self._not_before[name] = self._loop.time() + self._pause(name)
        elif start is Start.UP:
            # After this call, when the failed attempt is really over.
            self._loop.call_soon(self._retry_unless_busy, name)

    def tcp_failure(self, name: str) -> str:
        """Why there was no TCP connection either, once; "" when none was tried."""
        return self._tcp_failures.pop(name, "")

    def _retry_unless_busy(self, name: str) -> None:
        if not self._endpoint.busy(name) and not self._ending.begun:
            seconds = self._pause(name)
            self._journal.event(Retrying(name, seconds))
            self._spawn(self._connect(self._peers[name], seconds))

    def _pause(self, name: str) -> float:
        """Seconds before the next attempt: one, then twice as long each time, up to a minute."""
        seconds = self._retry_after.get(name, _FIRST_RETRY_SECONDS)
        self._retry_after[name] = min(2 * seconds, _LONGEST_RETRY_SECONDS)
        return seconds

    # One attempt.

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _connect(self, peer: PeerConfig, seconds: float, *, again: bool = False) -> None:
        await self._wait(seconds)
        busy = not again and self._endpoint.busy(peer.name)
        if peer.endpoint is None or self._ending.begun or busy:
            return
        try:
            remote = await resolve(peer.endpoint)
            local = source_address(remote, self._config.interface.underlay)
        except (OSError, SystemFailureError) as error:
            self._unreachable(peer, error, again=again)
            return
        self._endpoint.set_peer(ike_peer(peer, remote))
        if peer.encap is Encap.TCP:
            if failure := await self._connect_in_tcp(peer, remote, again=again):
                self._report(failure)
            return
        path = Path(Address(local, IKE_PORT), Address(remote, IKE_PORT))
        self._journal.event(Connecting(peer.name, str(remote)))
        self._carry_out(self._endpoint.connect(peer.name, path, self._loop.time(), again=again))

    def _unreachable(
        self, peer: PeerConfig, error: OSError | SystemFailureError, *, again: bool
    ) -> None:
        self._journal.say(f"{peer.name}: {peer.endpoint} cannot be reached now: {error}")
        self._startup.failed(peer.name, Cause.NOT_REACHED)
        if again and self._endpoint.connected(peer.name):
            return  # the tunnel is there, and asks again
        if self._once:
            cure = "Is the network up, and the endpoint right?"
            self._ending.break_off(SystemFailureError(f"peer {peer.name}", str(error), cure))
        else:
            self.failed(peer.name)

    async def _connect_in_tcp(
        self, peer: PeerConfig, remote: IpAddress, *, again: bool = False
    ) -> NoConnection | None:
        """RFC 9329 §6.1: a connection first, then IKE_SA_INIT in it."""
        if peer.name in self._in_tcp:
            return None
        self._in_tcp.add(peer.name)
        self._journal.event(Connecting(peer.name, str(remote), peer.tcp_port))
        try:
            path = await self._streams.connect(Address(remote, peer.tcp_port))
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            return NoConnection(peer.name, str(remote), peer.tcp_port, reason)
        finally:
            self._in_tcp.discard(peer.name)
        self._carry_out(self._endpoint.connect(peer.name, path, self._loop.time(), again=again))
        return None

    async def _try_tcp(self, peer: PeerConfig) -> None:
        with suppress(OSError):
            remote = await resolve(peer.endpoint or "")
            if failure := await self._connect_in_tcp(peer, remote):
                self._tcp_failures[peer.name] = failure.why
