"""The network namespace this process stands in, and the place for its control sockets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hushwire.system.errors import NotPermittedError, SystemFailureError

RUN = Path("/run/hushwire")


def inode() -> int:
    """The number by which the kernel knows the network namespace of this thread."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def runtime_dir() -> Path:
    """Where control sockets and pid files of this namespace live; perhaps not there yet.

    One directory for each namespace, because hosts in namespaces share one /run.
    """
    return RUN / str(inode())


def make_runtime_dir() -> Path:
    """`runtime_dir()`, made if missing, with mode 0700 and ours.

    Raises `NotPermittedError` and `SystemFailureError`.
    """
    path = runtime_dir()
    try:
        RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            raise SystemFailureError(
                f"directory {path}",
                "it belongs to someone else",
                "Remove it, or run this as the user who owns it.",
            )
        path.chmod(0o700)
    except PermissionError as error:
        raise NotPermittedError(
            [f"directory {path}: this user may not make it. Run it with sudo."]
        ) from error
    except OSError as error:
        raise SystemFailureError(
            f"directory {path}",
            os.strerror(error.errno or 0).lower(),
            "Control sockets live there: make it possible to create it.",
        ) from error
    return path
