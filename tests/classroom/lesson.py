"""Two hosts that run `hushwire classroom`, and messages between them by real sockets."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hushwire.lab.network import Network, Program
from hushwire.lab.topology import ALICE, BOB, WIRE
from tests.netns.inside import inside

PORT = 12345
_LIMIT_SECONDS = 30.0


def begin(network: Network, host: str, *options: str, interface: str = WIRE) -> Program:
    """`hushwire classroom` on the host, ready."""
    command = ["hushwire", "classroom", "--interface", interface, "--json", "--label", host]
    program = network.start(host, [*command, *options])
    program.wait_for_line('"ready"')
    return program


_DIRECT = """
from hushwire.classroom.report import Report
from hushwire.classroom.service import Lesson, Service
Service(Lesson("{0}", {1}, "{2}", {3}), Report("{0}", as_json=True)).run()
"""


def begin_with(network: Network, host: str, settings: str) -> Program:
    """The same with settings that the command has not, such as `hook="clsact"`; ready."""
    script = _DIRECT.format(WIRE, PORT, host, settings)
    program = network.start(host, [sys.executable, "-c", script])
    program.wait_for_line('"ready"')
    return program


def said(program: Program, event: str) -> list[dict[str, Any]]:
    """All that it has said of this kind."""
    lines = [json.loads(line) for line in program.lines if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def final(program: Program) -> dict[str, Any]:
    """End it; its last statistics."""
    program.stop()
    assert program.returncode == 0, program.output
    last = said(program, "statistics")[-1]
    assert last["final"]
    return last


@dataclass
class Talker:
    """A socket of one host, which knows nothing of all this."""

    sock: socket.socket
    there: tuple[str, int]

    def send(self, payload: bytes) -> None:
        self.sock.sendto(payload, self.there)

    def receive(self) -> bytes:
        return self.sock.recv(65536)

    def nothing_comes(self) -> bool:
        """By now. Whoever asks has something of which it knows that it would have come later."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(65536)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(_LIMIT_SECONDS)
        return False


@contextmanager
def talkers(network: Network, version: int = 4) -> Iterator[tuple[Talker, Talker]]:
    """One on alice, one on bob, each with the other's address; both at PORT."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    addresses = {
        name: str(host.underlay if version == 4 else host.underlay6)
        for name, host in (("alice", ALICE), ("bob", BOB))
    }
    socks = []
    for name in ("alice", "bob"):
        with inside(network, name):
            sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((addresses[name], PORT))
        sock.settimeout(_LIMIT_SECONDS)
        socks.append(sock)
    with socks[0], socks[1]:
        yield (
            Talker(socks[0], (addresses["bob"], PORT)),
            Talker(socks[1], (addresses["alice"], PORT)),
        )
