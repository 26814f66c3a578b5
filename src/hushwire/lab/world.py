"""A world of the lab's own: private namespaces that vanish, whole, when their holder ends.

    this process ── unshare ── holder (PID 1 inside)      mounts: a tmpfs on /run, a new /proc
          │                      ▲                        network: named namespaces in /run/netns
          └── nsenter ── program ┘                        processes: all end when PID 1 does

Nothing of it is ever visible on the host. The holder ends when its standard input does, so even a
SIGKILL of this process leaves neither a namespace nor a device, a file or a process behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from hushwire.system.errors import NotPermittedError, SystemFailureError

# The first line is read before the new /proc: there the holder still sees the PID that others use.
_HOLDER = """
set -e
read -r pid _ </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 lab /run
mkdir -m 700 /run/lab
mkdir /run/lab/bin
ip link set lo up
(: <>/dev/net/tun) 2>/dev/null || { echo tun; exit 1; }
echo "$pid"
"""
_UNTIL_INPUT_ENDS = "exec cat >/dev/null"
_FOR_EVER = "exec sleep infinity </dev/null >/dev/null 2>&1"

_NAMESPACES = ["--mount", "--net", "--pid", "--fork", "--kill-child"]
_AS_ROOT_INSIDE = ["--user", "--map-root-user"]

_PACKAGES = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}

FILES = Path("/run/lab")
"""A directory of the world's own, for keys, captures and logs; PATH begins with its bin/."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class World:
    """Private mount, network and PID namespaces, and a user namespace where that is needed.

    `pid` is the holder's, as this process sees it. `user` tells whether we are root inside only.
    """

    def __init__(self, pid: int, user: bool, holder: subprocess.Popen[str] | None = None) -> None:
        self.pid = pid
        self.user = user
        self._holder = holder
        self._pidfd = os.pidfd_open(pid)

    @classmethod
    def begin(cls, *, lasting: bool = False, user: bool | None = None) -> World:
        """Make one. It ends with this process, or lasts until its holder is killed.

        `user` asks for a user namespace (True) or none (False); by default it is tried without
        one if we are root, then with one. Raises `NotPermittedError` with the reason if this host
        lets us have no world, `SystemFailureError` if a program is missing.
        """
        for program, package in _PACKAGES.items():
            need(program, package)
        choices = [False, True] if os.geteuid() == 0 else [True]
        reasons = []
        for choice in choices if user is None else [user]:
            world, reason = cls._try(lasting, choice)
            if world is not None:
                return world
            reasons.append(reason)
        raise NotPermittedError([reasons[-1]])

    @classmethod
    def _try(cls, lasting: bool, user: bool) -> tuple[World | None, str]:
        last = _FOR_EVER if lasting else _UNTIL_INPUT_ENDS
        as_root = _AS_ROOT_INSIDE if user else []
        holder = subprocess.Popen(
            ["unshare", *as_root, *_NAMESPACES, "sh", "-c", _HOLDER + last],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for the teller of the story, who ends the world
        )
        assert holder.stdout is not None
        said = holder.stdout.readline().strip()
        if said.isdecimal():
            world = cls(int(said), user, holder)
            world._link_programs()
            return world, ""
        _, complaint = holder.communicate()
        if said == "tun":
            return None, "/dev/net/tun cannot be opened here, and a tunnel needs it"
        return None, (
            "this host does not let this user make namespaces of its own "
            f"({complaint.strip().splitlines()[-1] if complaint.strip() else 'unshare failed'})"
        )

    def path(self, inside: Path) -> Path:
        """Where this process finds the file that is `inside` in the world."""
        return Path(f"/proc/{self.pid}/root") / inside.relative_to("/")

    def enter(self, host: str | None = None) -> list[str]:
        """What to put before a command so that it runs in the world, on `host` if one is named.

        It keeps the current directory. nsenter stays as the command's parent and ends as it does.
        """
        here = self.path(Path.cwd())
        directory = here if here.is_dir() else self.path(FILES)
        net = f"--net={self.path(Path('/run/netns') / host)}" if host else "--net"
        user = ["--user", "--preserve-credentials"] if self.user else []
        namespaces = [*user, "--mount", "--pid", net, f"--wd={directory}"]
        return ["nsenter", f"--target={self.pid}", *namespaces, "--"]

    def close(self) -> None:
        """End it and everything in it, and wait until it is gone. Twice is no error."""
        # When PID 1 goes, the kernel kills every other process in its PID namespace first.
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            ended.poll()
            self._forget_pidfd()
        if self._holder is not None:
            self._holder.communicate()
            self._holder = None

    def abandon(self) -> None:
        """Let a lasting world live on without this object."""
        self._forget_pidfd()
        if self._holder is not None:
            for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
                if pipe is not None:
                    pipe.close()
            self._holder = None

    def _forget_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _link_programs(self) -> None:
        """`hushwire` on PATH inside, however it is installed."""
        self._program("hushwire", [sys.executable, "-m", "hushwire.cli.main"])
        tcpdump = shutil.which("tcpdump", path=_path_outside())
        if tcpdump:
            # Debian's gives up root for a user of its own, who may not write here.
            no_groups = Path(f"/proc/{self.pid}/setgroups").read_text().strip() == "deny"
            rootless = [sys.executable, "-m", "hushwire.lab.rootless"] if no_groups else []
            self._program("tcpdump", [*rootless, tcpdump, "-Z", "root"])

    def _program(self, name: str, argv: list[str]) -> None:
        script = self.path(FILES / "bin" / name)
        script.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
        script.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def environment() -> dict[str, str]:
    """Ours, with a PATH that finds the world's own programs and, for an ordinary user, `ip`."""
    path = f"{FILES / 'bin'}:{_path_outside()}"
    # Unbuffered, because what a program says is read line by line while it runs.
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _path_outside() -> str:
    # Inside a world this is run too, and there PATH begins with that world's programs.
    own = os.environ.get("PATH", "").removeprefix(f"{FILES / 'bin'}:")
    return f"{own}:{_SYSTEM_PATH}"


def need(program: str, package: str) -> None:
    """Raise `SystemFailureError` if the program is not installed."""
    if shutil.which(program, path=environment()["PATH"]) is None:
        raise SystemFailureError(
            f"program {program}", "it is not installed", f"`sudo apt install {package}` brings it."
        )
