"""Tunnel or transport mode: agreed on by both, or refused with a reason on each side."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from hushwire.explain.outcome import (
    Cause,
    ClosedByPeer,
    Failure,
    ModeConflict,
    NoProposal,
    PeerMisbehaved,
    SelectorsUnacceptable,
    TunnelUp,
)
from hushwire.explain.sentences import tell
from hushwire.ike.tasks import child
from hushwire.sa.association import Address, Encap, Encapsulation, Mode, Path
from hushwire.sa.selectors import from_network
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType
from tests.sim.network import ADDRESSES, Host, Network, assert_one_tunnel, esp, peer

TRANSPORT: dict[str, object] = {"mode": Mode.TRANSPORT}


def host_selector(address: object) -> tuple[object, ...]:
    return (from_network(ip_network(str(address))),)


def talk(
    for_alice: dict[str, object], for_bob: dict[str, object], seconds: float = 5
) -> tuple[Host, Host]:
    """Alice connects to Bob, who only answers."""
    network = Network()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host("bob", peer("bob", "alice", **for_bob))
    network.connect(alice, "bob")
    network.run(seconds)
    return alice, bob


@pytest.mark.parametrize("encap", [Encap.AUTO, Encap.ESP, Encap.UDP])
@pytest.mark.parametrize("real", [True, False])
def test_both_want_transport_mode_and_get_it(encap: Encap, real: bool) -> None:
    # With UDP forced, each side takes the other for one behind a NAT. Whether the selectors are
    # those of the IKE SA or not, they are what was configured, and no checksum needs mending.
    ends: list[dict[str, object]] = []
    for own, other in (("alice", "bob"), ("bob", "alice")):
        addresses: dict[str, object] = {}
        if real:
            addresses["local_selectors"] = host_selector(ADDRESSES[own])
            addresses["remote_selectors"] = host_selector(ADDRESSES[other])
        ends.append({**TRANSPORT, "encap": encap, **addresses})
    alice, bob = talk(ends[0], ends[1])
    a, b = assert_one_tunnel(alice, bob)
    assert a.mode is b.mode is Mode.TRANSPORT
    assert a.encapsulation is (Encapsulation.UDP if encap is Encap.UDP else Encapsulation.ESP)
    assert not a.rewritten
    assert not b.rewritten
    for host in (alice, bob):
        (up,) = host.saw(TunnelUp)
        assert isinstance(up, TunnelUp)
        assert up.mode == "transport"
        assert "tunnel up in transport mode, " in tell(up)


def test_tunnel_mode_is_what_nobody_has_to_ask_for() -> None:
    alice, bob = talk({}, {})
    a, b = assert_one_tunnel(alice, bob)
    assert a.mode is b.mode is Mode.TUNNEL
    assert "tunnel up, 10.0.1.1/32 <-> " in tell(alice.saw(TunnelUp)[0])


def test_a_responder_in_tunnel_mode_does_not_confirm_and_the_initiator_deletes() -> None:
    alice, bob = talk(TRANSPORT, {})
    assert alice.saw(Failure) == [ModeConflict("bob", ours="transport", theirs="tunnel")]
    assert not alice.saw(TunnelUp)
    assert [type(event) for event in bob.saw(Failure)] == [ClosedByPeer]
    assert_nothing_left(alice, bob)
    (failure,) = alice.saw(ModeConflict)
    assert isinstance(failure, ModeConflict)
    assert failure.cause is Cause.NO_PROPOSAL
    assert tell(failure) == (
        'bob: the peer will not do transport mode: set mode = "transport" there, '
        'or mode = "tunnel" here.'
    )


def test_a_responder_in_transport_mode_refuses_tunnel_mode_and_both_say_why() -> None:
    alice, bob = talk({}, TRANSPORT, seconds=10)
    assert alice.saw(Failure) == [ModeConflict("bob", ours="tunnel", theirs="transport")]
    assert bob.saw(ModeConflict) == [ModeConflict("alice", ours="transport", theirs="tunnel")]
    assert not bob.saw(TunnelUp)
    assert_nothing_left(alice, bob)
    assert tell(alice.saw(ModeConflict)[0]) == (
        'bob: the peer does transport mode only: set mode = "tunnel" there, '
        'or mode = "transport" here.'
    )


def assert_nothing_left(alice: Host, bob: Host) -> None:
    for host in (alice, bob):
        assert not host.sas
        assert not host.endpoint.sessions()


def test_other_hosts_than_those_configured_are_refused() -> None:
    alice, bob = talk(
        TRANSPORT, {**TRANSPORT, "remote_selectors": host_selector("10.0.1.77")}, seconds=10
    )
    for host in (alice, bob):
        assert len(host.saw(SelectorsUnacceptable)) == 1
    # Some responders refuse the mode in this way: who asked for it is told of both causes.
    hint = "the peer will not do transport mode"
    assert hint in tell(alice.saw(SelectorsUnacceptable)[0])
    assert hint not in tell(bob.saw(SelectorsUnacceptable)[0])
    assert_nothing_left(alice, bob)


def test_other_proposals_are_refused_and_the_mode_is_named_as_the_other_cause() -> None:
    alice, bob = talk(TRANSPORT, {**TRANSPORT, "esp_proposals": esp("chacha20poly1305")})
    hint = "the peer will not do transport mode"
    assert hint in tell(alice.saw(NoProposal)[0])
    assert hint not in tell(bob.saw(NoProposal)[0])


def test_a_peer_that_confirms_what_was_not_asked_for_is_told_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = child.answer

    def wrong(*arguments: object) -> object:
        payloads, made = right(*arguments)  # type: ignore[arg-type]
        return (Notify(NotifyType.USE_TRANSPORT_MODE), *payloads), made

    monkeypatch.setattr(child, "answer", wrong)
    alice, bob = talk({}, {})
    (failure,) = alice.saw(Failure)
    assert isinstance(failure, PeerMisbehaved)
    assert "transport mode, which we did not offer" in failure.detail
    assert_nothing_left(alice, bob)


ALICE_INSIDE, ALICE_SEEN = ADDRESSES["alice"], ip_address("198.51.100.1")
BOB_INSIDE, BOB_SEEN = ADDRESSES["bob"], ip_address("198.51.100.2")


class Nats(Network):
    """Both hosts are behind a NAT each, which shows them under another address (§2.23.1)."""

    def __init__(self, shown: dict[object, object]) -> None:
        super().__init__()
        self.shown = shown
        self.real = {seen: real for real, seen in shown.items()}

    def _arrive(self, data: bytes, path: Path) -> None:
        real = self.real.get(path.remote.ip, path.remote.ip)
        seen = self.shown.get(path.local.ip, path.local.ip)
        target = self.hosts.get(real)
        if target is not None:
            here = Address(real, path.remote.port)  # type: ignore[arg-type]
            there = Address(seen, path.local.port)  # type: ignore[arg-type]
            self.deliver(target, data, Path(here, there))


@pytest.mark.parametrize("behind", ["alice", "bob", "both"])
def test_across_a_nat_each_side_has_the_addresses_that_it_sees(behind: str) -> None:
    shown: dict[object, object] = {}
    if behind != "bob":
        shown[ALICE_INSIDE] = ALICE_SEEN
    if behind != "alice":
        shown[BOB_INSIDE] = BOB_SEEN
    alice_seen, bob_seen = shown.get(ALICE_INSIDE, ALICE_INSIDE), shown.get(BOB_INSIDE, BOB_INSIDE)
    network = Nats(shown)
    of_alice = peer(
        "alice", "bob", **TRANSPORT, address=bob_seen,
        local_selectors=host_selector(ALICE_INSIDE), remote_selectors=host_selector(bob_seen),
    )  # fmt: skip
    of_bob = peer(
        "bob", "alice", **TRANSPORT, address=alice_seen,
        local_selectors=host_selector(BOB_INSIDE), remote_selectors=host_selector(alice_seen),
    )  # fmt: skip
    alice, bob = network.host("alice", of_alice), network.host("bob", of_bob)
    path = Path(Address(ALICE_INSIDE, 500), Address(bob_seen, 500))  # type: ignore[arg-type]
    network.at(network.now, lambda: network._carry_out(
        alice, alice.endpoint.connect("bob", path, network.now)
    ))  # fmt: skip
    network.run(5)
    (a,), (b,) = alice.sas.values(), bob.sas.values()
    assert a.encapsulation is b.encapsulation is Encapsulation.UDP
    assert a.hosts() == (ALICE_INSIDE, bob_seen)
    assert b.hosts() == (BOB_INSIDE, alice_seen)
    assert a.rewritten
    assert b.rewritten
