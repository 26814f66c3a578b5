"""strongSwan 5.9 judges: tunnels, and new keys under traffic, begun by either side."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hushwire.lab.topology import ALICE, BOB, TUNNEL, Topology
from hushwire.lab.world import FILES
from tests.interop.strongswan import PSK, ROOT, Strongswan
from tests.netns.tunnels import Side, ends, interrupt, ping, sides
from tests.netns.waiting import wait_until
from tests.netns.watched import kill

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)

# IKE and ESP as strongSwan writes them; in one of them rekeying brings a new key exchange.
SUITES = {
    "GCM": ("aes256gcm16-prfsha384-x25519", "aes256gcm16"),
    "ChaCha20-Poly1305 with PFS": ("chacha20poly1305-prfsha256-ecp256", "chacha20poly1305-x25519"),
    "CBC-HMAC": ("aes256-sha256-ecp384", "aes256-sha256"),
}
AUTH = {"shared secret": "psk", "raw keys": "pubkey"}

Spis = tuple[str, ...]


def configure(alice: Side, peer: Strongswan, **more: object) -> None:
    """alice's file, for strongSwan on bob."""
    settings: dict[str, object] = {
        "networks": [f"{BOB.tunnel.ip}/32"],
        "ike": [peer.ike],
        "esp": [peer.esp],
        "local_id": "alice.example",
        "id": "bob.example",
    }
    if peer.auth == "psk":
        settings |= {"psk_file": str(alice.write_psk(PSK)), "public_key": None}
    alice.write(**(settings | more))  # type: ignore[arg-type]


@contextmanager
def pings(topology: Topology) -> Iterator[None]:
    """All the time, both ways; every one has to be answered."""
    running = [
        topology.start(host, ["ping", "-i", "0.01", *source, str(to.tunnel.ip)])
        for host, to, source in (
            ("alice", BOB, ()),
            ("bob", ALICE, ("-I", str(BOB.tunnel.ip))),
        )
    ]
    yield
    for program in running:
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+)", interrupt(program))}
        assert answered == set(range(1, max(answered) + 1))


def agreed(alice: Side, bob: Strongswan, before: Spis | None = None) -> Spis:
    """The SPIs as alice sees them, when both have the same SAs and other ones than before."""

    def same() -> Spis | None:
        tunnel = asked(alice, "status")["peers"][0]
        mine = tuple(tunnel.get(key, "") for key in ("ike_spi", "spi_in", "spi_out"))
        theirs = [(ike, out, into) for ike, into, out in bob.spis()]
        return mine if mine != before and theirs == [mine] else None

    found = wait_until(same, "agreement about the SAs")
    assert found is not None
    return found


def rekeyed_by_both(alice: Side, bob: Strongswan) -> None:
    """New keys for CHILD_SA and IKE SA, as each of the two asks for; no packet is lost by it."""
    seen = [agreed(alice, bob)]
    with pings(alice.topology):
        for rekey in (
            lambda: asked(alice, "rekey"),
            lambda: asked(alice, "rekey-ike"),
            lambda: bob.swanctl("--rekey", "--child", "net"),
            lambda: bob.swanctl("--rekey", "--ike", "net"),
            lambda: asked(alice, "rekey"),
        ):
            rekey()
            seen.append(agreed(alice, bob, seen[-1]))
    child, ike = [False, True, True], [True, False, False]
    changed = [[a != b for a, b in zip(*pair, strict=True)] for pair in pairwise(seen)]
    assert changed == [child, ike, child, ike, child]


def asked(alice: Side, verb: str) -> dict[str, Any]:
    """What alice's hushwire answers; as `hushwire status --json`, without a process of its own."""
    (path,) = alice.topology.world.path(Path("/run/hushwire")).glob(f"*/{TUNNEL}.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(json.dumps({"verb": verb}).encode() + b"\n")
        with sock.makefile("rb") as answer:
            return dict(json.loads(answer.readline()))


@pytest.mark.interop("Tunnels, begun and rekeyed by either side", "{auth}", "{suite}")
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("auth", AUTH)
def test_tunnels_and_new_keys_begun_by_either_side(
    topology: Topology, suite: str, auth: str
) -> None:
    bob = Strongswan(topology, *SUITES[suite], AUTH[auth])
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()

    program = alice.run()
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    rekeyed_by_both(alice, bob)
    interrupt(program)
    assert "received DELETE for IKE_SA net" in bob.log

    # strongSwan begins, and ends.
    configure(alice, bob, start="wait")
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    bob.swanctl("--terminate", "--ike", "net")
    program.wait_for_line("the peer closed the tunnel")
    assert alice.tunnel()["state"] == "waiting"
    interrupt(program)


@pytest.mark.interop("Life", "liveness checks", "strongSwan asks")
def test_strongswan_asks_whether_we_live_and_notices_our_death(topology: Topology) -> None:
    bob = Strongswan(topology, dpd="1s")
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    wait_until(lambda: bob.log.count("sending DPD request") >= 2, "questions")
    agreed(alice, bob)
    kill(program)
    wait_until(lambda: "giving up after" in bob.log, "notice of alice's death")


@pytest.mark.interop("Life", "liveness checks", "we ask")
@pytest.mark.interop("Life", "a CHILD_SA deleted, and made again", "strongSwan deletes")
def test_we_ask_and_a_tunnel_that_is_deleted_is_made_again(topology: Topology) -> None:
    bob = Strongswan(topology)
    alice, _ = sides(topology)
    configure(alice, bob, dpd="1s")
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    wait_until(lambda: bob.log.count("parsed INFORMATIONAL request") >= 2, "questions")
    before = agreed(alice, bob)
    bob.swanctl("--terminate", "--child", "net")
    program.wait_for_line("the peer closed the tunnel")
    program.wait_for_line("trying again")
    assert agreed(alice, bob, before)[0] != before[0]
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)


@pytest.mark.interop("Mistakes, explained", "public key", "we begin")
def test_a_key_that_is_not_the_configured_one_is_said(topology: Topology) -> None:
    bob = Strongswan(topology, auth="pubkey")
    alice, _ = sides(topology)
    configure(alice, bob)
    key = FILES / "bob" / "bob.key"
    topology.run("bob", ["openssl", "genpkey", "-algorithm", "ed25519", "-out", key])
    bob.start()
    said = ends(alice.run("--once"), 4)
    assert "its signature is not by the configured public key" in said


@pytest.mark.interop("Mistakes, explained", "group for rekeying", "we begin")
def test_a_refused_rekeying_says_why_and_the_tunnel_goes_on(topology: Topology) -> None:
    """strongSwan wants a group for rekeying that we do not allow: IKE_AUTH cannot show it."""
    bob = Strongswan(topology, esp="aes256gcm16-ecp521")
    alice, _ = sides(topology)
    configure(alice, bob, esp=["aes256gcm16"])
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    before = agreed(alice, bob)
    asked(alice, "rekey")
    said = program.wait_for_line("no new keys for the CHILD_SA")
    assert "NO_PROPOSAL_CHOSEN" in said
    # All keys are new all the same, by a new IKE SA.
    assert agreed(alice, bob, before)[0] != before[0]
    ping(topology, "alice", BOB.tunnel.ip)
    interrupt(program)
