"""strongSwan 5.9 and fragments of IKE messages (RFC 7383): cut by either side, in either role."""

from __future__ import annotations

import re

import pytest

from hushwire.lab.topology import ALICE, BOB, Topology
from tests.interop.strongswan import ROOT, Strongswan
from tests.interop.test_strongswan import agreed, asked, configure
from tests.netns.tunnels import interrupt, ping, sides

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)

MANY = [f"{ALICE.tunnel.ip}/32", *(f"10.7.0.{number}/32" for number in range(1, 250, 2))]
"""So many networks that what we say about a CHILD_SA has more than 2000 octets."""


def pieces(log: str) -> set[tuple[int, int]]:
    """Numbers and totals of the fragments that strongSwan has got."""
    found = re.findall(r"received fragment #(\d+) of (\d+)", log)
    return {(int(number), int(total)) for number, total in found}


@pytest.mark.interop("Fragments of IKE messages", "of {size} octets", "both ways, in either role")
@pytest.mark.parametrize("size", [256, 576], ids=["in 256 octets", "in 576 octets"])
def test_tunnels_and_new_keys_in_fragments(topology: Topology, size: int) -> None:
    bob = Strongswan(topology, remote=", ".join(MANY[:40]), fragment_size=size)
    alice, _ = sides(topology)
    configure(alice, bob, local_networks=MANY)
    bob.start()

    # We begin, and rekey; then it rekeys.
    program = alice.run()
    program.wait_for_line("tunnel up")
    assert pieces(bob.log) >= {(1, 2), (2, 2)}
    assert "splitting IKE message" in bob.log
    ping(topology, "alice", BOB.tunnel.ip)
    seen = agreed(alice, bob)
    for rekey in (
        lambda: asked(alice, "rekey"),
        lambda: bob.swanctl("--rekey", "--child", "net"),
        lambda: asked(alice, "rekey-ike"),
        lambda: bob.swanctl("--rekey", "--child", "net"),
        lambda: bob.swanctl("--rekey", "--ike", "net"),
        lambda: asked(alice, "rekey"),
    ):
        rekey()
        seen = agreed(alice, bob, seen)
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)

    # It begins.
    configure(alice, bob, start="wait", local_networks=MANY)
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    assert len({total for _, total in pieces(bob.log)}) > 1  # ours have become as small as its own
    interrupt(program)
