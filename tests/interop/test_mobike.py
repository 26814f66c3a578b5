"""strongSwan 5.9 and MOBIKE (RFC 4555): who has begun gets another address, and goes back."""

from __future__ import annotations

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, read
from hushwire.lab.topology import ALICE, BOB, Topology
from tests.interop.strongswan import ROOT, Strongswan
from tests.interop.test_strongswan import agreed, configure
from tests.netns.test_roaming import ELSEWHERE, arrives_from, without_ipv6
from tests.netns.tunnels import interrupt, ping, sides
from tests.netns.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)


@pytest.mark.interop("Life", row="another address by MOBIKE", column="{begins}")
@pytest.mark.parametrize("begins", ["strongSwan moves", "we move"])
def test_who_has_begun_moves_and_the_same_ike_sa_goes_on(topology: Topology, begins: str) -> None:
    without_ipv6(topology)
    bob = Strongswan(topology)
    alice, _ = sides(topology)
    ours = begins == "we move"
    configure(alice, bob, start="up" if ours else "wait")
    bob.start()
    program = alice.run()
    program.wait_for_line("Listening")
    if not ours:
        bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    before = agreed(alice, bob)
    mover, stays = (ALICE, BOB) if ours else (BOB, ALICE)
    home = str(mover.underlay)
    for leaves, comes in ((home, ELSEWHERE), (ELSEWHERE, home)):
        move(topology, mover.name, leaves, comes)
        knows(bob, comes)
        if not ours:
            arrives_from(alice, comes)
        now = agreed(alice, bob)
        recorder = Recorder(topology)
        ping(topology, "alice", BOB.tunnel.ip)
        ping(topology, "bob", ALICE.tunnel.ip)
        assert recorder.stop() == 0
        sealed = {(f.source, f.destination) for f in read(recorder.file) if f.kind is Kind.ESP}
        assert sealed == {(comes, str(stays.underlay)), (str(stays.underlay), comes)}
        # Its ESP in user space cannot change an SA's addresses: strongSwan rekeys the CHILD_SA.
        assert now[0] == before[0]
    interrupt(program)


def knows(bob: Strongswan, address: str) -> None:
    """Wait until charon's IKE SA goes from or to there."""
    wait_until(lambda: address in bob.swanctl("--list-sas"), f"charon to use {address}")


def move(topology: Topology, host: str, leaves: str, comes: str) -> None:
    """The new address is there before the old one goes: without any, charon looks no further."""
    topology.run(host, ["sysctl", "-qw", "net.ipv4.conf.eth0.promote_secondaries=1"])
    topology.ip(f"address add {comes}/24 dev eth0", host=host)
    topology.ip(f"address del {leaves}/24 dev eth0", host=host)
