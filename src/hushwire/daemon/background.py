"""An interface that runs behind one's back: begun, watched until it is up, and ended.

systemd runs it where it can (`hushwire@NAME.service`), else it is a process of its own, with a log
and a pid file beside its control socket.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hushwire.config.load import FOLDER
from hushwire.config.model import Config
from hushwire.daemon import control, startup
from hushwire.explain.outcome import Cause
from hushwire.records import dataclass
from hushwire.system import guard, netns, systemd
from hushwire.system.errors import SystemFailureError
from hushwire.system.processes import Recorded

Tell = Callable[[str], None]

_LOOK_SECONDS = 0.05
_ORDERLY_SECONDS = 10.0  # longer than the peers are waited for, `Limits.close_seconds`
_FORCED_SECONDS = 5.0


def pid_file(name: str) -> Path:
    return netns.runtime_dir() / f"{name}.pid"


def log_file(name: str) -> Path:
    return netns.runtime_dir() / f"{name}.log"


class Launched(Protocol):
    """What has been begun."""

    how: str

    def ended(self) -> int | None:
        """The exit code, if it has ended by itself."""

    def last_words(self, told: int) -> list[str]:
        """What it has said beyond the first `told` lines."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the wait: up, or a cause, or an exit code with which it ended by itself."""

    up: bool = False
    cause: Cause | None = None
    ended: int | None = None


def launch(config: Config) -> Launched:
    """Begin it. Raises `SystemFailureError` and `NotPermittedError`."""
    name = config.interface.name
    if systemd.usable() and config.path.absolute() == FOLDER / f"{name}.toml":
        if systemd.installed(name):
            systemd.start(name)
            return _Unit(name)
        return _Detached(config, f"{systemd.unit(name)} is not installed (the README says how): ")
    return _Detached(config)


def wait_until_up(name: str, launched: Launched | None, seconds: float, tell: Tell) -> Outcome:
    """Until all that begins by itself is up or has failed once, telling what it says.

    `launched` is None for one that ran already.
    """
    deadline = time.monotonic() + seconds
    told = 0
    outcomes: dict[str, str | None] = {}
    while time.monotonic() < deadline:
        if launched is not None and (code := launched.ended()) is not None:
            for line in launched.last_words(told):
                tell(line)
            return Outcome(ended=code)
        facts = _startup(name)
        for sentence in facts.get("said", [])[told:]:
            tell(sentence)
            told += 1
        if facts.get("ready"):
            return Outcome(up=True)
        outcomes = facts.get("outcomes", {})
        if facts.get("open") and all(outcomes.values()):
            break
        time.sleep(_LOOK_SECONDS)
    failed = [text for text in outcomes.values() if text not in {None, startup.UP}]
    return Outcome(cause=Cause(failed[0]) if failed else Cause.NOT_REACHED)


def stop(name: str, tell: Tell) -> bool:
    """End what runs the interface, remove what it left and its guard; was there anything?

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    guarded = guard.is_standing(name)
    found = _end_process(name, tell) or guarded
    for left in (control.socket_path(name), pid_file(name)):
        if left.exists():
            found = True
            left.unlink(missing_ok=True)
    if guarded:
        guard.remove(name)
        tell(f"{name}: guard removed; what is for its networks may leave in clear again.")
    return found


def _end_process(name: str, tell: Tell) -> bool:
    if systemd.usable() and systemd.at_work(name):
        systemd.stop(name)
        tell(f"{name}: {systemd.unit(name)} stopped.")
        return True
    listening = control.holder(name)
    running = _recorded(name, listening)
    if listening is None and running is None:
        return False
    try:
        control.ask(name, "stop")
        first = None
    except SystemFailureError:  # it hangs, or it does not listen yet
        first = signal.SIGTERM
    if running is None:
        _wait_until_silent(name)
        tell(f"{name}: tunnels closed.")
        return True
    # A signal after the request: do not wait for the peers any longer.
    if running.ends(_ORDERLY_SECONDS, first) or running.ends(_FORCED_SECONDS, signal.SIGTERM):
        tell(f"{name}: tunnels closed, process {running.pid} has ended.")
        return True
    running.ends(_FORCED_SECONDS, signal.SIGKILL)
    tell(f"{name}: process {running.pid} did not end by itself and was killed.")
    return True


def _recorded(name: str, listening: int | None) -> Recorded | None:
    """The process that runs the interface: who listens for it, or who is in the pid file.

    None also where it is of a PID namespace that we cannot see.
    """
    if listening:
        with suppress(OSError):
            return Recorded.of(listening)
        return None
    recorded = Recorded.read(pid_file(name))
    return recorded if recorded is not None and recorded.alive else None


def _wait_until_silent(name: str) -> None:
    deadline = time.monotonic() + _ORDERLY_SECONDS
    while control.holder(name) is not None:
        if time.monotonic() > deadline:
            raise SystemFailureError(
                f"interface {name}",
                "what runs it did not end when it was asked to",
                "It is in another container: end it there.",
            )
        time.sleep(_LOOK_SECONDS)


def _startup(name: str) -> dict[str, Any]:
    try:
        return control.ask(name, "startup")
    except SystemFailureError:
        return {}  # not yet there


class _Unit:
    def __init__(self, name: str) -> None:
        self._name = name
        self.how = f"{systemd.unit(name)} runs it; `journalctl -u {systemd.unit(name)}` has its log"

    def ended(self) -> int | None:
        return systemd.ended(self._name)

    def last_words(self, told: int) -> list[str]:
        del told  # its log holds former runs too
        argv = ["journalctl", "--unit", systemd.unit(self._name), "--output=cat", "--lines=5"]
        done = subprocess.run([*argv, "--no-pager"], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()


class _Detached:
    def __init__(self, config: Config, why: str = "") -> None:
        name = config.interface.name
        netns.make_runtime_dir()
        self._log = log_file(name)
        run = ["run", str(config.path.absolute()), "--keep-guard"]
        with self._log.open("wb") as log:
            self._log.chmod(0o600)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hushwire.cli.main", *run],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # Not of this terminal: its end and its Ctrl-C are not for this process.
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"},
            )
        Recorded.of(self._process.pid).write(pid_file(name))
        self.how = f"{why}process {self._process.pid} runs it; its log is {self._log}"

    def ended(self) -> int | None:
        code = self._process.poll()
        if code is None:
            return None
        # One that a signal ended has a negative code here.
        return code if code > 0 else 1

    def last_words(self, told: int) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()[told:]
