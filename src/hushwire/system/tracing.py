"""trace_pipe: what eBPF programs print.

tracefs is mounted for nobody but this process, at no place (fsopen(2), fsmount(2)): it need not be
mounted on this host, nothing has to be unmounted, and nothing stays when the process is killed.
"""

from __future__ import annotations

import ctypes
import os
from types import TracebackType
from typing import Self

from hushwire.system.errors import SystemFailureError

# <asm-generic/unistd.h>: from number 403 on the same on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1

_OURS = "hushwire "
_READ_OCTETS = 65536


class TracePipe:
    """The lines that Hushwire's programs print, of every program on this machine.

    The kernel gives each line to one reader only, so one process should read.
    """

    def __init__(self) -> None:
        """Raises `SystemFailureError`."""
        try:
            self._fd = _open()
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
        texts = (line.decode(errors="replace").partition(_OURS) for line in whole)
        return [_OURS + text for _, found, text in texts if found]

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open() -> int:
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
        mount = call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open("trace_pipe", flags, dir_fd=mount)
    finally:
        os.close(mount)
