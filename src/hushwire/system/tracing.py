"""trace_pipe: what eBPF programs print.

tracefs is mounted for nobody but this process, at no place (fsopen(2), fsmount(2)): it need not be
mounted on this host, and nothing has to be unmounted.

The kernel gives each line of a trace_pipe to one reader only. So each of us makes an instance of
its own, with a buffer and a trace_pipe that no other reader shares; the one of the whole machine,
/sys/kernel/tracing/trace_pipe, has every line as well. An instance that a killed process has left
is removed by the next one that comes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from contextlib import suppress
from typing import Self

from hushwire.system.errors import SystemFailureError

# <asm-generic/unistd.h>: from number 403 on the same on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1

_INSTANCES = "instances"
_PREFIX = "hushwire-"
_PRINTED = "events/bpf_trace/bpf_trace_printk/enable"
_TRIES = 10

_OURS = "hushwire "
_READ_OCTETS = 65536


class TracePipe:
    """The lines that Hushwire's programs print on this machine: with this label, or all."""

    def __init__(self, label: str = "") -> None:
        """Raises `SystemFailureError`."""
        self._begins = f"{_OURS}{label} " if label else _OURS
        try:
            self._mount = _mount()
            try:
                self._name, self._fd = _instance(self._mount)
            except OSError:
                os.close(self._mount)
                raise
        except OSError as error:
            raise SystemFailureError(
                "trace_pipe",
                f"tracefs cannot be had ({(error.strerror or str(error)).lower()})",
                "Leave out --trace; or, if the kernel has tracefs, mount it and read it there: "
                "`sudo mount -t tracefs tracefs /sys/kernel/tracing` and "
                "`sudo cat /sys/kernel/tracing/trace_pipe`.",
            ) from error
        self._rest = b""

    def fileno(self) -> int:
        """Readable when there are lines."""
        return self._fd

    def lines(self) -> list[str]:
        """What has been printed since, without waiting: each from "hushwire" on."""
        try:
            data = self._rest + os.read(self._fd, _READ_OCTETS)
        except BlockingIOError:
            return []
        *whole, self._rest = data.split(b"\n")
        texts = (line.decode(errors="replace").partition(self._begins) for line in whole)
        return [found + text for _, found, text in texts if found]

    def close(self) -> None:
        os.close(self._fd)
        with suppress(OSError):  # the next one that comes does it
            os.rmdir(f"{_INSTANCES}/{self._name}", dir_fd=self._mount)
        os.close(self._mount)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_leftovers() -> None:
    """Remove the instances of processes that were killed. Without tracefs there are none."""
    with suppress(OSError):
        mount = _mount()
        try:
            _remove_leftovers(mount)
        finally:
            os.close(mount)


def _mount() -> int:
    """A directory: tracefs, where nobody else sees it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result: int = libc.syscall(number, *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    context = call(_FSOPEN, b"tracefs", _FSOPEN_CLOEXEC)
    try:
        call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)


def _instance(mount: int) -> tuple[str, int]:
    """A new instance's name, and its trace_pipe, opened."""
    _remove_leftovers(mount)
    for _ in range(_TRIES):
        name = _PREFIX + secrets.token_hex(8)
        place = f"{_INSTANCES}/{name}"
        os.mkdir(place, dir_fd=mount)
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            pipe = os.open(f"{place}/trace_pipe", flags, dir_fd=mount)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                continue  # somebody took it for a leftover, before it was open
            raise
        enable = os.open(f"{place}/{_PRINTED}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=mount)
        try:
            os.write(enable, b"1")
        finally:
            os.close(enable)
        return name, pipe
    raise FileNotFoundError("the instances vanish as soon as they are made")


def _remove_leftovers(mount: int) -> None:
    """Those of processes that were killed; the kernel refuses it for one that is being read."""
    instances = os.open(_INSTANCES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
    try:
        for name in os.listdir(instances):  # noqa: PTH208 (a directory without a path)
            if name.startswith(_PREFIX):
                with suppress(OSError):
                    os.rmdir(name, dir_fd=instances)
    finally:
        os.close(instances)
