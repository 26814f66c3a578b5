"""The end of a connection, whoever wants it and whenever (RFC 7296 §1.4.1, §2.21)."""

from __future__ import annotations

import pytest

from hushwire.explain.outcome import (
    ClosedByPeer,
    ClosedByUs,
    PeerMisbehaved,
)
from hushwire.ike.inputs import IkeDrop, Limits, Patience
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType, ProtocolId
from tests.sim.network import Network, assert_one_tunnel, pair, peer
from tests.sim.stages import Scene, Stage, state_names
from tests.wire import samples


def test_another_child_sa_for_nothing_of_ours_is_refused_and_the_tunnel_lives() -> None:
    scene = Scene(Stage.UP)
    scene.release()
    header = scene.inside.header(ExchangeType.CREATE_CHILD_SA, 0, initiator=False)
    wish = (samples.CHILD_SA, samples.NONCE, samples.TS_I, samples.TS_R)
    (answer,) = scene.tell(scene.alice, scene.inside.seal(header, wish))
    assert scene.inside.open(answer) == (Notify(NotifyType.TS_UNACCEPTABLE),)
    scene.network.run(5)
    assert_one_tunnel(scene.alice, scene.bob)


def test_delete_of_the_child_sa_alone_ends_the_tunnel_in_order() -> None:
    scene = Scene(Stage.UP)
    scene.release()
    (sa,) = scene.bob.sas.values()
    theirs, ours = (
        Delete(ProtocolId.ESP, (spi.to_bytes(4, "big"),))
        for spi in (sa.inbound_spi, sa.outbound_spi)
    )
    header = scene.inside.header(ExchangeType.INFORMATIONAL, 0, initiator=False)
    answer, goodbye = scene.tell(scene.alice, scene.inside.seal(header, (theirs,)))
    assert scene.inside.open(answer) == (ours,)
    assert scene.inside.open(goodbye) == (Delete(ProtocolId.IKE, ()),)
    assert not scene.alice.sas
    assert scene.alice.failures == [ClosedByPeer("bob")]
    scene.network.run(20)
    assert not scene.bob.sas
    assert state_names(scene.alice) == state_names(scene.bob) == []


def test_both_may_close_at_once() -> None:
    for seed in range(20):
        network = Network(seed)
        network.weather.delay = (0.001, 0.2)
        alice, bob = pair(network)
        network.connect(alice, "bob")
        network.run(2)
        network.close(alice)
        network.close(bob)
        network.run(5)
        for host in (alice, bob):
            assert not host.sas
            assert host.endpoint.idle
            assert len(host.saw(ClosedByUs)) == 1
            assert not host.failures


@pytest.mark.parametrize("who", ["alice", "bob"])
@pytest.mark.parametrize("stage", list(Stage)[: Stage.UP + 1])
def test_closing_in_any_phase_leaves_nothing_on_either_side(stage: Stage, who: str) -> None:
    scene = Scene(stage)
    scene.release()
    closing = scene.alice if who == "alice" else scene.bob
    scene.network.close(closing)
    scene.network.run(Limits().close_seconds)
    assert closing.endpoint.idle
    assert not closing.sas
    # The other one is told, or finds out by its liveness check.
    scene.network.run(20 + Patience().total)
    for host in (scene.alice, scene.bob):
        assert not host.sas
        assert state_names(host) in ([], ["Closed"])
    scene.network.run(60)
    assert state_names(scene.alice) == state_names(scene.bob) == []


def test_a_host_that_closes_begins_nothing_new() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    network.close(bob)
    alice = network.host("alice", peer("alice", "bob"))
    network.connect(alice, "bob")
    network.connect(bob, "alice")
    network.run(3)
    assert bob.endpoint.idle
    assert not bob.endpoint.busy("alice")
    assert bob.endpoint.drops[IkeDrop.REFUSED]


def test_a_close_waits_no_longer_than_it_says_for_a_peer_that_fell_silent() -> None:
    for stage in (Stage.PROVING, Stage.UP):
        scene = Scene(stage)  # nothing more is delivered
        scene.network.close(scene.alice)
        assert not scene.alice.endpoint.idle
        scene.network.run(Limits().close_seconds)
        assert scene.alice.endpoint.idle
        assert scene.alice.events[-1] == ClosedByUs("bob", acknowledged=False)


def test_a_delete_waits_for_its_turn_behind_a_liveness_check() -> None:
    """§2.3: with a window of 1 the peer takes no request before the one in flight."""
    scene = Scene(Stage.UP)
    scene.network.run(20.1)  # the liveness checks of both are lost
    assert len(scene.messages) == 6
    scene.release()
    scene.network.close(scene.alice)
    scene.network.run(1.5)
    assert scene.alice.endpoint.idle
    assert scene.alice.events[-1] == ClosedByUs("bob", acknowledged=True)
    assert scene.bob.failures == [ClosedByPeer("alice")]
    assert not scene.bob.sas


def test_a_silent_peer_while_closing_is_no_failure() -> None:
    network = Network()
    impatient = Patience(0.1, 1.0, 2)
    alice = network.host("alice", peer("alice", "bob"), patience=impatient)
    network.host("bob", peer("bob", "alice"))
    network.connect(alice, "bob")
    network.run(1)
    network.weather.loss = 1.0
    network.close(alice)
    network.run(5)
    assert alice.events[-1] == ClosedByUs("bob", acknowledged=False)
    assert not alice.failures


def test_an_ike_sa_that_the_peer_leaves_without_a_tunnel_is_closed() -> None:
    """Hushwire closes its own; another implementation may leave it standing."""
    scene = Scene(Stage.PROVING)
    header = scene.inside.header(ExchangeType.IKE_AUTH, 1, initiator=True)
    asked = scene.inside.open(scene.messages[2][0])
    childless = tuple(p for p in asked if isinstance(p, IdInitiator | Authentication))
    scene.tell(scene.bob, scene.inside.seal(header, childless))
    assert state_names(scene.bob) == ["Established"]
    scene.network.run(Limits().useless_seconds)
    assert state_names(scene.bob) == ["Closing"]
    assert [type(event) for event in scene.bob.failures] == [PeerMisbehaved]


def test_the_answer_to_an_unknown_critical_payload_inside_sk_names_it() -> None:
    scene = Scene(Stage.UP)
    header = scene.inside.header(ExchangeType.INFORMATIONAL, 0, initiator=False)
    data = scene.inside.seal_chain(header, 201, bytes([0, 0x80, 0, 4]))
    (answer,) = scene.tell(scene.alice, data)
    refusal = Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([201]))
    assert scene.inside.open(answer) == (refusal,)
    scene.release()
    scene.network.run(5)
    assert_one_tunnel(scene.alice, scene.bob)
