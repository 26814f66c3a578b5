"""How the beginning goes: told to systemd, and to `hushwire up`, which asks for it.

sd_notify(3) is one datagram to the socket that $NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

from hushwire.explain.outcome import Cause

UP = "up"

_MOST_SENTENCES = 200


class Startup:
    """`starting` are the peers whose tunnel is to come up by itself; `opened` begins."""

    def __init__(self, starting: Iterable[str]) -> None:
        self._outcomes: dict[str, str | None] = dict.fromkeys(starting)
        self._said: list[str] = []
        self.is_open = False
        self._ready = False

    def say(self, sentence: str) -> None:
        """A sentence of `run`, kept for `up` until there are enough of them."""
        if len(self._said) < _MOST_SENTENCES:
            self._said.append(sentence)
        notify(f"STATUS={sentence.partition(chr(10))[0]}")

    def opened(self) -> None:
        """The sockets listen, and the device is there."""
        self.is_open = True
        self._perhaps_ready()

    def up(self, peer: str) -> None:
        if peer in self._outcomes:
            self._outcomes[peer] = UP
            self._perhaps_ready()

    def failed(self, peer: str, cause: Cause) -> None:
        """An attempt ended. The first failure of a peer counts until its tunnel is up."""
        if peer in self._outcomes and self._outcomes[peer] is None:
            self._outcomes[peer] = cause.value

    def facts(self) -> dict[str, object]:
        """For the control socket: everything that `up` wants to know."""
        return {
            "pid": os.getpid(),
            "ready": self._ready,
            "open": self.is_open,
            "outcomes": self._outcomes,
            "said": self._said,
        }

    def _perhaps_ready(self) -> None:
        everyone = all(outcome == UP for outcome in self._outcomes.values())
        if self.is_open and everyone and not self._ready:
            self._ready = True
            notify("READY=1")


def notify(state: str) -> None:
    """Tell the service manager, if one listens. It is never a reason to stop."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # one that does not listen must not hold up the packets
        # "@" stands for the NUL that an abstract name begins with (unix(7)).
        sock.sendto(state.encode(), "\0" + name[1:] if name[0] == "@" else name)
