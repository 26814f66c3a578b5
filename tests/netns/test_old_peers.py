"""A tunnel under AES-CBC with HMAC, as with an old peer: whole, and eve sees nothing of it."""

from __future__ import annotations

import json
import sys

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, holding, read, tally
from hushwire.lab.topology import BOB, Topology
from tests.netns.tunnels import both_up, ping, sides

_MARKER = b"hush" * 4
_TALK = [sys.executable, "-m", "hushwire.lab.talk"]
_HOUSEKEEPING = {Kind.ARP, Kind.NEIGHBOUR, Kind.IKE, Kind.KEEPALIVE}


@pytest.mark.parametrize(
    ("ike", "esp", "encap"),
    [
        ("aes256-sha256-ecp256", "aes256-sha256", "esp"),
        ("aes256-sha256-ecp256", "aes256-sha256", "udp"),
        ("aes128-sha384-prfsha256-x25519", "aes128-sha384-esn", "esp"),
        ("aes256-sha512-ecp384", "aes256-sha512-esn", "udp"),
    ],
)
def test_ping_and_tcp_cross_the_wire_as_esp(
    topology: Topology, ike: str, esp: str, encap: str
) -> None:
    alice, bob = sides(topology)
    alice.write(ike=[ike], esp=[esp], encap=encap)
    bob.write(ike=[ike], esp=[esp], encap=encap, start="wait")
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    status = alice.tunnel()
    assert status["ike_suite"].startswith("-".join(ike.split("-")[:2]))
    assert status["esp_suite"] == esp
    assert status["encapsulation"] == encap

    mtu = int(alice.status()["mtu"])
    for target, headers in ((BOB.tunnel.ip, 28), (BOB.tunnel6.ip, 48)):
        ping(topology, "alice", target, "-p", _MARKER.hex())
        # The largest packet that the device takes, whole: nothing on the way is cut.
        ping(topology, "alice", target, "-M", "do", "-s", str(mtu - headers), "-p", _MARKER.hex())
        _send_ten_megabytes(topology, str(target))

    assert recorder.stop() == 0
    frames = read(recorder.file)
    counts = {kind for kind, count in tally(frames).items() if count}
    assert Kind.ESP in counts
    assert counts <= _HOUSEKEEPING | {Kind.ESP}
    assert not holding(frames, _MARKER)
    for side in (alice, bob):
        assert side.drops("bad_icv") == side.drops("bad_padding") == side.drops("oversized") == 0


def test_one_who_knows_nothing_newer_needs_no_configuration_of_ours(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(start="wait")
    bob.write(ike=["aes128-sha256-ecp256"], esp=["aes128-sha256"])
    both_up(bob, alice, at_once=False)
    ping(topology, "alice", BOB.tunnel.ip)
    status = alice.tunnel()
    assert status["ike_suite"] == "aes128-sha256-prfsha256-ecp256"
    assert status["esp_suite"] == "aes128-sha256"


def _send_ten_megabytes(topology: Topology, target: str) -> None:
    taker = topology.start("bob", [*_TALK, "take", target, "7001"])
    taker.wait_for_line("ready")
    given = topology.run("alice", [*_TALK, "give", target, "7001", "10000000"]).stdout
    taken = taker.finish().splitlines()[-1]
    for key in ("octets", "sha256"):
        assert json.loads(given)[key] == json.loads(taken)[key]
