"""What is wrong between us and strongSwan, explained by one command."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushwire.lab.topology import BOB, TUNNEL, Topology
from tests.interop.strongswan import ROOT, Strongswan
from tests.interop.test_strongswan import configure
from tests.netns.tunnels import Side, ends, interrupt, sides
from tests.netns.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)


def explained(alice: Side, *options: str) -> str:
    return alice.topology.run("alice", ["hushwire", "explain", *options]).stdout


def assert_says(text: str, *parts: str) -> None:
    """However its lines are broken."""
    flat = " ".join(text.split())
    for part in parts:
        assert " ".join(part.split()) in flat, text


def assert_readme_shows(text: str) -> None:
    """The story of a mistyped cipher, as the program tells it."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = re.search(r"```\n(No IKE proposal in common\..*?)```", readme, re.DOTALL)
    assert shown is not None
    assert text.endswith(shown[1])


@dataclass(frozen=True)
class Mistake:
    """What is wrong on strongSwan's side, and what is said of it when we or it begin.

    `ends`: the exit code of `run --once`, and what it says.
    """

    there: dict[str, Any]
    outcome: str
    ends: tuple[int, str]
    we_begin: Sequence[str]
    it_begins: Sequence[str]


MISTAKES = {
    "cipher of IKE": Mistake(
        {"ike": "aes128gcm16-prfsha384-x25519"},
        "NoProposal",
        (5, "no IKE proposal in common"),
        (
            "N(NO_PROPOSAL_CHOSEN)",
            "Shown all that Hushwire can do, it chose",
            "encryption     aes256gcm16   aes128gcm16   ◄ differs",
            'ike = ["aes128gcm16-prfsha384-x25519"]',
            "proposals = aes256gcm16-prfsha384-x25519",
        ),
        (
            "encryption     aes256gcm16   aes128gcm16   ◄ differs",
            'ike = ["aes128gcm16-prfsha384-x25519"]',
            "proposals = aes256gcm16-prfsha384-x25519",
        ),
    ),
    "cipher of ESP": Mistake(
        {"esp": "aes128gcm16"},
        "NoProposal",
        (5, "no ESP proposal in common"),
        (
            "N(NO_PROPOSAL_CHOSEN)",
            "esp_proposals = aes256gcm16",
            'esp = ["chacha20poly1305"]   (or aes128gcm16)',
        ),
        (
            "encryption   aes256gcm16   aes128gcm16   ◄ differs",
            'esp = ["aes128gcm16"]',
            "esp_proposals = aes256gcm16",
        ),
    ),
    "shared secret": Mistake(
        {"psk": "something else that nobody guesses"},
        "RefusedUs",
        (4, "alice.example"),
        (
            "we said: IDi alice.example, IDr bob.example, AUTH shared secret",
            "bob said: N(AUTHENTICATION_FAILED)",
            "remote { id = alice.example }",
        ),
        (
            "bob said: IDi bob.example, IDr alice.example, AUTH shared secret",
            "its shared secret is not ours",
            "The check that failed: the peer's AUTH",
        ),
    ),
    "networks": Mistake(
        {"local": "10.0.9.9/32"},
        "SelectorsUnacceptable",
        (1, "10.0.1.2/32"),
        ("N(TS_UNACCEPTABLE)", "local_ts = 10.0.1.2/32", 'networks = ["10.0.1.1/32",'),
        (
            "10.0.9.9/32    ◄ nothing",
            'networks = ["10.0.9.9/32"]',
            "local_ts = 10.0.1.2/32",
        ),
    ),
}


@pytest.mark.interop("Mistakes, explained", "{mistake}", "we begin")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_when_we_begin(topology: Topology, mistake: str) -> None:
    wrong = MISTAKES[mistake]
    bob = Strongswan(topology, **wrong.there)
    alice, _ = sides(topology)
    configure(alice, Strongswan(topology))
    bob.start()
    code, sentence = wrong.ends
    said = ends(alice.run("--once"), code)
    assert sentence in said
    assert f"hushwire explain {TUNNEL}" in said
    text = explained(alice, TUNNEL)
    assert f"{TUNNEL} does not run: it ended at" in text
    assert_says(text, "IKE_SA_INIT request 0", *wrong.we_begin)
    if mistake == "cipher of IKE":
        assert_readme_shows(text.replace(str(alice.file), f"/etc/hushwire/{TUNNEL}.toml"))
    (attempt,) = json.loads(explained(alice, TUNNEL, "--json"))
    assert attempt["outcome"]["event"] == wrong.outcome
    assert attempt["role"] == "initiator"


@pytest.mark.interop("Mistakes, explained", "{mistake}", "strongSwan begins")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_when_strongswan_begins(topology: Topology, mistake: str) -> None:
    wrong = MISTAKES[mistake]
    bob = Strongswan(topology, **wrong.there)
    alice, _ = sides(topology)
    configure(alice, Strongswan(topology), start="wait")
    bob.start()
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net", check=False)
    text = explained(alice, "bob")
    assert_says(text, "IKE_SA_INIT request 0", "begun by the peer", *wrong.it_begins)
    assert "bob: no" in explained(alice) or "bob: the" in explained(alice)
    interrupt(program)
    # It has ended as it was asked to, and nothing is left of it.
    gone = topology.run("alice", ["hushwire", "explain", TUNNEL], check=False)
    assert "no hushwire runs it" in gone.stderr


@pytest.mark.interop("Mistakes, explained", "identity", "we begin")
def test_another_identity_than_the_expected_one(topology: Topology) -> None:
    bob = Strongswan(topology)
    alice, _ = sides(topology)
    configure(alice, bob, id="carol.example")
    bob.start()
    alice.run("--once").finish()
    text = explained(alice, TUNNEL)
    # strongSwan looks for somebody who is carol, and finds nobody.
    assert "we said: IDi alice.example, IDr carol.example" in text
    assert "bob said: N(AUTHENTICATION_FAILED)" in text


@pytest.mark.interop("Mistakes, explained", "no daemon there", "we begin")
def test_silence_of_a_host_without_a_daemon(topology: Topology) -> None:
    alice, _ = sides(topology)
    configure(alice, Strongswan(topology), encap="udp")
    program = alice.run()
    program.wait_for_line("knocking")
    text = wait_until(lambda: _with(explained(alice, TUNNEL), "the same again"), "a repetition")
    assert f"ICMP from {BOB.underlay}: port unreachable (UDP port 500)" in text
    assert "Nothing has come of it yet" in text
    interrupt(program)


def _with(text: str, part: str) -> str:
    return text if part in text else ""
