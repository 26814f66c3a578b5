"""systemd, where it is what starts services: the unit hushwire@NAME.service."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hushwire.system.errors import SystemFailureError

_RUNS_HERE = Path("/run/systemd/system")  # sd_booted(3)
_PATIENCE_SECONDS = 120.0
_AT_WORK = {"active", "activating", "deactivating", "reloading"}


def unit(name: str) -> str:
    return f"hushwire@{name}.service"


def usable() -> bool:
    """Does systemd start the services of the very network namespace that we stand in?"""
    if not _RUNS_HERE.is_dir() or shutil.which("systemctl") is None:
        return False
    try:
        return (
            Path("/proc/1/ns/net").stat().st_ino == Path("/proc/thread-self/ns/net").stat().st_ino
        )
    except OSError:
        return False


def installed(name: str) -> bool:
    """Does it know the unit?"""
    return _systemctl("cat", unit(name)).returncode == 0


def at_work(name: str) -> bool:
    """Is the unit started, or on its way, or waiting to be started again?"""
    return _show(name).get("ActiveState") in _AT_WORK


def ended(name: str) -> int | None:
    """The exit code with which its process ended by itself; None while there is one."""
    facts = _show(name)
    if facts.get("ActiveState") == "failed" or facts.get("SubState") == "auto-restart":
        return int(facts.get("ExecMainStatus") or 1) or 1
    return None


def start(name: str) -> None:
    """Returns when the order is given, not when it is carried out. Raises `SystemFailureError`."""
    _order("start", "--no-block", unit(name))


def stop(name: str) -> None:
    """Returns when it has ended. Raises `SystemFailureError`."""
    _order("stop", unit(name))


def _show(name: str) -> dict[str, str]:
    wanted = "--property=ActiveState,SubState,ExecMainStatus"
    lines = _systemctl("show", wanted, unit(name)).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _order(*words: str) -> None:
    done = _systemctl(*words)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise SystemFailureError(
            f"`systemctl {' '.join(words)}`", said, f"`systemctl status {words[-1]}` says more."
        )


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemctl", "--no-ask-password", *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
