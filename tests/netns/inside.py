"""This very thread on a host of a network, for tests that open sockets and devices themselves."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hushwire.lab.network import Network

_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(network: Network, host: str) -> Iterator[None]:
    """Sockets, devices and threads made in here belong to `host`, and stay there afterwards.

    Only the network is the host's: files, /run too, are still those of the test. Code that uses
    /run is for `network.run(host, ...)`.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(network.world.path(Path("/run/netns") / host), os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _enter(namespace: int) -> None:
    # os.setns is there only from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
