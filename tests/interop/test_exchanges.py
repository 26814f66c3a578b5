"""strongSwan 5.9 judges the old key exchanges, the way down to them, and PPKs (RFC 8784)."""

from __future__ import annotations

import pytest

from hushwire.lab.topology import BOB, Topology
from tests.interop.strongswan import PPK, PPK_ID, ROOT, Strongswan
from tests.interop.test_strongswan import agreed, asked, configure
from tests.netns.tunnels import Side, ends, interrupt, ping, sides

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)

GROUPS = [
    "aes256gcm16-prfsha384-ecp521",
    "aes256-sha256-prfsha256-modp2048",
    "aes256gcm16-prfsha512-modp3072",
    "aes128gcm16-prfsha256-modp4096",
]


@pytest.mark.interop("Key exchanges", "P-521, MODP-2048, -3072, -4096", "begun by either side")
@pytest.mark.interop("Key exchanges", "our post-quantum defaults", "begun by either side")
def test_every_group_and_the_way_down_to_it(topology: Topology) -> None:
    """One charon that takes them all; alice asks for one after the other, and for her defaults."""
    bob = Strongswan(topology, ike=", ".join(GROUPS), esp="aes256gcm16, aes256gcm16-modp2048")
    alice, _ = sides(topology)
    bob.start()
    for ike in GROUPS:
        configure(alice, bob, ike=[ike], esp=["aes256gcm16"])
        program = alice.run()
        program.wait_for_line("tunnel up")
        assert alice.tunnel()["ike_suite"] == ike
        if ike == GROUPS[1]:
            before = agreed(alice, bob)
            asked(alice, "rekey-ike")
            agreed(alice, bob, before)
        interrupt(program)
    configure(alice, bob, ike=None, esp=None)
    program = alice.run()
    program.wait_for_line("tunnel up")
    assert alice.tunnel()["ike_suite"] in GROUPS
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)
    configure(alice, bob, ike=None, esp=None, start="wait")
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    assert alice.tunnel()["ike_suite"] in GROUPS
    interrupt(program)


def _ppk_file(alice: Side) -> str:
    inside = alice.file.with_name("ppk")
    file = alice.topology.world.path(inside)
    file.write_text(PPK + "\n")
    file.chmod(0o600)
    return str(inside)


@pytest.mark.interop("Authentication", "shared secret with a PPK", "begun by either side")
def test_a_ppk_goes_into_the_keys(topology: Topology) -> None:
    bob = Strongswan(topology, ppk=f"ppk_id = {PPK_ID}\n    ppk_required = yes")
    alice, _ = sides(topology)
    bob.start()
    more = {"ppk_file": _ppk_file(alice), "ppk_id": PPK_ID}
    configure(alice, bob, **more)
    program = alice.run()
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    before = agreed(alice, bob)
    asked(alice, "rekey-ike")
    agreed(alice, bob, before)
    interrupt(program)
    configure(alice, bob, **more, start="wait")
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)
    assert bob.log.count("using PPK") >= 2

    configure(alice, bob)
    assert "does not accept our proof" in ends(alice.run("--once"), 4)
    configure(alice, bob, **(more | {"ppk_id": "another"}))
    assert "the post-quantum key 'another'" in ends(alice.run("--once"), 4)
