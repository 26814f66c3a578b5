"""Two `hushwire run` that are busy for a long time, and renew their keys by IKEv2 all the time.

`python -m tests.soak.ike --seconds 600`, as root. Two network namespaces, in each a `hushwire run`
with the native engine and everything else as it is by default; both renew the CHILD_SA every 5
seconds and the IKE SA every 20 (`--rekey`, `--rekey-ike`), so collisions come too. TCP in both
directions, as much as goes, and numbered datagrams at a steady pace beside it, both ways.

What counts as lost is what the tunnel has lost, and nobody else:

- Every packet that one side has sealed under a CHILD_SA is one that the other side has opened
  under it and given to its host, for each CHILD_SA that there ever was. ESP numbers packets one by
  one and opens none twice, so equal counts mean that no sequence number is missing. Both sides'
  `status` tells, several times a second; an SA that is replaced drains for seconds, so its last
  counts are seen. What the kernel drops in between, at a socket that is full, is counted as lost.
- No cause of a drop has counted on either side since traffic began: no replay, no ICV, no unknown
  SPI, and no packet of the host's that found no SA while keys were renewed.
- Of the numbered datagrams not one is missing and none came twice. 500 a second do not fill any
  queue of sender or receiver, which is why these are the ones that are counted; what saturates is
  TCP, which sends again whatever it is, and so cannot be asked.

And keys were renewed as often as they should be, the streams ran until the end, and memory of
neither program grew. Exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hushwire.daemon import control
from hushwire.system import netns
from tests.conformance.namespaces import Namespace, eventually, joined
from tests.soak.probes import Probes
from tests.soak.run import ALICE, BOB, GROWTH_OCTETS, resident_octets, streams

_LOOK_SECONDS = 0.25
_TELL_SECONDS = 10.0
_OUTER = ("192.0.2.1", "192.0.2.2")
_FILE = """
[interface]
name = "hw0"
address = ["{here}/24"]
engine = "native"

[peer.other]
endpoint = "{endpoint}"
psk_file = "psk"
networks = ["{there}/32"]
encap = "{encap}"
start = "{start}"
rekey_after = "{rekey}s"
rekey_ike_after = "{rekey_ike}s"
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one SA pair, as one side has it."""

    packets_out: int
    bytes_out: int
    packets_in: int


@dataclass
class End:
    """One side's `hushwire run`, and all that its `status` has told."""

    namespace: Namespace
    program: subprocess.Popen[bytes]
    log: Path
    sas: dict[tuple[str, str], Counts] = field(default_factory=dict)
    """By inbound and outbound SPI; of one that is gone, the last that was seen."""
    ike: set[str] = field(default_factory=set)
    before: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    ike_before: Counter[str] = field(default_factory=Counter)
    ike_now: Counter[str] = field(default_factory=Counter)
    resident: list[int] = field(default_factory=list)

    def look(self) -> None:
        facts = cast(dict[str, Any], self.namespace.call(lambda: control.ask("hw0", "status")))
        (peer,) = facts["peers"]
        self.now, self.ike_now = Counter(facts["drops"]), Counter(facts["ike_drops"])
        if "ike_spi" in peer:
            self.ike.add(peer["ike_spi"])
        for sa in peer.get("sas", ()):
            if "packets_out" in sa:
                counts = Counts(sa["packets_out"], sa["bytes_out"], sa["packets_in"])
                self.sas[sa["spi_in"], sa["spi_out"]] = counts
        self.resident.append(resident_octets(self.program.pid))

    def begin(self) -> None:
        """What was dropped before there was a tunnel does not count."""
        self.look()
        self.before, self.ike_before = self.now, self.ike_now

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.now - self.before)

    @property
    def ike_drops(self) -> dict[str, int]:
        """Told only: an IKE message that comes again, or too late, is no traffic that is lost."""
        return dict(self.ike_now - self.ike_before)

    @property
    def growth(self) -> int:
        """By how many octets it was larger at any time than in its first fifth."""
        first = self.resident[: max(1, len(self.resident) // 5)]
        return max(self.resident) - max(first)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: of the whole, and between renewals."""

    whole: float
    rekey: int
    rekey_ike: int


class Soak:
    """Both ends, and what was lost between them."""

    def __init__(self, ends: tuple[End, End], probes: list[Probes]) -> None:
        self.ends = ends
        self.probes = probes

    def look(self) -> None:
        for end in self.ends:
            end.look()

    def carried(self) -> tuple[int, int]:
        """Packets and octets that were sealed, by both."""
        counts = [one for end in self.ends for one in end.sas.values()]
        return sum(one.packets_out for one in counts), sum(one.bytes_out for one in counts)

    def unequal(self) -> dict[str, int]:
        """SAs under which one side has not opened what the other one has sealed; how many more."""
        found = {}
        nothing = Counts(0, 0, 0)
        for near, far in (self.ends, self.ends[::-1]):
            there = {spis[::-1]: counts for spis, counts in far.sas.items()}
            for spis in near.sas.keys() | there.keys():
                sealed = near.sas.get(spis, nothing).packets_out
                opened = there.get(spis, nothing).packets_in
                if sealed != opened:
                    found[f"{spis[1]} from {_name(near, self.ends)}"] = sealed - opened
        return found

    def tell(self, passed: float) -> None:
        packets, octets = self.carried()
        sent, underway = sum(one.sent for one in self.probes), sum(p.missing for p in self.probes)
        dropped = sum(sum(end.drops.values()) for end in self.ends)
        sizes = ", ".join(f"{end.resident[-1] / 1e6:.1f}" for end in self.ends)
        print(
            f"{passed:5.0f} s  {len(self.ends[0].sas):4} CHILD_SAs  {len(self.ends[0].ike):3} "
            f"IKE SAs  {octets / 1e9:8.2f} GB  {packets:>11} packets, {dropped} dropped  "
            f"{sent:>8} datagrams, {underway} underway  {sizes} MB",
            flush=True,
        )

    def settle(self) -> None:
        """What is underway gets time to arrive."""
        deadline = time.monotonic() + 5
        self.look()
        while self.unequal() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            self.look()


def _name(end: End, ends: tuple[End, End]) -> str:
    return ("alice", "bob")[ends.index(end)]


def soak(pace: Pace, encap: str) -> bool:
    """Whether nothing was lost; prints all of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        addresses = [(f"{outer}/24",) for outer in _OUTER]
        left, right = stack.enter_context(joined(*addresses, ipv6=False))
        bob = _run(stack, right, _write(folder, 1, pace, encap))
        alice = _run(stack, left, _write(folder, 0, pace, encap))
        for end in (alice, bob):
            eventually("tunnel", lambda: "tunnel up" in end.log.read_text())  # noqa: B023
        it = Soak((alice, bob), [Probes(left, right, BOB), Probes(right, left, ALICE)])
        for end in it.ends:
            end.begin()
        stream = streams(stack, left, right, pace.whole)
        for one in it.probes:
            one.start()
        began, told = time.monotonic(), 0.0
        while (passed := time.monotonic() - began) < pace.whole:
            it.look()
            if passed - told >= _TELL_SECONDS:
                told = passed
                it.tell(passed)
            time.sleep(_LOOK_SECONDS)
        ran = stream.poll() is None
        stream.terminate()
        stream.wait()
        for one in it.probes:
            one.finish()
        it.settle()
        return _judge(time.monotonic() - began, it, pace, ran=ran)


def _write(folder: Path, end: int, pace: Pace, encap: str) -> Path:
    """The file of one side. bob waits for alice."""
    psk = folder / "psk"
    psk.touch(mode=0o600)
    psk.write_text("a shared secret between two namespaces of one machine\n")
    file = folder / f"{end}.toml"
    inner = (ALICE, BOB)
    file.write_text(
        _FILE.format(
            here=inner[end],
            there=inner[1 - end],
            endpoint=_OUTER[1 - end],
            encap=encap,
            start=("up", "wait")[end],
            rekey=pace.rekey,
            rekey_ike=pace.rekey_ike,
        )
    )
    return file


def _run(stack: ExitStack, namespace: Namespace, file: Path) -> End:
    """Until it listens; ended as by Ctrl-C in the end."""
    log = file.with_suffix(".log")
    argv = ["nsenter", f"--net=/proc/{namespace.pid}/ns/net", sys.executable, "-m"]
    with log.open("wb") as output:
        program = subprocess.Popen(
            [*argv, "hushwire.cli.main", "run", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    directory = namespace.call(netns.runtime_dir)

    def end() -> None:
        program.send_signal(signal.SIGINT)
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        for left in (*directory.glob("*"), directory):
            with suppress(OSError):
                left.rmdir() if left.is_dir() else left.unlink()

    stack.callback(end)
    eventually("listening", lambda: "Listening" in log.read_text())
    return End(namespace, program, log)


def _judge(passed: float, it: Soak, pace: Pace, *, ran: bool) -> bool:
    it.tell(passed)
    unequal, (packets, octets) = it.unequal(), it.carried()
    sent = sum(one.sent for one in it.probes)
    missing, twice = sum(one.missing for one in it.probes), sum(one.twice for one in it.probes)
    drops = {_name(end, it.ends): end.drops for end in it.ends if end.drops}
    for end in it.ends:
        if end.ike_drops:
            print(f"IKE messages that {_name(end, it.ends)} did not take: {end.ike_drops}")
    renewed = len(it.ends[0].sas) - 1, len(it.ends[0].ike) - 1
    # A little fewer than there is time for: an exchange takes some.
    wanted = int(pace.whole / pace.rekey * 0.8), int(pace.whole / pace.rekey_ike * 0.8)
    growth = max(end.growth for end in it.ends)
    print(
        f"{octets * 8 / passed / 1e9:.2f} Gbit/s in both directions together. {renewed[0]} "
        f"renewals of the CHILD_SA and {renewed[1]} of the IKE SA. Of {packets} sealed packets "
        f"{sum(map(abs, unequal.values()))} were not delivered {unequal or ''}; of {sent} "
        f"datagrams {missing} are missing and {twice} came twice; dropped: {drops or 'nothing'}. "
        f"Memory of a program grew by {growth / 1e6:.1f} MB after its first fifth."
    )
    often = renewed[0] >= wanted[0] and renewed[1] >= wanted[1]
    if not often:
        print(f"There should have been {wanted[0]} and {wanted[1]} renewals at least.")
    if not ran:
        print("The streams ended before their time.")
    lost = unequal or missing or twice or drops
    good = often and ran and not lost and growth <= GROWTH_OCTETS
    print("0 lost." if good else "FAILED")
    if not good:
        for end in it.ends:
            print(end.log.read_text()[-3000:])
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rekey", type=int, default=5, help="the CHILD_SA every so many seconds")
    parser.add_argument("--rekey-ike", type=int, default=20, help="the IKE SA")
    parser.add_argument("--encap", choices=("auto", "esp", "udp"), default="auto")
    asked = parser.parse_args()
    pace = Pace(asked.seconds, asked.rekey, asked.rekey_ike)
    sys.exit(0 if soak(pace, asked.encap) else 1)
