"""Holes that other implementations of IKE have had, tried on ours; THREATS.md lists them all."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest

from hushwire.explain.outcome import PeerMisbehaved, PeerReplaced
from hushwire.ike.credentials import Psk
from hushwire.ike.states import Established
from hushwire.sa.association import Address, Path
from hushwire.wire.ike.message import (
    Message,
    Payload,
    build_chain,
    build_plain,
    first,
)
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.ike.payloads.ts import TrafficSelector, TsInitiator, TsResponder
from hushwire.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from tests.sim.network import IKE, Host, Network, assert_one_tunnel, ike, pair, peer
from tests.sim.stages import Scene, Stage, session_of, state_names

AUTH, CREATE, INFO = (
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)
EAP_SUCCESS = bytes([3, 7, 0, 4])  # RFC 3748 §4.2
EVERYTHING = (TrafficSelector(IPv4Address(0), IPv4Address(2**32 - 1)),)
ROLES = ["alice", "bob"]


def proving(name: str) -> tuple[Scene, Host, tuple[Payload, ...], bool]:
    """A host that waits for the other's proof, what the other would say, and: is it a response?"""
    scene = Scene(Stage.PROVING)
    whole = Scene(Stage.UP)  # the same connection, a step further
    if name == "alice":
        return scene, scene.alice, whole.inside.open(whole.messages[3][0]), True
    return scene, scene.bob, whole.inside.open(whole.messages[2][0]), False


def say(scene: Scene, host: Host, response: bool, first_type: int, chain: bytes) -> None:
    """An IKE_AUTH message under the true keys."""
    header = scene.inside.header(AUTH, 1, initiator=host is scene.bob, response=response)
    scene.tell(host, scene.inside.seal_chain(header, first_type, chain))


def assert_nothing_is_up(scene: Scene) -> None:
    for host in (scene.alice, scene.bob):
        assert not host.sas
        assert not host.endpoint.sessions()


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("with_auth", ["none", "empty"])
def test_an_early_eap_success_proves_nothing(name: str, with_auth: str) -> None:
    """A peer that says that somebody else has authenticated it, before anybody has."""
    scene, host, said, response = proving(name)
    others: list[Payload] = [p for p in said if not isinstance(p, Authentication)]
    if with_auth == "empty":
        others.append(Authentication(0, b""))
    number, chain = build_chain(others)
    eap = bytes([number, 0]) + (4 + len(EAP_SUCCESS)).to_bytes(2, "big") + EAP_SUCCESS
    say(scene, host, response, PayloadType.EAP, eap + chain)
    assert state_names(host) in (["Closed"], ["Closing"])
    assert_nothing_is_up(scene)


@pytest.mark.parametrize("name", ROLES)
def test_an_auth_of_any_other_length_or_method_proves_nothing(name: str) -> None:
    _, _, said, _ = proving(name)
    auth = first(said, Authentication)
    assert auth is not None
    wrong = [replace(auth, data=auth.data[:length]) for length in range(0, len(auth.data), 7)]
    wrong += [replace(auth, data=auth.data + b"\0"), replace(auth, data=bytes(len(auth.data)))]
    # RFC 7619's NULL authentication is method 13, with a MIC that anybody can make.
    wrong += [replace(auth, method=method) for method in (0, 1, 3, 9, 12, 13, 14, 255)]
    for other in wrong:
        scene, host, _, response = proving(name)
        changed = [other if p is auth else p for p in said]
        say(scene, host, response, *build_chain(changed))
        assert state_names(host) in (["Closed"], ["Closing"])
        assert_nothing_is_up(scene)


def test_initial_contact_of_somebody_unproved_ends_nothing() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    before = assert_one_tunnel(alice, bob)
    mallory = network.host("alice", peer("alice", "bob", credential=Psk(b"guessed")))
    network.connect(mallory, "bob")
    network.run(1)
    assert mallory.failures
    assert (bob.endpoint.sessions()[0].child,) == (before[1],)
    assert not bob.saw(PeerReplaced)


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize(
    "said",
    [
        Delete(ProtocolId.IKE, ()),
        Notify(NotifyType.INVALID_IKE_SPI),
        Notify(NotifyType.INVALID_SPI),
        Notify(NotifyType.AUTHENTICATION_FAILED),
        Notify(NotifyType.INITIAL_CONTACT),
    ],
    ids=lambda payload: str(getattr(payload, "type", "delete")),
)
def test_nobody_without_the_keys_ends_a_tunnel(name: str, said: Payload) -> None:
    scene = Scene(Stage.UP)
    host = scene.alice if name == "alice" else scene.bob
    for exchange in (AUTH, INFO, ExchangeType.IKE_SA_INIT):
        for response in (False, True):
            for message_id in range(4):
                header = scene.inside.header(
                    exchange, message_id, initiator=host is scene.bob, response=response
                )
                scene.tell(host, build_plain(header, (said,)))
    assert_one_tunnel(scene.alice, scene.bob)


def test_the_proposal_that_was_changed_on_the_way_is_found_out_by_auth() -> None:
    """A downgrade: somebody between strikes out what he cannot break."""
    network = Network()
    alice, bob = pair(network, ike_proposals=ike(*IKE, "aes128gcm16-prfsha256-x25519"))

    def strike_out(host: Host, data: bytes, _path: object) -> bytes:
        message = Message.parse(data)
        if host is not alice or message.header.exchange != ExchangeType.IKE_SA_INIT:
            return data
        payloads = tuple(
            SecurityAssociation(p.proposals[1:]) if isinstance(p, SecurityAssociation) else p
            for p in message.payloads
        )
        return build_plain(message.header, payloads)

    network.on_send = strike_out
    network.connect(alice, "bob")
    network.run(3)
    assert not alice.endpoint.sessions()
    assert not bob.endpoint.sessions()
    assert alice.failures
    network.on_send = lambda _host, data, _path: data
    network.connect(alice, "bob")
    network.run(3)
    assert_one_tunnel(alice, bob)


@pytest.mark.parametrize("which", [TsInitiator, TsResponder])
def test_a_responder_cannot_widen_what_was_offered(
    which: type[TsInitiator] | type[TsResponder],
) -> None:
    scene, alice, said, response = proving("alice")
    changed = [which(EVERYTHING) if isinstance(p, which) else p for p in said]
    say(scene, alice, response, *build_chain(changed))
    assert not alice.sas
    (failure,) = alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert "widened" in failure.detail


def test_an_initiator_gets_no_more_than_is_configured() -> None:
    scene, bob, said, response = proving("bob")
    greedy: list[Payload] = []
    for payload in said:
        if isinstance(payload, TsInitiator | TsResponder):
            greedy.append(type(payload)(EVERYTHING))
        else:
            greedy.append(payload)
    say(scene, bob, response, *build_chain(greedy))
    (sa,) = bob.sas.values()
    configured = peer("bob", "alice")
    assert sa.local_selectors == configured.local_selectors
    assert sa.remote_selectors == configured.remote_selectors


@pytest.mark.parametrize("octets", [0, 1, 31, 33, 65, 4000])
def test_a_key_of_a_wrong_length_rekeys_nothing(octets: int) -> None:
    scene = Scene(Stage.REKEYING)
    genuine = scene.inside.open(scene.messages[4][0])
    up = Scene(Stage.UP)
    for host in (up.alice, up.bob):
        header = up.inside.header(CREATE, 0 if host is up.alice else 2, initiator=host is up.bob)
        asked = tuple(
            replace(p, data=bytes(octets)) if isinstance(p, KeyExchangePayload) else p
            for p in genuine
        )
        answers = up.tell(host, up.inside.seal(header, asked))
        assert answers
        assert not any(first(up.inside.open(a), KeyExchangePayload) for a in answers)
    for host in (up.alice, up.bob):
        sessions = [s for s in host.endpoint._sessions if isinstance(s.state, Established)]
        assert len(sessions) <= 1


def test_a_repetition_from_another_address_moves_nobody() -> None:
    """Somebody who has heard a message can send it from anywhere; ESP must not follow him."""
    scene = Scene(Stage.UP)
    elsewhere = Path(scene.path_to(scene.bob).local, Address(ip_address("198.51.100.66"), 4500))
    before = session_of(scene.bob).link.path
    for data, _ in scene.messages * 2:
        scene.network.deliver(scene.bob, data, elsewhere)
    assert session_of(scene.bob).link.path == before
    (sa,) = scene.bob.sas.values()
    assert sa.path == before
