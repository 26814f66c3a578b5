"""Keys: charon's own log says that SK_* are right, and tshark reads with what we export."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Topology
from hushwire.lab.world import FILES
from tests.cli.command import hushwire
from tests.interop.strongswan import ROOT, Strongswan
from tests.interop.test_strongswan import agreed, asked, configure
from tests.interop.tshark import read
from tests.netns.tunnels import interrupt, ping, sides
from tests.netns.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)


def in_log(log: str) -> list[dict[str, str]]:
    """Each IKE SA's keys, in the order in which charon derived them.

    It prints `Sk_d secret => 48 bytes @ 0x…`, then sixteen octets a line.
    """
    found: list[dict[str, str]] = []
    name = ""
    for line in log.splitlines():
        if match := re.search(r"\bSk_(\w+) secret => \d+ bytes", line):
            name = f"SK_{match[1]}"
            if name == "SK_d":
                found.append({})
            found[-1][name] = ""
        elif name and (octets := re.search(r"\] +\d+:((?: [0-9A-F]{2}){1,16}) ", f"{line} ")):
            found[-1][name] += octets[1].replace(" ", "").lower()
        else:
            name = ""
    return found


@pytest.mark.interop("Keys as in charon's own log", "{role}", "{suite}")
@pytest.mark.parametrize(
    ("suite", "ike", "esp"),
    [
        ("GCM", "aes256gcm16-prfsha384-x25519", "aes256gcm16"),
        ("CBC-HMAC", "aes256-sha256-prfsha512-ecp384", "aes256-sha256"),
    ],
)
@pytest.mark.parametrize("role", ["initiator and rekeyed", "responder and rekeyed"])
def test_every_key_of_the_ike_sa_is_charons(
    topology: Topology, suite: str, ike: str, esp: str, role: str
) -> None:
    we_begin = role.startswith("initiator")
    bob = Strongswan(topology, ike, esp, ike_log="4")
    alice, _ = sides(topology)
    configure(alice, bob, start="up" if we_begin else "wait")
    bob.start()
    told = FILES / "alice" / "told"
    spy = [sys.executable, "-m", "tests.interop.spy", str(told), "run", str(alice.file)]
    here = f"PYTHONPATH={Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"
    program = topology.start("alice", ["env", here, *spy])
    program.wait_for_line("Listening")
    if not we_begin:
        bob.swanctl("--initiate", "--child", "net")
    program.wait_for_line("tunnel up")
    seen = agreed(alice, bob)
    asked(alice, "rekey-ike")
    seen = agreed(alice, bob, seen)
    bob.swanctl("--rekey", "--ike", "net")
    agreed(alice, bob, seen)
    interrupt(program)

    mine = [json.loads(line) for line in topology.world.path(told).read_text().splitlines()]
    theirs = in_log(bob.log)
    assert len(mine) == 3
    # What charon calls no key at all is empty with us: an AEAD needs none for integrity.
    assert [{k: v for k, v in one.items() if v} for one in mine] == theirs
    assert {"SK_d", "SK_ei", "SK_er", "SK_pi", "SK_pr"} <= set(theirs[0])


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.interop("hushwire keys, and tshark decrypts", "{suite}", "we begin")
@pytest.mark.parametrize(
    ("suite", "ike", "esp"),
    [
        ("GCM", "aes256gcm16-prfsha384-x25519", "aes128gcm16"),
        ("CBC-HMAC", "aes128-sha256-prfsha256-ecp256", "aes256-sha256"),
    ],
)
def test_tshark_reads_ike_auth_and_esp_with_what_keys_wrote(
    topology: Topology, suite: str, ike: str, esp: str
) -> None:
    bob = Strongswan(topology, ike, esp)
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()
    eve = Recorder(topology)
    program = alice.run()
    program.wait_for_line("tunnel up")
    seen = agreed(alice, bob)
    folder = FILES / "alice" / "config" / "wireshark"
    topology.world.path(folder.parent).mkdir(mode=0o700)

    def export() -> str:
        argv = ["hushwire", "keys", TUNNEL, "--wireshark", str(folder)]
        return topology.run("alice", argv).stdout

    said = export()
    assert "Warning: whoever reads" in said
    ping(topology, "alice", BOB.tunnel.ip)
    asked(alice, "rekey")
    seen = agreed(alice, bob, seen)
    asked(alice, "rekey-ike")
    agreed(alice, bob, seen)
    export()
    ping(topology, "alice", BOB.tunnel.ip, "-p", "ca")
    interrupt(program)
    assert eve.stop() == 0

    inside = topology.world.path(folder)
    assert inside.stat().st_mode & 0o777 == 0o700
    keys = {path.name: path.read_text() for path in inside.iterdir()}
    assert set(keys) == {"esp_sa", "ikev2_decryption_table"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in inside.iterdir())
    for secret in re.findall(r"[0-9a-f]{32,}", "".join(keys.values())):
        assert secret not in program.output
    packets = read(
        eve.file,
        "esp.enable_encryption_decode:TRUE",
        fields=("isakmp.exchangetype", "isakmp.auth.method", "isakmp.spi", "icmp.type",
                "data.data", "isakmp.delete.spi", "esp.spi"),
        config_home=inside.parent,
    )  # fmt: skip
    auths = [p for p in packets if p["isakmp.exchangetype"] == ["35"]]
    assert len(auths) == 2
    assert all(p["isakmp.auth.method"] == ["2"] for p in auths)
    created = [p for p in packets if p["isakmp.exchangetype"] == ["36"]]
    assert created
    assert all(p["isakmp.spi"] for p in created)  # the SPIs in their SA payloads
    types = [p["icmp.type"] for p in packets if p["esp.spi"]]
    assert types.count(["8"]) == types.count(["0"]) == 6
    assert_explains(eve.file, inside)
    assert sum("cacacaca" in "".join(p["data.data"]) for p in packets) == 6


def assert_explains(capture: Path, folder: Path) -> None:
    """What `hushwire explain FILE.pcap` makes of the same capture, without keys and with them."""
    without = hushwire("explain", str(capture)).stdout
    assert f"{BOB.underlay} chose aes" in without
    assert "messages are sealed" in without
    assert f"{BOB.underlay} is behind a NAT, seen from here, or asks for UDP" in without
    assert "bob.example" not in without
    told = hushwire("explain", str(capture), "--keys", str(folder)).stdout
    assert "IDi alice.example, IDr bob.example" in " ".join(told.replace("│", " ").split())
    assert f"{BOB.underlay} is bob.example, with a proof (AUTH)." in told
    assert not re.search(r"\b[1-9]\d* do not open", told)
    for source, target in ((ALICE, BOB), (BOB, ALICE)):
        assert f"3 x ICMP {source.tunnel.ip} > {target.tunnel.ip}" in told
    assert "sent IKE_SA_INIT" not in told  # nothing was lost


def test_what_wireshark_cannot_read_is_said_and_others_may_not_look(topology: Topology) -> None:
    bob = Strongswan(topology, "chacha20poly1305-prfsha256-x25519", "chacha20poly1305")
    alice, _ = sides(topology)
    configure(alice, bob)
    bob.start()
    program = alice.run()
    program.wait_for_line("tunnel up")
    folder = FILES / "alice" / "keys"
    argv = ["hushwire", "keys", TUNNEL, "--wireshark", str(folder)]
    said = topology.run("alice", argv).stdout
    assert "ESP is protected with chacha20poly1305, which Wireshark cannot decrypt" in said
    assert "IKE is protected with chacha20poly1305" in said
    topology.world.path(folder).chmod(0o755)
    refused = topology.run("alice", argv, check=False)
    assert refused.returncode == 2
    assert "chmod 700" in refused.stderr
    interrupt(program)
    wait_until(lambda: topology.run("alice", argv, check=False).returncode == 1, "the end")
