"""The ordeal: one thing after another happens to alice's tunnel, and eve listens all the time.

HUSHWIRE_ORDEAL_ROUNDS says how many rounds; `make ordeal` has a hundred.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from hushwire.lab.topology import BOB, Topology
from tests.netns.tunnels import both_up, ping, sides
from tests.netns.watched import (
    INSIDE,
    dropped,
    flap,
    guards,
    kill,
    lead_everything_to_the_wire,
    lead_past_the_tunnel,
    watching,
)

_ROUNDS = int(os.environ.get("HUSHWIRE_ORDEAL_ROUNDS", "6"))
_LONGEST_SECONDS = 1.5  # a start takes about that long, and the blow may fall anywhere in it


class _Ordeal:
    def __init__(self, topology: Topology, seed: int) -> None:
        self._topology = topology
        self._random = random.Random(seed)
        self.alice, self.bob = sides(topology)
        # Wide enough that a route can be more specific; and keys expire all the time.
        wide = ["10.0.1.0/24", "fd00:1::/64"]
        self.alice.write(networks=wide, rekey_after="1s", rekey_ike_after="3s")
        lead_everything_to_the_wire(topology)
        self.program, self.peer = both_up(self.alice, self.bob)

    def round(self, number: int) -> None:
        """A blow at a random moment, after which it is killed, wherever it is then, and begins
        again: at once, or not before it is up."""
        blows: list[Callable[[], None]] = [
            self._flap,
            self._rogue_route,
            self._peer_dies,
            self._restart,
            lambda: None,
        ]
        blows[number % len(blows)]()
        self._pass()
        kill(self.program)
        self._pass(0.3)
        self.program = self.alice.run("--keep-guard")
        if self._random.random() < 0.5:
            self.program.wait_for_line("tunnel up", 60)

    def _pass(self, longest: float = _LONGEST_SECONDS) -> None:
        time.sleep(self._random.uniform(0, longest))

    def _flap(self) -> None:
        flap(self._topology)
        lead_everything_to_the_wire(self._topology)

    def _rogue_route(self) -> None:
        lead_past_the_tunnel(self._topology)
        self._pass()
        lead_past_the_tunnel(self._topology, "del")

    def _peer_dies(self) -> None:
        kill(self.peer)
        self._pass(0.3)
        self.peer = self.bob.run()
        self.peer.wait_for_line("Listening")

    def _restart(self) -> None:
        """As a service that is restarted, perhaps before it has really begun."""
        self.program.send_signal(signal.SIGTERM)
        self.program.finish()
        self._pass(0.3)
        self.program = self.alice.run("--keep-guard")


@pytest.mark.timeout(60 + 20 * _ROUNDS)
def test_in_the_whole_ordeal_eve_reads_nothing(topology: Topology) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"HUSHWIRE_ORDEAL_ROUNDS={_ROUNDS}, seed {seed}")
    ordeal = _Ordeal(topology, seed)
    with watching(topology, *INSIDE, between=0.005) as watch:
        for number in range(_ROUNDS):
            ordeal.round(number)
            assert guards(topology) == ["hw0"]
        ordeal.program.wait_for_line("tunnel up", 60)
        ping(topology, "alice", BOB.tunnel.ip)
    print(
        f"{watch.tried} sent by the application, {watch.sealed} ESP packets, "
        f"{dropped(topology)} dropped by the guard, {len(watch.clear)} in clear"
    )
    watch.assert_nothing_in_clear()
    assert watch.sealed > 0
    assert dropped(topology) > 0
