"""strongSwan 6.1 judges: X25519 with ML-KEM, new keys under traffic, and who has none of it."""

from __future__ import annotations

import pytest

from hushwire.lab.topology import BOB, Topology
from tests.interop.post_quantum.strongswan6 import ROOT, Strongswan6
from tests.interop.test_strongswan import agreed, asked, configure, pings, rekeyed_by_both
from tests.netns.tunnels import interrupt, ping, sides

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(),
    reason="strongSwan 6.1 is not unpacked: run tools/strongswan-newest",
)

PEER = "strongSwan 6.1"
PLAIN = "aes256gcm16-prfsha384-x25519"
SUITES = {
    "ML-KEM-768": (f"{PLAIN}-ke1_mlkem768", "aes256gcm16"),
    "ML-KEM-768, for CHILD_SAs too": (f"{PLAIN}-ke1_mlkem768", "aes256gcm16-x25519-ke1_mlkem768"),
    "ML-KEM-1024": (f"{PLAIN}-ke1_mlkem1024", "aes256gcm16-ecp384-ke1_mlkem1024"),
    "ML-KEM-1024, ML-KEM-768, P-521": (
        f"{PLAIN}-ke1_mlkem1024-ke2_mlkem768-ke4_ecp521",
        "aes256gcm16-modp3072-ke1_mlkem768-ke2_ecp256",
    ),
}


@pytest.mark.interop("Post-quantum", "{suite}", "begun and rekeyed by either side", peer=PEER)
@pytest.mark.parametrize("suite", SUITES)
def test_tunnels_and_new_keys_begun_by_either_side(topology: Topology, suite: str) -> None:
    bob = Strongswan6(topology, *SUITES[suite])
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()

    program = alice.run()
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    assert f"the two sides chose {bob.ike} for IKE" in program.output
    rekeyed_by_both(alice, bob)
    interrupt(program)

    # strongSwan begins.
    configure(alice, bob, start="wait")
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)


@pytest.mark.interop("Both rekey at once", "ML-KEM-768", "CHILD_SA and IKE SA", peer=PEER)
def test_both_rekey_at_once_and_agree(topology: Topology) -> None:
    bob = Strongswan6(topology, *SUITES["ML-KEM-768, for CHILD_SAs too"])
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    before = agreed(alice, bob)
    with pings(topology):
        for verb, word in (("rekey", "--child"), ("rekey-ike", "--ike")) * 3:
            asked(alice, verb)
            bob.swanctl("--rekey", word, "net")
            before = agreed(alice, bob, before)
    interrupt(program)


@pytest.mark.interop("Our defaults", "{theirs}", "begun by either side", peer=PEER)
@pytest.mark.parametrize(
    ("theirs", "chosen"),
    [
        (f"{PLAIN}-ke1_mlkem768", f"{PLAIN}-ke1_mlkem768"),
        (f"{PLAIN}-ke1_mlkem768, default", f"{PLAIN}-ke1_mlkem768"),
        ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-ecp384"),
        ("aes128-sha256-modp2048", "aes128-sha256-prfsha256-modp2048"),
    ],
)
def test_the_defaults_find_the_best_that_there_is(
    topology: Topology, theirs: str, chosen: str
) -> None:
    bob = Strongswan6(topology, theirs, "default")
    alice, _ = sides(topology)
    configure(alice, bob, ike=None, esp=None)
    bob.start()
    for begin in (True, False):
        configure(alice, bob, ike=None, esp=None, start="up" if begin else "wait")
        program = alice.run()
        if not begin:
            program.wait_for_line("Listening")
            bob.swanctl("--initiate", "--child", "net")
        program.wait_for_line("tunnel up")
        assert alice.tunnel()["ike_suite"] == chosen
        ping(topology, "alice", BOB.tunnel.ip)
        interrupt(program)


@pytest.mark.interop("Fragments of 576 octets", "ML-KEM-1024", "both ways", peer=PEER)
def test_key_exchanges_come_in_fragments(topology: Topology) -> None:
    bob = Strongswan6(topology, *SUITES["ML-KEM-1024"], fragment_size=576)
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    before = agreed(alice, bob)
    with pings(topology):
        asked(alice, "rekey-ike")
        before = agreed(alice, bob, before)
        bob.swanctl("--rekey", "--child", "net")
        agreed(alice, bob, before)
    assert "splitting IKE message" in bob.log
    assert "received fragment" in bob.log
    interrupt(program)
