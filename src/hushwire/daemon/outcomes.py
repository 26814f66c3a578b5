"""What follows from an outcome: it is told, and an end leads to another beginning, or to ours."""

from __future__ import annotations

from dataclasses import replace

from hushwire.daemon.attempts import Attempts
from hushwire.daemon.guarding import Guarding
from hushwire.daemon.together import Together
from hushwire.explain.outcome import ClosedByPeer, Event, Failure, PeerSilent, TunnelUp
from hushwire.ike.endpoint import Endpoint


class Outcomes:
    """Every `Report` of the protocol comes here."""

    def __init__(
        self, run: Together, endpoint: Endpoint, attempts: Attempts, guarding: Guarding
    ) -> None:
        self._peers = {peer.name for peer in run.config.peers}
        self._journal = run.journal
        self._startup = run.startup
        self._ending = run.ending
        self._once = run.once
        self._endpoint = endpoint
        self._attempts = attempts
        self._guarding = guarding
        self._hinted: set[str] = set()
        self._reasons: dict[str, Failure] = {}  # why the peer will close what goes on without it

    def reported(self, event: Event) -> None:
        # Of two attempts, in UDP and in TCP, one has ended; or one to replace a tunnel that is up.
        other_goes_on = self._endpoint.busy(event.peer) and (
            isinstance(event, PeerSilent) or self._endpoint.connected(event.peer)
        )
        if isinstance(event, PeerSilent):
            event = replace(event, tcp=self._attempts.tcp_failure(event.peer))
        self._endpoint.trace.told(event)
        self._journal.event(event)
        if event.peer not in self._peers:
            return
        if isinstance(event, TunnelUp):
            self._attempts.succeeded(event.peer)
            self._reasons.pop(event.peer, None)
            self._guarding.tunnel_up()
            self._startup.up(event.peer)
        elif isinstance(event, Failure) and not self._ending.begun:
            if other_goes_on:
                self._reasons[event.peer] = event
                return
            if isinstance(event, ClosedByPeer):
                event = self._reasons.pop(event.peer, event)
            self._startup.failed(event.peer, event.cause)
            if self._once:
                self._ending.fail(event)
            else:
                self._hint(event.peer)
                self._attempts.failed(event.peer)

    def _hint(self, peer: str) -> None:
        """The first time that it fails."""
        if peer not in self._hinted:
            self._hinted.add(peer)
            self._journal.say(f"{peer}: `hushwire explain {peer}` tells more, message by message.")
