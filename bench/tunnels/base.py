"""What every tunnel is to those who measure it, and what is done to all."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.network import INNER, OUTER, Hosts

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Tunnel:
    """`target` is the far end's address through it, `pids` are its two programs."""

    target: str
    pids: tuple[int, ...] = ()


Making = Callable[[Hosts], AbstractContextManager[Tunnel]]
"""What puts a tunnel between two hosts, ready for packets. Raises `BenchError`."""


@contextmanager
def plain(_hosts: Hosts) -> Generator[Tunnel]:
    """No tunnel at all."""
    yield Tunnel(OUTER[1])


class Programs(ExitStack):
    """Both ends' programs, ended in the end, and a folder for their files."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._pids: list[int] = []

    def add(self, program: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        self._pids.append(program.pid)
        self.callback(_end, program)
        return program

    @property
    def tunnel(self) -> Tunnel:
        return Tunnel(INNER[1], tuple(self._pids))


def _end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        program.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def refusal(name: str) -> str:
    """Why tools/peers could not bring it, in half a sentence; empty if it is here."""
    if not list(PEERS.glob(f"{name}.*")):
        return "tools/peers has not been run"
    missing = PEERS / f"{name}.missing"
    return missing.read_text().strip() if missing.exists() else ""
