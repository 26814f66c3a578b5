"""wireguard-go, the newest; set up through its control socket, which `wg` would use."""

from __future__ import annotations

import socket
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

from bench.network import INNER, OUTER, BenchError, Hosts, wait_until
from bench.tunnels.base import PEERS, Programs, Tunnel, refusal

_PROGRAM = PEERS / "wireguard-go"
_DEVICE = "wg0"


def missing() -> str:
    return refusal("wireguard-go")


def version() -> str:
    return (PEERS / "wireguard-go.done").read_text().strip()


@contextmanager
def wireguard_go(hosts: Hosts) -> Generator[Tunnel]:
    """MTU 1420, its own default."""
    keys = [X25519PrivateKey.generate() for _ in hosts]
    with Programs() as programs:
        for end, host in enumerate(hosts):
            log = programs.folder / f"{end}.log"
            programs.add(host.start_logged(log, str(_PROGRAM), "-f", _DEVICE))
            # Where the host has it, seen from here.
            control = Path(f"/proc/{host.holder.pid}/root/run/wireguard/{_DEVICE}.sock")
            wait_until(control.exists, "control socket of wireguard-go")
            _configure(control, keys[end], keys[1 - end], end)
            host.run("ip", "address", "add", f"{INNER[end]}/32", "dev", _DEVICE)
            host.run("ip", "link", "set", _DEVICE, "mtu", "1420", "up")
            host.run("ip", "route", "add", INNER[1 - end], "dev", _DEVICE)
        hosts[0].run("ping", "-c", "1", "-W", "10", INNER[1])
        yield programs.tunnel


def _configure(control: Path, own: X25519PrivateKey, peer: X25519PrivateKey, end: int) -> None:
    secret = own.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
    public = peer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        connection.sendall(
            f"set=1\nprivate_key={secret}\nlisten_port=51820\npublic_key={public}\n"
            f"endpoint={OUTER[1 - end]}:51820\nallowed_ip={INNER[1 - end]}/32\n\n".encode()
        )
        if b"errno=0" not in connection.recv(4096):
            raise BenchError("wireguard-go refused its configuration")
