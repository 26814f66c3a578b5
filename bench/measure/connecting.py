"""From nothing to the first ping that is answered, and what a handshake costs who answers it.

`python -m bench.measure.connecting ADDRESS` pings every few milliseconds, also where no way leads
to ADDRESS yet, and says when the first answer came.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.network import INNER, Host, Hosts, wait_for_line
from bench.tunnels.base import Programs
from bench.tunnels.hushwire import COMMAND, write_files
from bench.tunnels.strongswan import Charon
from bench.usage import cpu_seconds

_HANDSHAKES = 30
_PAUSE_SECONDS = 0.002
_LIMIT_SECONDS = 60.0

Connecting = Callable[[Hosts], dict[str, float]]


def hushwire(hosts: Hosts) -> dict[str, float]:
    """Of `hushwire run`, the native engine."""
    with Programs() as programs:
        files = write_files(programs.folder, "native", "aes256gcm16-esn", "udp")
        _wait_as_hushwire(hosts[1], programs, files[1])
        with _first_answer(hosts[0]) as answered:
            begun = time.monotonic()
            command = (*COMMAND, "run", str(files[0]))
            programs.add(hosts[0].start_logged(programs.folder / "0.log", *command))
            connected = answered() - begun
    return {"connect_s": connected}


def hushwire_answering(hosts: Hosts) -> dict[str, float]:
    """CPU of `hushwire run` for each handshake that strongSwan begins."""
    with Programs() as programs:
        files = write_files(programs.folder, "native", "aes256gcm16", "udp")
        run = _wait_as_hushwire(hosts[1], programs, files[1])
        near = Charon(hosts[0], programs.folder / "near", programs)
        near.prepare(0, "none")
        near.start()
        return _handshakes(near, run.pid)


def strongswan(hosts: Hosts) -> dict[str, float]:
    """Of charon, with a connection that is to be begun as soon as it is loaded."""
    with Programs() as programs:
        far = Charon(hosts[1], programs.folder / "far", programs)
        far.prepare(1, "none")
        far.start()
        near = Charon(hosts[0], programs.folder / "near", programs)
        near.prepare(0, "start")
        with _first_answer(hosts[0]) as answered:
            begun = time.monotonic()
            near.start()
            return {"connect_s": answered() - begun}


def strongswan_answering(hosts: Hosts) -> dict[str, float]:
    """CPU of charon for each handshake that another one begins."""
    with Programs() as programs:
        far = Charon(hosts[1], programs.folder / "far", programs)
        far.prepare(1, "none")
        charon = far.start()
        near = Charon(hosts[0], programs.folder / "near", programs)
        near.prepare(0, "none")
        near.start()
        return _handshakes(near, charon.pid)


def _wait_as_hushwire(host: Host, programs: Programs, file: Path) -> subprocess.Popen[bytes]:
    log = programs.folder / "1.log"
    run = programs.add(host.start_logged(log, *COMMAND, "run", str(file)))
    wait_for_line(log, "Waiting for other", run)
    return run


def _handshakes(near: Charon, answering: int) -> dict[str, float]:
    """One to warm up, then as many as make a mean: IKE_SA_INIT, IKE_AUTH, and the deletion."""
    begun = 0.0
    for done in range(_HANDSHAKES + 1):
        if done == 1:
            begun = cpu_seconds([answering])
        near.swanctl("--initiate", "--child", "net")
        near.swanctl("--terminate", "--ike", "net")
    return {"handshakes_per_core_s": _HANDSHAKES / (cpu_seconds([answering]) - begun)}


@contextmanager
def _first_answer(host: Host) -> Generator[Callable[[], float]]:
    """What waits for it and returns the time (CLOCK_MONOTONIC, the same for all processes)."""
    with host.running(sys.executable, "-m", __name__, INNER[1]) as asking:
        asking.line()
        yield lambda: float(asking.line())


def ask(address: str) -> float | None:
    """When the first echo was answered; None when none was within the limit."""
    number = os.getpid() & 0xFFFF
    front = struct.pack("!BBHHH", 8, 0, 0, number, 1)
    sum_ = sum(struct.unpack("!4H", front))
    echo = struct.pack("!BBHHH", 8, 0, ~(sum_ + (sum_ >> 16)) & 0xFFFF, number, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        print("ready", flush=True)
        end = time.monotonic() + _LIMIT_SECONDS
        while (now := time.monotonic()) < end:
            with suppress(OSError):  # no way there yet
                raw.sendto(echo, (address, 0))
            while select.select([raw], [], [], max(now + _PAUSE_SECONDS - time.monotonic(), 0))[0]:
                packet, (sender, _) = raw.recvfrom(2048)
                kind, _, _, whose = struct.unpack_from("!BBHH", packet, (packet[0] & 15) * 4)
                if (kind, whose, sender) == (0, number, address):
                    return time.monotonic()
    return None


if __name__ == "__main__":
    if when := ask(sys.argv[1]):
        print(when)
