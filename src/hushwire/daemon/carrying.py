"""From the protocol to the world: its effects, carried out in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from hushwire.config.model import IpAddress
from hushwire.daemon.hosts import HostRoutes
from hushwire.daemon.pathmtu import PathMtus
from hushwire.daemon.sockets import Sockets
from hushwire.daemon.together import Together
from hushwire.engines.base import Engine
from hushwire.explain.outcome import Event
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
from hushwire.records import dataclass
from hushwire.sa.association import Carrier, ChildSa, Path
from hushwire.system.errors import SystemFailureError


@dataclass(frozen=True, slots=True)
class Calls:
    """What effects lead back to: the protocol's time, an outcome, another connection to a peer.

    And what the kernel did not send, and why.
    """

    due: Callable[[], None]
    report: Callable[[Event], None]
    reauthenticate: Callable[[str], None]
    try_tcp: Callable[[str], None]
    unsent: Callable[[IpAddress, str], None]


_MOST_SEND_ERRORS = 64  # strangers may claim to be anywhere


class Carrying:
    """Sockets, engine and routes on the one hand, `calls` on the other."""

    def __init__(
        self,
        run: Together,
        sockets: Sockets,
        engine: Engine,
        hosts: HostRoutes,
        paths: PathMtus,
        *,
        calls: Calls,
    ) -> None:
        self._peers = {peer.name: peer for peer in run.config.peers}
        self._journal = run.journal
        self._sockets = sockets
        self._engine = engine
        self._hosts = hosts
        self._paths = paths
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._send_errors: dict[IpAddress, str] = {}

    def close(self) -> None:
        """No time comes any more."""
        if self._timer is not None:
            self._timer.cancel()

    def out(self, effects: list[Effect]) -> None:
        """Carry them out."""
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
                case RemoveSa(spi):
                    self._paths.removed(spi)
                    self._engine.remove(spi)
                case UpdateSa(spi, path, encapsulation, keepalive, follow):
                    self._engine.update(
                        spi, path, encapsulation, keepalive=keepalive, follow=follow
                    )
                    self._paths.moved(spi, path, encapsulation)
                case CloseStream(path):
                    self._engine.close_stream(path)
                case SetTimer(at):
                    self.close()
                    due = self._calls.due
                    self._timer = None if at is None else self._loop.call_at(at, due)
                case Reauthenticate(peer):
                    self._calls.reauthenticate(peer)
                case TryTcp(peer):
                    self._calls.try_tcp(peer)
                case Report(event):
                    self._calls.report(event)

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
            known = remote in self._send_errors or len(self._send_errors) < _MOST_SEND_ERRORS
            if known and self._send_errors.get(remote) != str(error):
                self._send_errors[remote] = str(error)
                reason = (error.strerror or str(error)).lower()
                self._calls.unsent(remote, reason)
                self._journal.say(f"Sending to {remote} fails: {reason}. Trying again.")
        else:
            self._send_errors.pop(remote, None)
