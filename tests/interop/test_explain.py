"""What is wrong between us and strongSwan, explained by one command."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from hushwire.lab.topology import TUNNEL, Topology
from tests.interop.strongswan import ROOT, Strongswan
from tests.interop.test_strongswan import configure
from tests.netns.tunnels import Side, interrupt, sides

pytestmark = pytest.mark.skipif(
    not (ROOT / ".unpacked").exists(), reason="strongSwan is not unpacked: run tools/strongswan"
)


def explained(alice: Side, *options: str) -> str:
    return alice.topology.run("alice", ["hushwire", "explain", *options]).stdout


# What is wrong on strongSwan's side; what the outcome is; what the text has to hold.
WRONG: dict[str, tuple[dict[str, str], str, Sequence[str]]] = {
    "cipher of IKE": (
        {"ike": "aes128gcm16-prfsha384-x25519"},
        "NoProposal",
        ("N(NO_PROPOSAL_CHOSEN)", 'ike = ["aes128gcm16-prfsha384-x25519"]',
         "proposals = aes256gcm16-prfsha384-x25519"),
    ),
    "cipher of ESP": (
        {"esp": "aes128gcm16"},
        "NoProposal",
        ("N(NO_PROPOSAL_CHOSEN)", "esp_proposals = aes256gcm16",
         'esp = ["aes128gcm16"]'),
    ),
    "shared secret": (
        {"psk": "something else that nobody guesses"},
        "RefusedUs",
        ("we said: IDi alice.example, IDr bob.example, AUTH shared secret",
         "bob said: N(AUTHENTICATION_FAILED)", "remote { id = alice.example }"),
    ),
    "networks": (
        {"local": "10.0.9.9/32"},
        "SelectorsUnacceptable",
        ("N(TS_UNACCEPTABLE)", "local_ts = 10.0.1.2/32", 'networks = ["10.0.1.1/32"]'),
    ),
}  # fmt: skip


@pytest.mark.interop("Mistakes, explained", "{mistake}", "we begin")
@pytest.mark.parametrize("mistake", WRONG)
def test_when_we_begin(topology: Topology, mistake: str) -> None:
    changes, outcome, texts = WRONG[mistake]
    bob = Strongswan(topology, **changes)
    alice, _ = sides(topology)
    configure(alice, Strongswan(topology))
    bob.start()
    said = alice.run("--once").finish()
    assert f"hushwire explain {TUNNEL}" in said
    text = explained(alice, TUNNEL)
    print(text)
    for expected in ("IKE_SA_INIT request 0", *texts):
        assert expected in text
    (attempt,) = json.loads(explained(alice, TUNNEL, "--json"))
    assert attempt["outcome"]["event"] == outcome
    assert attempt["role"] == "initiator"


@pytest.mark.interop("Mistakes, explained", "{mistake}", "strongSwan begins")
@pytest.mark.parametrize("mistake", WRONG)
def test_when_strongswan_begins(topology: Topology, mistake: str) -> None:
    changes, _, _ = WRONG[mistake]
    bob = Strongswan(topology, **changes)
    alice, _ = sides(topology)
    configure(alice, Strongswan(topology), start="wait")
    bob.start()
    program = alice.run()
    program.wait_for_line("Listening")
    bob.swanctl("--initiate", "--child", "net", check=False)
    text = explained(alice, TUNNEL)
    print(text)
    interrupt(program)
    assert 0
