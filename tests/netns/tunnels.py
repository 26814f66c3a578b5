"""alice and bob with `hushwire run` of their own, configured as the test says."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Resident, Topology
from hushwire.lab.world import FILES
from tests.netns.waiting import wait_until

_ANSWERED = "answered; the two sides chose"

PSK = "a secret that nobody guesses"


@dataclass
class Side:
    """One host's file, and the programs that ran with it."""

    topology: Topology
    me: Resident
    other: Resident
    peer: dict[str, str] = field(default_factory=dict)
    address: tuple[str, ...] = ()
    interface: dict[str, str | bool | int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.me.name

    @property
    def file(self) -> Path:
        return FILES / self.name / f"{TUNNEL}.toml"

    def write(self, **peer: str | bool | int | Sequence[str] | None) -> Side:
        """The configuration file; `peer` are keys of [peer.X], None leaves a default one out."""
        settings: dict[str, str | bool | int | Sequence[str] | None] = {
            "endpoint": str(self.other.underlay),
            "networks": [f"{self.other.tunnel.ip}/32", f"{self.other.tunnel6.ip}/128"],
            **self.peer,
            **peer,
        }
        lines = [
            "[interface]",
            f'name = "{TUNNEL}"',
            f'address = ["{self.me.tunnel}", "{self.me.tunnel6}"]',
            f'private_key_file = "{self.name}.key"',
            *(f"{key} = {json.dumps(value)}" for key, value in self.interface.items()),
            f"[peer.{self.other.name}]",
        ]
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in settings.items() if value is not None
        ]
        self.topology.world.path(self.file).write_text("\n".join(lines) + "\n")
        return self

    def write_psk(self, secret: str = PSK) -> Path:
        """A file with a shared secret; returns its path inside the world."""
        inside = self.file.with_name("psk")
        file = self.topology.world.path(inside)
        file.write_text(secret + "\n")
        file.chmod(0o600)
        return inside

    def run(self, *options: str) -> Program:
        return self.topology.start(self.name, ["hushwire", "run", self.file, *options])

    def status(self) -> dict[str, Any]:
        """What `hushwire status --json` says of the interface."""
        done = self.topology.run(self.name, ["hushwire", "status", "--json"])
        (facts,) = json.loads(done.stdout)
        return dict(facts)

    def tunnel(self) -> dict[str, Any]:
        """The one peer of `status`."""
        (peer,) = self.status()["peers"]
        return dict(peer)

    def drops(self, cause: str) -> int:
        return int(self.status()["drops"][cause])


def sides(topology: Topology) -> tuple[Side, Side]:
    """alice and bob with new key pairs, and files that name each other."""
    public = {}
    for me in (ALICE, BOB):
        folder = FILES / me.name
        topology.world.path(folder).mkdir(mode=0o700)
        key = folder / f"{me.name}.key"
        public[me.name] = topology.run(me.name, ["hushwire", "genkey", "-o", key]).stdout.strip()
    alice = Side(topology, ALICE, BOB, {"public_key": public["bob"]})
    bob = Side(topology, BOB, ALICE, {"public_key": public["alice"]})
    return alice.write(), bob.write()


def both_up(alice: Side, bob: Side, *, at_once: bool = True) -> tuple[Program, Program]:
    """Run both and wait until each says that the tunnel is up.

    Not `at_once`, bob listens before alice knocks, so that no kernel answers in his place.
    """
    second = bob.run()
    if not at_once:
        second.wait_for_line("Listening")
    programs = alice.run(), second
    for program in programs:
        program.wait_for_line("tunnel up")
    if all(_ANSWERED in program.output for program in programs):
        # They crossed. Each may be up by its own response, before the other has got it.
        wait_until(lambda: in_one_tunnel(alice, bob), "one tunnel for both")
    return programs


def in_one_tunnel(alice: Side, bob: Side) -> bool:
    """Each has the IKE SA and the CHILD_SA of the other as its own."""
    ours, theirs = alice.tunnel(), bob.tunnel()
    return ours.get("ike_spi") == theirs.get("ike_spi") and (
        ours.get("spi_in", ""),
        ours.get("spi_out"),
    ) == (theirs.get("spi_out"), theirs.get("spi_in"))


def ends(program: Program, code: int) -> str:
    """Wait for the program to end by itself with this exit code; what it said."""
    said = program.finish()
    assert program.returncode == code, said
    return said


def interrupt(program: Program) -> str:
    """Ctrl-C, and a clean end; what the program said."""
    program.send_signal(signal.SIGINT)
    return ends(program, 0)


def devices(topology: Topology, host: str) -> set[str]:
    links = json.loads(topology.run(host, ["ip", "-json", "link"]).stdout)
    return {link["ifname"] for link in links}


def ping(topology: Topology, host: str, target: object, *options: str, count: int = 3) -> None:
    """Fails unless every ping comes back.

    Each by a program of its own: of several, `ping` waits for the last one only as long as two of
    the others took, which on a busy machine is too short; -W counts where none came back (ping(8)).
    """
    for _ in range(count):
        argv = ["ping", "-c", "1", "-W", "5", *options, str(target)]
        done = topology.run(host, argv, check=False)
        assert " 0% packet loss" in done.stdout, done.stdout + done.stderr
