"""IKE SAs under AES-CBC with HMAC, agreed on with peers that know nothing newer."""

from __future__ import annotations

import pytest

from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE
from hushwire.ike.inputs import IkeDrop
from hushwire.sa.association import ChildSa
from tests.sim.network import Host, Network, assert_one_tunnel, esp, ike, pair, peer
from tests.sim.stages import session_of

EVERY = pytest.mark.parametrize("cipher", CBCS, ids=lambda cipher: cipher.name)
SK_HEAD_OCTETS = 28 + 4


def connected(network: Network, ike_text: str, esp_text: str) -> tuple[Host, Host]:
    alice, bob = pair(network, ike_proposals=ike(ike_text), esp_proposals=esp(esp_text))
    network.connect(alice, "bob")
    network.run(1)
    return alice, bob


def suites(child: ChildSa, host: Host) -> tuple[str, str]:
    (view,) = host.endpoint.sessions()
    return view.ike_suite, child.suite.name


@EVERY
@pytest.mark.parametrize("esn", ["", "-esn"])
def test_two_hosts_agree_and_stay_in_touch(cipher: Cipher, esn: str) -> None:
    network = Network()
    alice, bob = connected(network, f"{cipher.name}-ecp256", f"{cipher.name}{esn}")
    a, _ = assert_one_tunnel(alice, bob)
    prf = cipher.name.partition("-")[2]
    assert suites(a, alice) == (f"{cipher.name}-prf{prf}-ecp256", f"{cipher.name}{esn}")
    assert len({a.inbound_key, a.outbound_key}) == 2
    assert len(a.inbound_key) == cipher.keymat_octets
    network.run(100)  # liveness checks, the shortest messages there are
    assert len(network.sent) > 4
    assert not alice.failures
    assert not bob.failures
    network.close(bob)
    network.run(1)
    assert alice.endpoint.idle
    assert bob.endpoint.idle


@pytest.mark.parametrize(("older", "newer"), [("alice", "bob"), ("bob", "alice")])
@pytest.mark.parametrize("old", ["aes256-sha256", "aes128-sha256"])
def test_an_old_peer_needs_no_configuration(older: str, newer: str, old: str) -> None:
    network = Network()
    changes = {
        older: {"ike_proposals": ike(f"{old}-ecp256"), "esp_proposals": esp(old)},
        newer: {"ike_proposals": ike(*DEFAULT_IKE), "esp_proposals": esp(*DEFAULT_ESP)},
    }
    alice = network.host("alice", peer("alice", "bob", **changes["alice"]))
    bob = network.host("bob", peer("bob", "alice", **changes["bob"]))
    network.connect(alice, "bob")
    network.run(1)
    a, _ = assert_one_tunnel(alice, bob)
    assert suites(a, alice) == (f"{old}-prfsha256-ecp256", old)


def test_two_of_today_do_not_fall_back() -> None:
    network = Network()
    defaults = {"ike_proposals": ike(*DEFAULT_IKE), "esp_proposals": esp(*DEFAULT_ESP)}
    alice, bob = pair(network, **defaults)
    network.connect(alice, "bob")
    network.run(1)
    a, _ = assert_one_tunnel(alice, bob)
    best = "aes256gcm16-prfsha384-x25519-ke1_mlkem768"
    assert suites(a, alice) == (best, "aes256gcm16-esn")


@EVERY
def test_every_changed_octet_is_refused_and_changes_nothing(cipher: Cipher) -> None:
    network = Network()
    alice, bob = pair(
        network,
        ike_proposals=ike(f"{cipher.name}-x25519"),
        esp_proposals=esp(cipher.name),
    )
    held: list[bytes] = []

    def hold(host: Host, data: bytes, _path: object) -> bytes | None:
        if host is alice and len(network.sent) == 3:
            held.append(data)
            return None
        return data

    network.on_send = hold
    network.connect(alice, "bob")
    network.run(0.5)
    (auth,) = held
    path = session_of(bob).link.path
    for at in range(len(auth)):
        for change in (1, 0x80, 0xFF):
            spoiled = bytearray(auth)
            spoiled[at] ^= change
            before = bob.endpoint.drops[IkeDrop.BAD_ICV]
            network.deliver(bob, bytes(spoiled), path)
            assert not bob.sas
            # One in the headers may make it another message, or none at all.
            if at >= SK_HEAD_OCTETS:
                assert bob.endpoint.drops[IkeDrop.BAD_ICV] == before + 1, at
    network.deliver(bob, auth, path)
    network.run(1)
    assert_one_tunnel(alice, bob)
