"""That it is to end, and why."""

from __future__ import annotations

import asyncio

from hushwire.explain.outcome import Failure
from hushwire.system.errors import SystemFailureError


class Ending:
    """Begun by whoever wants the end; once more, and it is to end at once.

    `ended_by` and `broken` say why, if not by a wish.
    """

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._at_once = asyncio.Event()
        self.ended_by: Failure | None = None
        self.broken: SystemFailureError | None = None

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    @property
    def at_once(self) -> bool:
        """Somebody has not the patience for an orderly end, or it cannot be had."""
        return self._at_once.is_set()

    @property
    def wished(self) -> bool:
        """It was somebody's wish; nothing has failed."""
        return self.broken is None and self.ended_by is None

    def stop(self) -> None:
        """By somebody's wish."""
        self._begin()

    def fail(self, failure: Failure) -> None:
        """The one attempt that there was to be has ended so."""
        self.ended_by = failure
        self._begin()

    def break_off(self, error: SystemFailureError) -> None:
        """It cannot go on."""
        self.broken = error
        self._begin()

    async def wait(self) -> None:
        await self._begun.wait()

    async def wait_at_once(self) -> None:
        await self._at_once.wait()

    def _begin(self) -> None:
        (self._at_once if self.begun else self._begun).set()
