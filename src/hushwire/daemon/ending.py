"""That it is to end, and why."""

from __future__ import annotations

import asyncio

from hushwire.explain.outcome import Failure
from hushwire.system.errors import SystemFailureError


class Ending:
    """Set once by whoever wants the end. `ended_by` and `broken` say why, if not by a wish."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self.ended_by: Failure | None = None
        self.broken: SystemFailureError | None = None

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    @property
    def wished(self) -> bool:
        """It was somebody's wish; nothing has failed."""
        return self.broken is None and self.ended_by is None

    def stop(self) -> None:
        """By somebody's wish."""
        self._begun.set()

    def fail(self, failure: Failure) -> None:
        """The one attempt that there was to be has ended so."""
        self.ended_by = failure
        self._begun.set()

    def break_off(self, error: SystemFailureError) -> None:
        """It cannot go on."""
        self.broken = error
        self._begun.set()

    def rearm(self) -> None:
        """The end is under way; from now on `begun` tells of a second signal."""
        self._begun.clear()

    async def wait(self) -> None:
        await self._begun.wait()
