"""This host's network as the protocol has to know it, now and after every change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, suppress
from socket import socket

from hushwire.config.model import IpAddress
from hushwire.daemon.attempts import Attempts
from hushwire.daemon.together import Together
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint
from hushwire.ike.mobility import Surroundings
from hushwire.system.addresses import all_addresses, outside_addresses
from hushwire.system.changes import drain, open_changes
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.routes import source_address

_SETTLE_SECONDS = 0.1  # one change seldom comes alone: an address goes, its routes go, others come
_HASTE_SECONDS = 1.0


class Roaming:
    """Asks the kernel which address leads to each peer. `device` is the tunnel's own."""

    def __init__(
        self,
        run: Together,
        endpoint: Endpoint,
        attempts: Attempts,
        carry_out: Callable[[list[Effect]], None],
        device: str,
    ) -> None:
        self._underlay = run.config.interface.underlay
        self._journal = run.journal
        self._endpoint = endpoint
        self._attempts = attempts
        self._carry_out = carry_out
        self._device = device
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._known = Surroundings()
        self._hastened = 0.0

    def begin(self, opened: ExitStack) -> None:
        """Look now, and after every change until `opened` is closed."""
        opened.callback(self._cancel)
        try:
            changes = opened.enter_context(open_changes())
        except OSError as error:
            self._journal.say(f"{self._device}: changes of the network cannot be seen: {error}")
        else:
            self._loop.add_reader(changes, self._changed, changes)
            opened.callback(self._loop.remove_reader, changes)
        self._look()

    def soon(self) -> None:
        """Look in a moment, when things have settled."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SETTLE_SECONDS, self._look)

    def _changed(self, changes: socket) -> None:
        drain(changes)
        self.soon()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            here = frozenset(address.packed for address in all_addresses())
            own = tuple(sorted(outside_addresses(self._device), key=_order))
        except (SystemFailureError, NotPermittedError):
            return  # the device is going: so are we
        sources: dict[IpAddress, IpAddress] = {}
        for remote in self._endpoint.remotes():
            with suppress(SystemFailureError, OSError):
                sources[remote] = source_address(remote, self._underlay)
        found = Surroundings(own, sources, here)
        if found.here != self._known.here and now >= self._hastened + _HASTE_SECONDS:
            self._hastened = now
            self._attempts.hasten()
        self._known = found
        self._carry_out(self._endpoint.settle(found, now))


def _order(address: IpAddress) -> tuple[int, int]:
    return address.version, int(address)
