"""The engine's counters, so that the protocol sees when packets go to a peer and none come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hushwire.engines.base import Engine
from hushwire.ike.effects import Effect
from hushwire.ike.endpoint import Endpoint

_LOOK_SECONDS = 0.5


class Unanswered:
    """Looks twice a second."""

    def __init__(
        self, engine: Engine, endpoint: Endpoint, carry_out: Callable[[list[Effect]], None]
    ) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
        sas = self._engine.counters().sas
        if sas:
            packets = {spi: (used.packets_out, used.packets_in) for spi, used in sas.items()}
            self._carry_out(self._endpoint.carried(packets, self._loop.time()))
