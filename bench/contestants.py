"""What is compared. Each puts a tunnel between two hosts and tells what it has used so far."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.network import OUTER, Host

INNER = ("10.0.1.1", "10.0.1.2")
_WAIT_SECONDS = 30.0


class Tunnel:
    """`target` is the far end's address through it."""

    target = INNER[1]

    def used(self) -> tuple[float, int]:
        """CPU seconds of both ends, resident octets of the larger."""
        return 0.0, 0


class _Hushwire(Tunnel):
    def __init__(self, ends: list[subprocess.Popen[str]]) -> None:
        self._ends = ends

    def used(self) -> tuple[float, int]:
        answers = []
        for end in self._ends:
            assert end.stdin is not None
            assert end.stdout is not None
            end.stdin.write("?\n")
            end.stdin.flush()
            answers.append(json.loads(end.stdout.readline()))
        return sum(one["cpu"] for one in answers), max(one["resident"] for one in answers)


@contextmanager
def hushwire(hosts: tuple[Host, Host], engine: str, cipher: str) -> Generator[Tunnel]:
    """Both ends with this engine and fixed keys."""
    ends = []
    try:
        for host, side in zip(hosts, "ab", strict=True):
            end = host.start([sys.executable, "-m", "bench.end", engine, side, cipher])
            ends.append(end)
            if end.stdout is None or end.stdout.readline() != "ready\n":
                raise RuntimeError(f"the {engine} engine did not start")
        yield _Hushwire(ends)
    finally:
        for end in ends:
            end.communicate()


@contextmanager
def plain(_hosts: tuple[Host, Host]) -> Generator[Tunnel]:
    """No tunnel at all."""
    tunnel = Tunnel()
    tunnel.target = OUTER[1]
    yield tunnel


class _WireGuard(Tunnel):
    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    def used(self) -> tuple[float, int]:
        nanoseconds, resident = 0, 0
        for pid in self._pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            resident = max(resident, pages * os.sysconf("SC_PAGE_SIZE"))
        return nanoseconds / 1e9, resident


def wireguard_go_program() -> str | None:
    """`WIREGUARD_GO`, or the one in PATH."""
    return os.environ.get("WIREGUARD_GO") or shutil.which("wireguard-go")


@contextmanager
def wireguard_go(hosts: tuple[Host, Host], program: str) -> Generator[Tunnel]:
    """Its control sockets are made in /var/run/wireguard, by the names of the devices."""
    keys = [X25519PrivateKey.generate() for _ in hosts]
    ends: list[subprocess.Popen[str]] = []
    try:
        for end, host in enumerate(hosts):
            name = f"hwbench{end}"
            ends.append(host.start([program, "-f", name], stderr=subprocess.DEVNULL))
            _configure(name, keys[end], keys[1 - end], OUTER[1 - end], INNER[1 - end])
            host.run("ip", "address", "add", f"{INNER[end]}/32", "dev", name)
            host.run("ip", "link", "set", name, "mtu", "1420", "up")
            host.run("ip", "route", "add", INNER[1 - end], "dev", name)
        yield _WireGuard([end.pid for end in ends])
    finally:
        for process in ends:
            process.terminate()
            process.communicate()


def _configure(
    name: str, own: X25519PrivateKey, peer: X25519PrivateKey, endpoint: str, network: str
) -> None:
    secret = own.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
    public = peer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    path = f"/var/run/wireguard/{name}.sock"
    deadline = time.monotonic() + _WAIT_SECONDS
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise RuntimeError("wireguard-go did not start")
        time.sleep(0.02)
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        control.sendall(
            f"set=1\nprivate_key={secret}\nlisten_port=51820\npublic_key={public}\n"
            f"endpoint={endpoint}:51820\nallowed_ip={network}/32\n\n".encode()
        )
        if b"errno=0" not in control.recv(4096):
            raise RuntimeError("wireguard-go refused its configuration")
