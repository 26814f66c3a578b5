"""Network namespaces for tests: two of them joined by a veth pair, gone with the process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000
_LIMIT_SECONDS = 30.0
WIRE = "wire0"


class Namespace:
    """Held open by a child that ends when its standard input does, so nothing is left behind."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = self._holder.pid

    def run(self, *argv: str) -> str:
        """A command inside; its output."""
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def call(self, function: Callable[[], _T]) -> _T:
        """A function in a thread inside. What it opens belongs to the namespace for ever."""
        results: list[_T] = []
        errors: list[BaseException] = []

        def inside() -> None:
            try:
                _enter(self.pid)
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def await_own(self, address: str) -> None:
        """The kernel makes an IPv6 address its own a little after it was added, in a worker."""
        ip = address.partition("/")[0]
        eventually(
            f"{ip} is local", lambda: self.run("ip", "route", "get", ip).startswith("local ")
        )

    def close(self) -> None:
        self._holder.communicate()


@contextmanager
def joined(
    alice: tuple[str, ...], bob: tuple[str, ...], *, ipv6: bool = True
) -> Generator[tuple[Namespace, Namespace]]:
    """Two namespaces with one wire between them and these addresses (with prefix) on it.

    Without `ipv6` their kernels say nothing by themselves, not even neighbour discovery.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces: run the tests with sudo")
    ends = (Namespace(), Namespace())
    try:
        for end in ends:
            end.run("sysctl", "-qw", f"net.ipv6.conf.default.disable_ipv6={int(not ipv6)}")
            end.run("ip", "link", "set", "lo", "up")
        far_end = ("peer", "name", WIRE, "netns", str(ends[1].pid))
        ends[0].run("ip", "link", "add", WIRE, "type", "veth", *far_end)
        for end, addresses in zip(ends, (alice, bob), strict=True):
            end.run("ip", "link", "set", WIRE, "up")
            # As a cable does: each datagram by itself, also where a sender hands over many at once.
            end.run("ethtool", "-K", WIRE, "tx-udp-segmentation", "off", "tso", "off")
            for address in addresses:
                end.run("ip", "address", "add", address, "dev", WIRE, *no_dad(address))
                end.await_own(address)
        yield ends
    finally:
        for end in ends:
            end.close()


def no_dad(address: str) -> tuple[str, ...]:
    """An IPv6 address is usable at once without duplicate address detection."""
    return ("nodad",) if ":" in address else ()


def eventually(what: str, condition: Callable[[], _T]) -> _T:
    """The first true result of `condition`, asked again and again."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    pause = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {_LIMIT_SECONDS:.0f} s: {what}"
        pause.wait(0.005)
    return result


def _enter(pid: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns to the namespace of {pid}")
    finally:
        os.close(handle)
