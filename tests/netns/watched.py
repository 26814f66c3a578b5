"""eve's capture of a whole test, and an application on alice that talks all the time."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hushwire.lab.eve import Recorder
from hushwire.lab.network import Program
from hushwire.lab.reader import Frame, Kind, holding, read
from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from tests.netns import chatter

INSIDE = (str(BOB.tunnel.ip), str(BOB.tunnel6.ip))
"""bob's addresses in the tunnel."""


@dataclass
class Watch:
    """What eve has seen, known when the watch is over."""

    missed: int = -1
    tried: int = 0
    frames: list[Frame] = field(default_factory=list)

    @property
    def clear(self) -> list[Frame]:
        """Frames that nothing protects, and those that show the application's words."""
        said = {frame.number for frame in holding(self.frames, chatter.TEXT)}
        return [f for f in self.frames if f.kind is Kind.CLEAR or f.number in said]

    @property
    def sealed(self) -> int:
        return sum(frame.kind is Kind.ESP for frame in self.frames)

    def assert_nothing_in_clear(self) -> None:
        assert self.missed == 0
        assert self.tried > 20
        shown = [(frame.number, frame.source, frame.destination) for frame in self.clear]
        assert not shown, f"{len(shown)} frames in clear: {shown[:10]}"


@contextmanager
def watching(
    topology: Topology, *addresses: str, host: str = "alice", between: float = 0.002
) -> Iterator[Watch]:
    """For as long as it lasts eve records, and an application talks to the addresses."""
    watch = Watch()
    recorder = Recorder(topology)
    talker = talk(topology, *addresses, host=host, between=between)
    yield watch
    watch.tried = silence(talker)
    watch.missed = recorder.stop()
    watch.frames = read(recorder.file)


def talk(
    topology: Topology, *addresses: str, host: str = "alice", between: float = 0.002
) -> Program:
    script = Path(chatter.__file__)
    talker = topology.start(host, [sys.executable, script, str(between), *(addresses or INSIDE)])
    talker.wait_for_line("ready")
    return talker


def silence(talker: Program) -> int:
    """End it; how many datagrams it has tried to send."""
    talker.send_signal(signal.SIGTERM)
    return int(talker.finish().splitlines()[-1])


def lead_everything_to_the_wire(topology: Topology, host: str = "alice") -> None:
    """A default route past the tunnel, as any network has it."""
    topology.ip(
        f"route add default via {BOB.underlay} dev {WIRE}",
        f"route add ::/0 via {BOB.underlay6} dev {WIRE}",
        host=host,
    )


def lead_past_the_tunnel(topology: Topology, verb: str = "add") -> None:
    """A rogue route, more specific than the tunnel's own."""
    topology.ip(
        f"route {verb} {BOB.tunnel.ip}/32 via {BOB.underlay} dev {WIRE}",
        f"route {verb} {BOB.tunnel6.ip}/128 via {BOB.underlay6} dev {WIRE}",
        host="alice",
    )


def flap(topology: Topology) -> None:
    """The wire goes down and up again, and what the kernel forgets then is told to it anew."""
    topology.ip(
        f"link set {WIRE} down",
        f"link set {WIRE} up",
        # IPv6 addresses go with the link (ip-sysctl, keep_addr_on_down).
        f"address replace {ALICE.underlay6}/64 dev {WIRE} nodad",
        f"address replace {ALICE.link_local}/64 dev {WIRE} nodad",
        host="alice",
    )


def kill(program: Program) -> None:
    program.send_signal(signal.SIGKILL)
    program.wait()


def dropped(topology: Topology, host: str = "alice") -> int:
    """Packets that the host's one guard has kept from leaving, from the kernel itself."""
    listing = topology.run(host, ["nft", "-j", "list", "counters"]).stdout
    counters = [entry["counter"] for entry in json.loads(listing)["nftables"] if "counter" in entry]
    return sum(counter["packets"] for counter in counters if counter["name"] == "outward")


def guards(topology: Topology, host: str = "alice") -> list[str]:
    """The tables of guards that stand on the host."""
    lines = topology.run(host, ["nft", "list", "tables"]).stdout.splitlines()
    return [line.removeprefix("table inet hushwire_") for line in lines if "hushwire_" in line]
