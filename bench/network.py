"""Two network namespaces with one wire between them, gone with this process."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

OUTER = ("192.0.2.1", "192.0.2.2")
_WIRE = "wire0"


@dataclass
class Host:
    """A namespace, held open by a child that ends when its standard input does."""

    holder: subprocess.Popen[bytes]

    def argv(self, *command: str) -> list[str]:
        """What runs `command` inside."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *command]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            self.argv(*command), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, command: Sequence[str], **more: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            self.argv(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **more,
        )


@contextmanager
def two_hosts(*, offloads: bool = True) -> Generator[tuple[Host, Host]]:
    """Joined by a veth pair; without `offloads` it is closer to a plain network card."""
    hosts = (_host(), _host())
    try:
        far = ("peer", "name", _WIRE, "netns", str(hosts[1].holder.pid))
        hosts[0].run("ip", "link", "add", _WIRE, "type", "veth", *far)
        for host, address in zip(hosts, OUTER, strict=True):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "address", "add", f"{address}/24", "dev", _WIRE)
            host.run("ip", "link", "set", _WIRE, "up")
            if not offloads:
                host.run("ethtool", "-K", _WIRE, "tso", "off", "gso", "off", "gro", "off")
                host.run("ethtool", "-K", _WIRE, "tx-udp-segmentation", "off")
        yield hosts
    finally:
        for host in hosts:
            host.holder.communicate()


def _host() -> Host:
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if holder.stdout is None or holder.stdout.readline() != b"ready\n":
        raise RuntimeError("no network namespace could be made: run it with sudo")
    return Host(holder)
