"""A tunnel that is busy for a long time, and gets new keys every two seconds.

`python -m tests.soak.run --seconds 600`, as root. Two native engines in two namespaces; TCP in both
directions, as much as goes; numbered datagrams at a steady pace beside it, both ways. Every two
seconds a new SA pair takes over as after a rekeying: Bob has it first and sends on it when Alice
has, the old one goes when it has been silent for a second. Nothing may be lost: every packet that
was sealed under an SA has been opened and delivered when that SA goes, no datagram is missing or
comes twice, and no cause of a drop has counted. And memory stays as it is. Exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from hushwire.engines.base import Drop
from hushwire.sa.association import ChildSa
from tests.conformance.hosts import Host, host
from tests.conformance.namespaces import Namespace, eventually, joined
from tests.sa.pairs import pair
from tests.soak.probes import Probes

SWAP_SECONDS = 2.0
OLD_SECONDS = 1.0
"""How long the old SA pair stays beside the new one."""

GROWTH_OCTETS = 8 << 20
"""By how much the process may be larger in the end than after its first fifth."""

_PATIENCE_SECONDS = 120.0

ALICE, BOB = "10.0.1.1", "10.0.1.2"


@dataclass
class Soak:
    """Two engines and what has been counted of the SAs that are gone."""

    alice: Host
    bob: Host
    generation: int = 0
    swaps: int = 0
    sealed: int = 0
    octets: int = 0
    lost: int = 0
    resident: list[int] = field(default_factory=list)

    def begin(self) -> None:
        self._install()

    def swap(self) -> None:
        """The next SA pair takes over."""
        old = _spis(self.generation)
        self.generation += 1
        self._install()
        time.sleep(OLD_SECONDS)
        for end, spi in zip((self.alice, self.bob), old, strict=True):
            end.engine.retire(spi)
        self._settle(old)
        for end, spi in zip((self.alice, self.bob), old, strict=True):
            end.engine.remove(spi)
        self.swaps += 1
        self.resident.append(resident_octets())

    def end(self) -> None:
        self._settle(_spis(self.generation))

    def drops(self) -> dict[str, int]:
        """By cause, but for what a kernel says unasked when a device comes up."""
        unasked = (Drop.NO_SA, Drop.SELECTOR_MISMATCH_OUT)
        both = {"alice": self.alice.counters().drops, "bob": self.bob.counters().drops}
        return {
            f"{drop} at {end}": packets
            for end, drops in both.items()
            for drop, packets in drops.items()
            if packets and drop not in unasked
        }

    def _install(self) -> None:
        of_alice, of_bob = _pair(self.generation)
        self.bob.engine.install(replace(of_bob, await_proof=self.generation > 0))
        self.alice.engine.install(of_alice)

    def _settle(self, spis: tuple[int, int]) -> None:
        """Count what an SA pair has carried; what is underway gets time to arrive."""

        def missing() -> tuple[int, int, int]:
            a, b = (
                end.counters().sas[spi]
                for end, spi in zip((self.alice, self.bob), spis, strict=True)
            )
            lost = a.packets_out - b.packets_in + b.packets_out - a.packets_in
            return lost, a.packets_out + b.packets_out, a.bytes_out + b.bytes_out

        deadline = time.monotonic() + 5
        while (counted := missing())[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        self.lost += counted[0]
        self.sealed += counted[1]
        self.octets += counted[2]


def _pair(generation: int) -> tuple[ChildSa, ChildSa]:
    of_alice, of_bob = pair(generation=generation)
    # Other keys for every generation; worthless as secrets, like those of all tests.
    seed = generation.to_bytes(8, "big")
    keys = [bytes((way, *seed)) + of_alice.inbound_key[9:] for way in (1, 2)]
    return (
        replace(of_alice, inbound_key=keys[0], outbound_key=keys[1]),
        replace(of_bob, inbound_key=keys[1], outbound_key=keys[0]),
    )


def _spis(generation: int) -> tuple[int, int]:
    of_alice, of_bob = pair(generation=generation)
    return of_alice.inbound_spi, of_bob.inbound_spi


def resident_octets(process: int | str = "self") -> int:
    """Of a process; of this one, both engines in it."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def soak(seconds: float) -> bool:
    """Whether nothing was lost and memory stayed as it was; prints all of it."""
    # Whatever waits for ever says where.
    faulthandler.dump_traceback_later(seconds + _PATIENCE_SECONDS, exit=True)
    with ExitStack() as stack:
        wires = joined(("192.0.2.1/24",), ("192.0.2.2/24",), ipv6=False)
        left, right = stack.enter_context(wires)
        alice = stack.enter_context(host(left, "native", inner=(f"{ALICE}/24",)))
        bob = stack.enter_context(host(right, "native", inner=(f"{BOB}/24",)))
        it = Soak(alice, bob)
        it.begin()
        probes = [Probes(left, right, BOB), Probes(right, left, ALICE)]
        stream = streams(stack, left, right, seconds)
        for one in probes:
            one.start()
        began, told = time.monotonic(), 0.0
        while (passed := time.monotonic() - began) < seconds:
            it.swap()
            if passed - told >= 10 or not told:
                told = passed
                _tell(passed, it, probes)
            time.sleep(max(0.0, SWAP_SECONDS - OLD_SECONDS))
        stream.kill()
        stream.wait()
        for one in probes:
            one.finish()
        it.end()
        return _judge(time.monotonic() - began, it, probes)


def streams(
    stack: ExitStack, left: Namespace, right: Namespace, seconds: float
) -> subprocess.Popen[bytes]:
    """TCP both ways at once for longer than that."""

    def inside(namespace: Namespace, *argv: str) -> subprocess.Popen[bytes]:
        command = ["nsenter", f"--net=/proc/{namespace.pid}/ns/net", "iperf3", *argv]
        # In the end the client is killed, and the server complains of it.
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    inside(right, "--server", "--one-off", "--bind", BOB)
    eventually("iperf3 listens", lambda: ":5201" in right.run("ss", "-Hltn"))
    return inside(left, "--client", BOB, "--bidir", "--time", str(round(seconds) + 3600))


def _tell(passed: float, it: Soak, probes: list[Probes]) -> None:
    gigabytes = it.octets / 1e9
    underway = sum(one.missing for one in probes)
    print(
        f"{passed:5.0f} s  {it.swaps:4} swaps  {gigabytes:8.2f} GB  {it.sealed:>11} packets, "
        f"{it.lost} lost  {sum(one.sent for one in probes):>8} datagrams, {underway} underway  "
        f"{resident_octets() / 1e6:.1f} MB",
        flush=True,
    )


def _judge(passed: float, it: Soak, probes: list[Probes]) -> bool:
    _tell(passed, it, probes)
    missing, twice = sum(one.missing for one in probes), sum(one.twice for one in probes)
    fifth = it.resident[: max(1, len(it.resident) // 5)]
    growth = max(it.resident) - max(fifth)
    drops = it.drops()
    good = not (it.lost or missing or twice or drops) and growth <= GROWTH_OCTETS
    print(
        f"{it.octets * 8 / passed / 1e9:.2f} Gbit/s in both directions together. "
        f"Of {it.sealed} sealed packets {it.lost} were not delivered; of "
        f"{sum(one.sent for one in probes)} datagrams {missing} are missing and {twice} came "
        f"twice; dropped: {drops or 'nothing'}. Memory grew by {growth / 1e6:.1f} MB after the "
        f"first fifth."
    )
    print("Nothing was lost, and memory stayed as it was." if good else "FAILED")
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    sys.exit(0 if soak(parser.parse_args().seconds) else 1)
