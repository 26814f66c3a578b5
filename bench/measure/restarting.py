"""A peer is killed and started again: how long until traffic goes through the tunnel as before.

`make restarts` does it many times with each of: Hushwire killed as initiator and as responder of
another Hushwire, and charon (strongSwan) in both roles with Hushwire at the other end, which is the
one that has to notice. Timing is what it is by default. The host that lives on pings the other one
through the tunnel all the time. The other one's program gets SIGKILL, and when it is gone it is
started again at once, as whoever watches over it would do. What counts are the seconds from the
kill to the first ping that is answered after it, so the start of the program is in it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.machine import machine
from bench.network import (
    INNER,
    BenchError,
    Host,
    Hosts,
    Running,
    become_root_inside,
    two_hosts,
    wait_for_line,
)
from bench.tunnels import strongswan
from bench.tunnels.base import Programs
from bench.tunnels.hushwire import COMMAND, write_files
from bench.tunnels.strongswan import Charon

GOAL_SECONDS = 5.0
_ESP = "aes256gcm16"
_PING_SECONDS = "0.01"
_ANSWER = re.compile(r"\[(\d+\.\d+)\] .* time=")
_LIMIT_SECONDS = 120.0
_BETWEEN_SECONDS = (0.5, 2.0)

Start = Callable[[], subprocess.Popen[bytes]]


@dataclass(frozen=True, slots=True)
class Case:
    """The program on host `dies` is killed, which is `charon` or else Hushwire.

    Host 0 begins, host 1 waits for it.
    """

    key: str
    title: str
    dies: int
    charon: bool = False
    encap: str = "auto"


CASES = (
    Case("hushwire-initiator", "Hushwire, the initiator", 0),
    Case("hushwire-responder", "Hushwire, the responder", 1),
    Case("hushwire-responder-udp", "Hushwire, the responder, ESP in UDP", 1, encap="udp"),
    Case("charon-initiator", "strongSwan, the initiator", 0, charon=True),
    Case("charon-responder", "strongSwan, the responder", 1, charon=True),
)


def measure(case: Case, kills: int) -> list[float]:
    """Seconds, of each kill. Raises `BenchError`."""
    with two_hosts() as hosts, Programs() as programs:
        files = write_files(programs.folder, "native", _ESP, case.encap)
        lives = 1 - case.dies
        starts: list[Start] = [_hushwire(hosts[end], files[end]) for end in (0, 1)]
        if case.charon:
            starts[case.dies] = _charon(case.dies, hosts, programs)
        running = {}
        for end in (1, 0):  # who waits comes first
            running[end] = programs.add(starts[end]())
            if end == lives or not case.charon:
                wait_for_line(_log(files[end]), "Listening", running[end])
        wait_for_line(_log(files[lives]), "tunnel up", running[lives])
        ping = ("ping", "-D", "-O", "-n", "-i", _PING_SECONDS, INNER[case.dies])
        with hosts[lives].running(*ping) as pings:
            seconds = []
            mortal = running[case.dies]
            answered_after(pings, time.time())
            for _ in range(kills):
                time.sleep(random.uniform(*_BETWEEN_SECONDS))
                killed = time.time()
                mortal.send_signal(signal.SIGKILL)
                mortal.wait()
                mortal = programs.add(starts[case.dies]())
                seconds.append(answered_after(pings, killed) - killed)
            return seconds


def answered_after(pings: Running, moment: float) -> float:
    """When the first ping since then was answered; both in seconds since 1970.

    Raises `BenchError` when none is.
    """
    while time.time() < moment + _LIMIT_SECONDS:
        found = _ANSWER.match(pings.line())  # -O: a line for each that is not answered too
        if found and float(found[1]) > moment:
            return float(found[1])
    raise BenchError(f"after {_LIMIT_SECONDS:g} s there is still no traffic")


def _log(file: Path) -> Path:
    return file.with_suffix(".log")


def _hushwire(host: Host, file: Path) -> Start:
    return lambda: host.start_logged(_log(file), *COMMAND, "run", str(file))


def _charon(end: int, hosts: Hosts, programs: Programs) -> Start:
    charon = Charon(hosts[end], programs.folder / "charon", programs)
    charon.prepare(end, ("start", "none")[end])

    def begin() -> subprocess.Popen[bytes]:
        (charon.folder / "vici").unlink(missing_ok=True)  # of the one that was killed
        return charon.start()

    return begin


def percentile(seconds: list[float], share: float) -> float:
    """Of them in their order, the one behind which no more than that share comes."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="in each case")
    keys = [case.key for case in CASES]
    parser.add_argument("--only", nargs="+", choices=keys, default=keys)
    parser.add_argument("--append", action="store_true", help="to the cases of the JSON file")
    parser.add_argument("--json", type=Path, default=Path("build/bench/restarts.json"))
    asked = parser.parse_args()
    become_root_inside()
    found: dict[str, list[float]] = {}
    if asked.append and asked.json.exists():
        found = json.loads(asked.json.read_text())["kills"]
    for case in CASES:
        if case.key not in asked.only:
            continue
        if case.charon and (why := strongswan.missing()):
            print(f"{case.title}: {why}")
            continue
        found[case.key] = seconds = [round(one, 3) for one in measure(case, asked.kills)]
        print(
            f"{case.title:40} {len(seconds)} kills: p50 {percentile(seconds, 0.5):.2f} s, "
            f"p99 {percentile(seconds, 0.99):.2f} s, most {max(seconds):.2f} s",
            flush=True,
        )
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps({"machine": machine(), "kills": found}, indent=1) + "\n")
    return int(any(max(seconds) > GOAL_SECONDS for seconds in found.values()))


if __name__ == "__main__":
    sys.exit(main())
