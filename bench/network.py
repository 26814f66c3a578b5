"""Two hosts with one wire between them: namespaces of their own, gone with this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.0.1.1", "10.0.1.2")
_WIRE = "wire0"
_LIMIT_SECONDS = 30.0
_HOLDER = "mount -t tmpfs -o mode=755 bench /run && ip link set lo up && echo ready && exec cat"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BenchError(Exception):
    """A program of the benchmark failed, or did not do in time what was awaited of it."""


class Running(subprocess.Popen[str]):
    """A program whose output is awaited."""

    def line(self) -> str:
        """The next one. Raises `BenchError` when there is none."""
        assert self.stdout is not None
        if not (line := self.stdout.readline()):
            raise BenchError("a program of the benchmark ended without a word")
        return line

    def rest(self, seconds: float) -> str:
        """All that it says until it ends. Raises `BenchError` when that takes longer."""
        try:
            return self.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"it did not end in {seconds:g} s") from error


@dataclass
class Host:
    """Namespaces for network and mounts, held open by a child that ends when its input does.

    /run is the host's own; all other files are those of the machine.
    """

    holder: subprocess.Popen[bytes]

    def argv(self, command: Sequence[str]) -> list[str]:
        """What runs `command` inside, in the same directory, under the process id it is given."""
        directory = f"--wd=/proc/{self.holder.pid}/root{Path.cwd()}"
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", directory, *command]

    def run(self, *command: str, seconds: float = 120) -> str:
        """To its end. Raises `BenchError` with what it said."""
        try:
            done = subprocess.run(
                self.argv(command),
                capture_output=True,
                text=True,
                timeout=seconds,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{command[0]} did not end in {seconds:g} s") from error
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise BenchError(f"{' '.join(command[:3])} failed: {said[-300:]}")
        return done.stdout

    @contextmanager
    def running(self, *command: str) -> Generator[Running]:
        """Whose output is read; it is gone in the end, whatever comes between."""
        program = Running(
            self.argv(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        try:
            yield program
        finally:
            program.kill()
            program.communicate()

    def start_logged(self, log: Path, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """Whose output goes into the file `log`; `more` are environment variables."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.argv(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment(), **more},
            )

    def mtu(self, device: str) -> int:
        (link,) = json.loads(self.run("ip", "-json", "link", "show", device))
        return int(link["mtu"])


Hosts = tuple[Host, Host]


def environment() -> dict[str, str]:
    """Ours, with a PATH that finds `ip` for an ordinary user too.

    And Python keeps what it has compiled, as an installed package has it.
    """
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"
    ours = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours


def become_root_inside() -> None:
    """An ordinary user starts again as root of a user namespace; root goes on."""
    if os.geteuid():
        again = ["unshare", "--user", "--map-root-user", sys.executable, *sys.orig_argv[1:]]
        os.execvpe("unshare", again, environment())


def wait_until(condition: Callable[[], object], what: str, seconds: float = _LIMIT_SECONDS) -> None:
    """Raises `BenchError` when it takes longer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"in {seconds:g} s there was no {what}")
        time.sleep(0.01)


def wait_for_line(log: Path, text: str, program: subprocess.Popen[bytes]) -> None:
    """Until `program` has written `text` into `log`. Raises `BenchError` with the log's end."""

    def said() -> bool:
        if text in log.read_text(errors="replace"):
            return True
        if program.poll() is not None:
            raise BenchError(f"it ended: {log.read_text(errors='replace').strip()[-300:]}")
        return False

    wait_until(said, f"“{text}” in its log")


@contextmanager
def two_hosts(*, offloads: bool = True) -> Generator[Hosts]:
    """Joined by a veth pair of MTU 1500; without `offloads` it is closer to a plain network card.

    Raises `BenchError`.
    """
    holders: list[subprocess.Popen[bytes]] = []
    try:
        hosts = (_host(holders), _host(holders))
        far = ("peer", "name", _WIRE, "netns", str(hosts[1].holder.pid))
        hosts[0].run("ip", "link", "add", _WIRE, "type", "veth", *far)
        for host, address in zip(hosts, OUTER, strict=True):
            host.run("ip", "address", "add", f"{address}/24", "dev", _WIRE)
            host.run("ip", "link", "set", _WIRE, "up")
            if not offloads:
                off = [word for name in ("tso", "gso", "gro") for word in (name, "off")]
                host.run("ethtool", "-K", _WIRE, *off, "tx-udp-segmentation", "off")
        yield hosts
    finally:
        for holder in holders:
            holder.communicate()


def _host(holders: list[subprocess.Popen[bytes]]) -> Host:
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    holders.append(holder)
    if holder.stdout is None or holder.stdout.readline() != b"ready\n":
        _, why = holder.communicate()
        raise BenchError(f"no namespaces can be made here: {why.decode(errors='replace').strip()}")
    return Host(holder)
