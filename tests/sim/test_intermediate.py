"""Additional key exchanges before IKE_AUTH (RFC 9242, RFC 9370), and who has none."""

from __future__ import annotations

import pytest

from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE
from hushwire.explain.outcome import PeerMisbehaved, PeerSilent
from hushwire.ike.effects import Send
from hushwire.ike.inputs import IkeDrop
from hushwire.ike.states import HalfOpen, InitSent, IntermediateSent, Secrets
from hushwire.wire.ike.message import Message, Payload, every
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import (
    Host,
    Network,
    Weather,
    assert_one_tunnel,
    esp,
    ike,
    pair,
    peer,
)
from tests.sim.stages import Scene, Stage, session_of, state_names

PLAIN = "aes256gcm16-prfsha384-x25519"
HYBRID = f"{PLAIN}-ke1_mlkem768"
INTERMEDIATE = ExchangeType.IKE_INTERMEDIATE


def secrets_of(host: Host) -> Secrets:
    found = session_of(host).secrets()
    assert found is not None
    return found


def exchanges(network: Network) -> list[int]:
    return [Message.parse(data).header.exchange for _, data, _ in network.sent]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (HYBRID, 1),
        (f"{PLAIN}-ke1_mlkem1024", 1),
        (f"{PLAIN}-ke2_mlkem768-ke5_ecp384-ke7_modp2048", 3),
        (
            f"{PLAIN}-ke1_mlkem768-ke2_mlkem1024-ke3_ecp256-ke4_ecp384-ke5_ecp521-ke6_modp2048"
            "-ke7_modp3072",
            7,
        ),
        ("aes256-sha256-ecp256-ke1_mlkem768-ke2_none-ke2_mlkem1024", 1),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_hosts_do_all_of_them_in_their_order(text: str, count: int, seed: int) -> None:
    network = Network(seed)
    alice, bob = pair(network, ike_proposals=ike(text))
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    assert secrets_of(alice).keys == secrets_of(bob).keys
    assert secrets_of(alice).int_auth == secrets_of(bob).int_auth
    assert secrets_of(alice).int_auth.count == count
    assert len(set(exchanges(network))) == 3


def test_the_messages_are_cut_to_what_a_path_takes() -> None:
    """ML-KEM-1024 does not fit into 1280 octets, ML-KEM-768 does (RFC 7383)."""
    for text, pieces in ((HYBRID, 1), (f"{PLAIN}-ke1_mlkem1024", 2)):
        network = Network()
        alice, bob = pair(network, ike_proposals=ike(text))
        network.connect(alice, "bob")
        network.run(1)
        assert_one_tunnel(alice, bob)
        assert exchanges(network).count(INTERMEDIATE) == 2 * pieces
        assert max(len(data) for _, data, _ in network.sent) <= 1280 - 28


@pytest.mark.parametrize("seed", range(10))
def test_loss_and_repetition_change_nothing(seed: int) -> None:
    network = Network(seed, Weather(loss=0.2, duplication=0.3, delay=(0.01, 0.3)))
    alice, bob = pair(network, ike_proposals=ike(f"{HYBRID}-ke2_mlkem1024"))
    network.connect(alice, "bob")
    network.run(20)
    network.weather = Weather()
    network.run(40)
    assert_one_tunnel(alice, bob)
    assert secrets_of(alice).int_auth.count == 2


# Who has none.


@pytest.mark.parametrize("newer", ["alice", "bob"])
@pytest.mark.parametrize(
    "old",
    [
        "aes256gcm16-prfsha384-x25519",
        "aes256gcm16-prfsha384-ecp384",
        "aes128gcm16-prfsha256-ecp521",
        "aes256-sha256-modp2048",
        "aes256-sha512-modp4096",
        "chacha20poly1305-prfsha256-modp3072",
    ],
)
def test_an_old_peer_is_met_where_it_is(newer: str, old: str) -> None:
    """At most one IKE_SA_INIT more, and without any configuration."""
    network = Network()
    older = {"ike_proposals": ike(old)}
    changes: dict[str, dict[str, object]] = {
        name: {"ike_proposals": ike(*DEFAULT_IKE), "esp_proposals": esp(*DEFAULT_ESP)}
        if name == newer
        else {**older, "esp_proposals": esp("aes256gcm16", "aes128gcm16")}
        for name in ("alice", "bob")
    }
    alice = network.host("alice", peer("alice", "bob", **changes["alice"]))
    bob = network.host("bob", peer("bob", "alice", **changes["bob"]))
    network.connect(alice, "bob")
    network.run(2)
    assert_one_tunnel(alice, bob)
    assert INTERMEDIATE not in exchanges(network)
    requests = [h for (h, _, _), e in zip(network.sent, exchanges(network), strict=True)
                if h == "alice" and e == ExchangeType.IKE_SA_INIT]  # fmt: skip
    assert len(requests) <= 2
    assert len(network.sent[0][1]) <= 1280 - 28


def test_two_hosts_with_the_defaults_mix_x25519_and_mlkem768() -> None:
    network = Network()
    alice, bob = pair(network, ike_proposals=ike(*DEFAULT_IKE), esp_proposals=esp(*DEFAULT_ESP))
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    (view,) = alice.endpoint.sessions()
    assert view.ike_suite == HYBRID
    assert len(network.sent) == 6


# What is not right.


def scene(text: str = HYBRID) -> Scene:
    return Scene(Stage.PROVING, ike_proposals=ike(text))


def test_ike_auth_before_the_last_key_exchange_makes_nothing() -> None:
    """A peer must not leave out what was agreed on: else it is as if nothing had been."""
    here = scene()
    header = here.inside.header(ExchangeType.IKE_AUTH, 1, initiator=True)
    plain = Scene(Stage.PROVING)
    proof: tuple[Payload, ...] = plain.inside.open(plain.messages[2][0])
    here.tell(here.bob, here.inside.seal(header, proof))
    assert state_names(here.bob) == ["Closed"]
    assert not here.bob.sas
    (failure,) = here.bob.failures
    assert isinstance(failure, PeerMisbehaved)
    assert "before the key exchanges" in failure.detail


@pytest.mark.parametrize(
    "ke",
    [
        KeyExchangePayload(31, bytes([9]) + bytes(31)),
        KeyExchangePayload(36, bytes(1183)),
        KeyExchangePayload(36, bytes(1088)),
        KeyExchangePayload(36, b"\xff" * 1184),
        KeyExchangePayload(36, b""),
        KeyExchangePayload(37, bytes(1568)),
    ],
    ids=["another method", "too short", "a ciphertext", "above the modulus", "empty", "mlkem1024"],
)
def test_a_wrong_key_ends_the_attempt(ke: KeyExchangePayload) -> None:
    here = scene()
    header = here.inside.header(INTERMEDIATE, 1, initiator=True)
    (answer,) = here.tell(here.bob, here.inside.seal(header, (ke,)))
    (notify,) = here.inside.open(answer)
    assert isinstance(notify, Notify)
    assert notify.type == NotifyType.INVALID_SYNTAX
    assert state_names(here.bob) == ["Closed"]


@pytest.mark.parametrize("data", [bytes(1087), bytes(1184), b""])
def test_a_ciphertext_of_another_length_ends_the_attempt(data: bytes) -> None:
    here = scene()
    header = here.inside.header(INTERMEDIATE, 1, initiator=False, response=True)
    here.tell(here.alice, here.inside.seal(header, (KeyExchangePayload(36, data),)))
    (failure,) = here.alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert "1088 octets" in failure.detail


def test_a_changed_ciphertext_leaves_nothing_that_can_be_read() -> None:
    """ML-KEM tells no error: the two sides then have other keys."""
    here = scene()
    here.release()
    data, path = here.messages[2]
    effects = here.bob.endpoint.datagram(data, path, here.network.now)
    response = next(e.data for e in effects if isinstance(e, Send))
    (ke,) = here.inside.open(response)
    assert isinstance(ke, KeyExchangePayload)
    forged = KeyExchangePayload(ke.method, bytes([ke.data[0] ^ 1]) + ke.data[1:])
    header = here.inside.header(INTERMEDIATE, 1, initiator=False, response=True)
    (request,) = here.tell(here.alice, here.inside.seal(header, (forged,)))
    assert not here.tell(here.bob, request)
    assert here.bob.endpoint.drops[IkeDrop.BAD_ICV] == 1
    assert isinstance(session_of(here.bob).state, HalfOpen)


def test_an_intermediate_message_that_was_changed_is_found_out_by_auth() -> None:
    """By somebody who has the first keys: IntAuth covers the messages (RFC 9242 §3.3.2)."""
    here = scene()
    data, _ = here.messages[2]
    payloads = here.inside.open(data)
    (ke,) = payloads
    header = Message.parse(data).header
    changed = here.inside.seal(header, (ke, Notify(NotifyType.INITIAL_CONTACT)))
    (answer,) = here.tell(here.bob, changed)
    here.release()
    (request,) = here.tell(here.alice, answer)
    here.tell(here.bob, request)
    assert state_names(here.bob) == ["Closed"]
    assert not here.bob.sas
    assert "PeerNotAuthenticated" in type(here.bob.failures[0]).__name__


def test_a_peer_that_falls_silent_is_told_from_one_that_never_answered() -> None:
    here = scene()
    here.network.run(60)
    (failure,) = here.alice.failures
    assert isinstance(failure, PeerSilent)
    assert failure.exchange == "IKE_INTERMEDIATE"
    assert state_names(here.bob) in ([], ["Closed"])


def test_an_attempt_that_is_closed_leaves_nothing() -> None:
    here = scene()
    assert isinstance(session_of(here.alice).state, IntermediateSent)
    here.network.close(here.alice)
    assert here.alice.endpoint.idle


def test_without_intermediate_exchange_supported_nothing_additional_is_chosen() -> None:
    network = Network()
    alice, bob = pair(network, ike_proposals=ike(HYBRID, PLAIN))

    def strip(host: Host, data: bytes, _path: object) -> bytes:
        return data.replace(b"\x40\x36", b"\x6f\xff") if host is alice else data

    network.on_send = strip
    network.connect(alice, "bob")
    network.run(0.015)
    state = session_of(bob).state
    assert isinstance(state, HalfOpen)
    assert state.secrets.suite.name == PLAIN
    message = Message.parse(network.sent[0][1])
    assert [n.type for n in every(message.payloads, Notify)].count(
        NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED
    ) == 1


def test_a_choice_of_what_the_responder_cannot_do_is_refused() -> None:
    network = Network()
    alice, bob = pair(network, ike_proposals=ike(HYBRID))

    def strip(host: Host, data: bytes, _path: object) -> bytes:
        return data.replace(b"\x40\x36", b"\x6f\xff") if host is bob else data

    network.on_send = strip
    network.connect(alice, "bob")
    network.run(0.1)
    assert not isinstance(session_of(alice).state, InitSent | IntermediateSent)
    (failure,) = alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert "cannot do it" in failure.detail
