"""When the engine's counters say that keys are used up, and when somebody wants new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from hushwire.config.model import PeerConfig
from hushwire.daemon.control import Facts
from hushwire.engines.base import Engine
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint

_LOOK_SECONDS = 1.0


class Renewal:
    """Looks every second, while any peer has a limit of octets or packets."""

    def __init__(
        self,
        peers: Iterable[PeerConfig],
        engine: Engine,
        endpoint: Endpoint,
        carry_out: Callable[[list[Effect]], None],
    ) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        if any(p.lifetimes.child_octets or p.lifetimes.child_packets for p in peers):
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def rekey(self, *, ike: bool) -> Facts:
        """New keys with every peer whose tunnel is up; by name, what the old ones are called."""
        views = self._endpoint.sessions()
        for name in {view.peer for view in views}:
            self._carry_out(self._endpoint.rekey(name, self._loop.time(), ike=ike))
        return {"peers": sorted({view.peer for view in views})}

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
        for spi, used in self._engine.counters().sas.items():
            octets = max(used.bytes_in, used.bytes_out)
            packets = max(used.packets_in, used.packets_out)
            self._carry_out(self._endpoint.used(spi, octets, packets, self._loop.time()))
