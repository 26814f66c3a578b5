"""Hosts in a world: network namespaces with names, and programs that run on them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from hushwire.lab.world import World, environment

_GRACE_SECONDS = 10.0


class LabError(Exception):
    """A program of the lab failed, or did not do in time what was awaited of it."""


class Program(subprocess.Popen[str]):
    """A running program of a host; its output, both streams, is gathered in `lines`."""

    def __init__(self, argv: list[str], title: str, *, typed: bool = False) -> None:
        super().__init__(
            argv,
            stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(),
            start_new_session=True,  # Ctrl-C reaches the teller only, who then ends this orderly
        )
        self.title = title
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._listener = threading.Thread(target=self._listen, name=title, daemon=True)
        self._listener.start()

    def type(self, line: str) -> None:
        """A line into its standard input, if it was started `typed`. Raises `LabError`."""
        assert self.stdin is not None
        try:
            self.stdin.write(line + "\n")
            self.stdin.flush()
        except BrokenPipeError as error:
            raise LabError(f"{self.title} has ended. It said:\n{self.output}") from error

    def wait_for_line(self, text: str, seconds: float = 30.0, after: int = 0) -> str:
        """The first line that holds `text`, from line number `after` on.

        Raises `LabError` with all of the output when the program ends or time is up before.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    how = "ended before it said" if self._ended else f"took {seconds:g} s without"
                    raise LabError(f"{self.title} {how} “{text}”. It said:\n{self.output}")
                self._news.wait(left)

    @property
    def output(self) -> str:
        """Everything that it has said until now."""
        return "\n".join(self.lines)

    def send_signal(self, sig: int) -> None:
        """To the program itself: its parent nsenter, which is our child, passes no signals on."""
        while self.poll() is None:
            child = _child_of(self.pid)
            if child is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, sig)
                return
            time.sleep(0.002)  # nsenter is still on its way into the namespaces

    def stop(self) -> str:
        """End it orderly, by force after a while; returns its whole output."""
        self.terminate()
        try:
            self.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        return self.finish()

    def finish(self, seconds: float = 60.0) -> str:
        """Wait until it ends by itself; returns its whole output. Raises `LabError`."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise LabError(
                f"{self.title} did not end in {seconds:g} s. It said:\n{self.output}"
            ) from error
        self._listener.join(_GRACE_SECONDS)
        return self.output

    def _listen(self) -> None:
        assert self.stdout is not None
        with self.stdout:
            for line in self.stdout:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Network:
    """The hosts of one world. As a context manager it ends its programs and then the world."""

    def __init__(self, world: World | None = None) -> None:
        """In `world`, or in one of its own. Raises as `World.begin`."""
        self.world = world or World.begin()
        self._programs: list[Program] = []

    def ip(self, *commands: str, host: str | None = None) -> None:
        """`ip` commands, on `host` or outside of all hosts. Raises `LabError`."""
        at = ["-n", host] if host else []
        self.run(None, ["ip", *at, "-batch", "-"], text="\n".join(commands) + "\n")

    def run(
        self,
        host: str | None,
        argv: Sequence[str | Path],
        *,
        text: str = "",
        seconds: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on `host` to its end, with `text` as its input.

        Raises `LabError` when it takes longer and, with `check`, when it fails.
        """
        words = [str(word) for word in argv]
        title = f"`{' '.join(words)}` on {host or 'no host'}"
        try:
            done = subprocess.run(
                self.world.enter(host) + words,
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                env=environment(),
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{title} did not end in {seconds:g} s") from error
        if check and done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise LabError(f"{title} failed ({done.returncode}):\n{said}")
        return done

    def start(
        self, host: str | None, argv: Sequence[str | Path], *, typed: bool = False
    ) -> Program:
        """Start a program on `host`; it ends with this network at the latest.

        With `typed`, somebody may type into it.
        """
        words = [str(word) for word in argv]
        title = f"`{' '.join(words)}` on {host}"
        program = Program(self.world.enter(host) + words, title, typed=typed)
        self._programs.append(program)
        return program

    def close(self) -> None:
        """End every program, orderly, and the world."""
        try:
            for program in self._programs:
                program.send_signal(signal.SIGTERM)
            for program in self._programs:
                program.stop()
        finally:
            self.world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _child_of(parent: int) -> int | None:
    # /proc/PID/task/PID/children would tell at once, but many kernels are built without it.
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == parent:
            return int(stat.parent.name)
    return None
