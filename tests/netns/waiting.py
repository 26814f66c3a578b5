"""Waiting for a condition, with a generous limit and never a fixed time."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import TypeVar

_LIMIT_SECONDS = 30.0

_Thing = TypeVar("_Thing")


def wait_until(
    condition: Callable[[], _Thing], what: str, seconds: float = _LIMIT_SECONDS
) -> _Thing:
    """What `condition` returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in {seconds:g} s there was no {what}")
        time.sleep(0.005)
    return result


def wait_readable(readable: socket.socket | int) -> None:
    """Until something can be read from the socket or file descriptor."""
    if not select.select([readable], [], [], _LIMIT_SECONDS)[0]:
        raise AssertionError(f"in {_LIMIT_SECONDS:g} s nothing came")
