"""When the guard of an interface goes up, and by whose wish it goes away.

It goes up before anything else, and away when somebody asks for that: Ctrl-C or SIGTERM for a
`run` in the foreground, `hushwire down` for everything. Whatever ends otherwise, after its tunnel
was up once, leaves it standing; what fails before that leaves things as it found them.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from socket import socket

from hushwire.config.model import Config
from hushwire.daemon.journal import Journal
from hushwire.system import guard, nft
from hushwire.system.errors import NotPermittedError, SystemFailureError


class Guarding:
    """The guard of one running interface. With `keep`, it only goes up."""

    def __init__(self, config: Config, journal: Journal, *, keep: bool) -> None:
        self._name = config.interface.name
        self._wanted = guard.plan(config) if config.interface.guard else None
        self._journal = journal
        self._keep = keep
        self._before: str | None = None
        self._ours: str | None = None
        self._needed = False

    def begin(self) -> None:
        """Raises `SystemFailureError`; then the guard is as it was."""
        if self._wanted is None:
            return
        try:
            self._before = guard.saved(self._name)
            self._install(self._wanted)
        except SystemFailureError as error:
            raise _no_guard(error.why, error.cure) from error
        except NotPermittedError as error:
            # What a tunnel needs is permitted, so it is the container or the kernel that refuses.
            raise _no_guard(
                "nft may not change rules here", "Allow it in the container."
            ) from error
        self._journal.say(
            f"{self._name}: guard up. Traffic for {_these(self._wanted)} leaves through "
            f"{self._name}, sealed, or not at all."
        )

    def watch(self, loop: asyncio.AbstractEventLoop, opened: ExitStack) -> None:
        """Put it back when somebody flushes all rules, as a firewall that is loaded anew does."""
        if self._wanted is None:
            return
        try:
            changes = opened.enter_context(nft.changes())
        except OSError as error:
            self._journal.say(f"{self._name}: changes of nftables cannot be watched: {error}")
            return
        loop.add_reader(changes, self._changed, changes, self._wanted)
        opened.callback(loop.remove_reader, changes)

    def _changed(self, changes: socket, wanted: guard.Plan) -> None:
        with suppress(OSError):  # BlockingIOError: that was all; ENOBUFS: there was more
            while changes.recv(1 << 16):
                pass
        try:
            if guard.same(guard.saved(self._name), self._ours):
                return
            self._install(wanted)
        except (SystemFailureError, NotPermittedError) as error:
            self._journal.say(f"{self._name}: somebody changed the guard. {error}")
        else:
            self._journal.say(
                f"{self._name}: somebody changed or removed the guard; it is up again."
            )

    def _install(self, wanted: guard.Plan) -> None:
        guard.install(wanted)
        self._ours = guard.saved(self._name)

    def tunnel_up(self) -> None:
        """From now on somebody relies on it."""
        self._needed = True

    def end(self, *, asked: bool) -> None:
        """After the device is closed. `asked`: it was somebody's wish that this ends."""
        if self._wanted is None:
            return
        try:
            self._end(asked)
        except (SystemFailureError, NotPermittedError) as error:
            self._journal.say(f"{self._name}: the guard could not be changed. {error}")

    def _end(self, asked: bool) -> None:
        if asked and not self._keep:
            guard.remove(self._name)
        elif not self._keep and not self._needed:
            if self._before is None:
                guard.remove(self._name)
            else:
                guard.restore(self._before, self._name)
                self._tell_that_it_stays()
        else:
            self._tell_that_it_stays()

    def _tell_that_it_stays(self) -> None:
        self._journal.say(
            f"{self._name}: the guard stays, so nothing leaves in clear. "
            f"`hushwire down {self._name}` removes it."
        )


def _no_guard(why: str, cure: str) -> SystemFailureError:
    return SystemFailureError(
        "the guard that keeps traffic from leaving in clear",
        why,
        f"{cure} Or do without it: guard = false in [interface].",
    )


def _these(plan: guard.Plan) -> str:
    return ", ".join(str(network) for network in plan.networks)
