"""`make flood`: spoofed IKE_SA_INIT requests, honest clients and running traffic, all at once.

alice's tunnel to bob is full of TCP; eve floods bob, under addresses that nobody has; beside her an
honest client connects to bob again and again. Quiet and flooded rounds take turns, and so do rounds
in which the same flood goes to a port where nobody listens: what it costs the machine anyway.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, EVE, TUNNEL, Topology
from hushwire.lab.world import FILES

_EVE = "192.168.77.9"
_SECRET = "a secret that nobody guesses, for the honest one"
_IKE_PORT, _CLOSED_PORT = 500, 501
_HERE = str(Path(__file__).resolve().parents[2])


def configure(topology: Topology) -> None:
    """alice's and bob's files; bob has the honest client as a peer too."""
    for me, other in ((ALICE, BOB), (BOB, ALICE)):
        folder = topology.world.path(FILES / me.name)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "psk").write_text(_SECRET + "\n")
        (folder / "psk").chmod(0o600)
        start = "up" if me is ALICE else "wait"
        text = (
            f'[interface]\nname = "{TUNNEL}"\naddress = ["{me.tunnel}"]\n'
            f'[peer.{other.name}]\nendpoint = "{other.underlay}"\npsk_file = "psk"\n'
            f'networks = ["{other.tunnel.ip}/32"]\nstart = "{start}"\n'
        )
        if me is BOB:
            text += (
                f'[peer.honest]\nendpoint = "{_EVE}"\npsk_file = "psk"\n'
                'networks = ["10.0.1.3/32"]\nstart = "wait"\nencap = "esp"\n'
            )
        (folder / f"{TUNNEL}.toml").write_text(text)


def wire(topology: Topology) -> None:
    """eve gets an address on the bridge, and answers to nobody's get somewhere."""
    topology.ip(f"address add {_EVE}/24 dev br0", host=EVE)
    topology.ip(f"route add default via {_EVE}", host=BOB.name)


def resident_octets(program: Program) -> int:
    """Of bob's hushwire: the last of the processes that `program` has become."""
    pid = program.pid
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def flood(topology: Topology, port: int, rate: float, seconds: float) -> Iterator[Program]:
    """From eve, for so long."""
    arguments = [str(BOB.underlay), str(port), str(rate), str(seconds)]
    sender = python(topology, EVE, "bench.flood.sender", *arguments)
    sender.wait_for_line("flooding")
    yield sender
    sender.finish(seconds + 30)


def python(topology: Topology, host: str, module: str, *arguments: str) -> Program:
    """One of our own modules on a host."""
    code = f"import runpy, sys; sys.path.insert(0, {_HERE!r}); sys.argv[1:] = {list(arguments)!r}; "
    code += f"runpy.run_module({module!r}, run_name='__main__')"
    return topology.start(host, [sys.executable, "-c", code])


def throughput(topology: Topology, seconds: float) -> float:
    """Gbit/s of TCP through the tunnel, from alice to bob."""
    server = topology.start(BOB.name, ["iperf3", "-s", "-1", "--forceflush"])
    server.wait_for_line("listening")
    argv = ["iperf3", "-c", str(BOB.tunnel.ip), "-t", str(seconds), "-J"]
    said = json.loads(topology.run(ALICE.name, argv, seconds=seconds + 30).stdout)
    server.finish()
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000, help="IKE_SA_INIT a second")
    parser.add_argument("--seconds", type=float, default=4, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=100, help="attempts of the honest one")
    asked = parser.parse_args()
    with Topology() as topology:
        configure(topology)
        wire(topology)
        file = f"{TUNNEL}.toml"
        bob = topology.start(BOB.name, ["hushwire", "run", FILES / BOB.name / file])
        bob.wait_for_line("Listening")
        alice = topology.start(ALICE.name, ["hushwire", "run", FILES / ALICE.name / file])
        alice.wait_for_line("tunnel up")
        throughput(topology, 1)
        measure(topology, bob, asked)


def measure(topology: Topology, bob: Program, asked: argparse.Namespace) -> None:
    """Rounds, then the honest client alone with the flood, then what is left of the memory."""
    rates: dict[str, list[float]] = {"quiet": [], "elsewhere": [], "flooded": []}
    before = resident_octets(bob)
    sent = []
    for _ in range(asked.rounds):
        rates["quiet"].append(throughput(topology, asked.seconds))
        for name, port in (("elsewhere", _CLOSED_PORT), ("flooded", _IKE_PORT)):
            with flood(topology, port, asked.rate, asked.seconds + 1) as sender:
                rates[name].append(throughput(topology, asked.seconds))
            sent.append(int(sender.lines[-1]))
    arguments = [_EVE, str(BOB.underlay), _SECRET, str(asked.clients)]
    length = asked.clients * 0.1 + 4
    with flood(topology, _IKE_PORT, asked.rate, length) as sender:
        begun = time.monotonic()
        honest = python(topology, EVE, "bench.flood.honest", *arguments)
        honest.finish(length + 60)
        lasted = time.monotonic() - begun
    sent.append(int(sender.lines[-1]))
    times = sorted(float(line) for line in honest.lines)
    after = resident_octets(bob)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"{name:10} {medians[name]:6.2f} Gbit/s  {[round(one, 2) for one in found]}")
    print(f"traffic that is left of quiet          {medians['flooded'] / medians['quiet']:.0%}")
    print(f"traffic that is left of elsewhere      {medians['flooded'] / medians['elsewhere']:.0%}")
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    print(f"an honest client connects, p50 and p99 {p50:.3f} s, {p99:.3f} s of {len(times)}")
    print(f"memory grew by                         {(after - before) / 1e6:.1f} MB")
    print(f"sent {sum(sent)} requests, {asked.rate:g} a second; clients took {lasted:.0f} s")
    facts = json.loads(topology.run(BOB.name, ["hushwire", "status", "--json"]).stdout)[0]
    print("counted", {cause: count for cause, count in facts["ike_drops"].items() if count})


if __name__ == "__main__":
    main()
