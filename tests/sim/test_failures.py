"""What can go wrong between two honest hosts, and what each of them is told."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from hushwire.crypto.sign import PrivateKey
from hushwire.explain.outcome import (
    AskingPeer,
    Cause,
    EncapsulationConflict,
    Event,
    Failure,
    NoProposal,
    PeerMisbehaved,
    PeerNotAuthenticated,
    PeerSilent,
    RefusedByPeer,
    RefusedUs,
    SelectorsUnacceptable,
    TunnelUp,
    UnknownPeer,
    WrongIdentity,
)
from hushwire.ike.credentials import Psk, RawKeys
from hushwire.ike.inputs import Limits, Patience
from hushwire.sa.association import Address, Encap, Path
from hushwire.sa.identity import Identity
from hushwire.sa.selectors import describe, from_network
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, Payload, build_plain
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.ts import TrafficSelector
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import (
    SECRET,
    Host,
    Network,
    assert_one_tunnel,
    esp,
    ike,
    peer,
    raw_keys,
)
from tests.sim.stages import Scene, Stage, state_names

REFUSED_ALL: tuple[tuple[str, ...], tuple[str, ...]] = (("aes256gcm16-prfsha384-x25519",), ())


def meet(for_alice: dict[str, object], for_bob: dict[str, object]) -> tuple[Network, Host, Host]:
    """Alice connects to bob, and a second passes."""
    network = Network()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host("bob", peer("bob", "alice", **for_bob))
    network.connect(alice, "bob")
    network.run(1)
    return network, alice, bob


def assert_no_tunnel(*hosts: Host) -> None:
    for host in hosts:
        assert not host.sas
        assert not host.saw(TunnelUp)
        assert not any(view.child for view in host.endpoint.sessions())


def networks(*texts: str) -> tuple[TrafficSelector, ...]:
    return tuple(from_network(ip_network(text)) for text in texts)


# Who the peer is.


def test_a_wrong_shared_secret_is_told_to_both() -> None:
    _, alice, bob = meet({}, {"credential": Psk(SECRET[:-1] + b"?")})
    assert_no_tunnel(alice, bob)
    assert alice.failures == [RefusedUs("bob", "192.0.2.1", "shared secret")]
    (refused,) = bob.failures
    assert refused == PeerNotAuthenticated(
        "alice", "192.0.2.1", "shared secret", "its shared secret is not ours"
    )
    for host in (alice, bob):
        assert all(
            isinstance(f, Failure) and f.cause is Cause.NOT_AUTHENTICATED for f in host.failures
        )


def test_an_unknown_peer_is_shown_by_its_public_key() -> None:
    for_alice, _ = raw_keys()
    _, for_bob = raw_keys()  # somebody else's
    _, alice, bob = meet(for_alice, for_bob)
    assert_no_tunnel(alice, bob)
    own = for_alice["credential"]
    identity = for_alice["local_id"]
    assert isinstance(own, RawKeys)
    assert isinstance(identity, Identity)
    assert bob.failures == [UnknownPeer("", identity.text, "192.0.2.1", own.own.public.to_text())]
    assert alice.failures == [RefusedUs("bob", identity.text, "public key")]


def test_a_responder_with_another_key_is_refused_and_learns_it() -> None:
    for_alice, for_bob = raw_keys()
    own = for_bob["credential"]
    assert isinstance(own, RawKeys)
    network, alice, bob = meet(
        for_alice, for_bob | {"credential": replace(own, own=PrivateKey.generate())}
    )
    assert not alice.saw(TunnelUp)
    (refused,) = alice.failures
    assert isinstance(refused, PeerNotAuthenticated)
    assert "not by the configured public key" in refused.detail
    # Bob had believed that all was well, until alice told him.
    assert bob.saw(TunnelUp)
    (told,) = bob.failures
    assert isinstance(told, RefusedUs)
    assert told.cause is Cause.NOT_AUTHENTICATED
    assert not alice.sas
    assert not bob.sas
    network.run(60)
    assert state_names(alice) == state_names(bob) == []


def test_a_responder_of_another_name_is_refused_and_learns_it() -> None:
    name = Identity.parse("bob.example")
    _, alice, bob = meet({"remote_id": name}, {"local_id": Identity.parse("mallory.example")})
    assert alice.failures == [WrongIdentity("bob", "bob.example", "mallory.example")]
    assert [type(event) for event in bob.failures] == [RefusedUs]
    assert not alice.sas
    assert not bob.sas


def test_a_shared_secret_does_not_pass_where_a_public_key_is_configured() -> None:
    for_alice, for_bob = raw_keys()
    _, alice, bob = meet(for_alice | {"credential": Psk(SECRET)}, for_bob)
    assert_no_tunnel(alice, bob)
    (refused,) = bob.failures
    assert isinstance(refused, PeerNotAuthenticated)
    assert refused.detail == "it authenticates by a shared secret, and we expect a public key"


def test_one_end_cannot_be_made_to_prove_itself_to_itself() -> None:
    """Everything that alice sends comes back to her as if from bob; anybody may know the secret."""
    network = Network()
    anybody = networks("0.0.0.0/0")
    alice = network.host(
        "alice",
        peer("alice", "bob", remote_id=None, local_selectors=anybody, remote_selectors=anybody),
    )

    def mirror(host: Host, data: bytes, path: Path) -> None:
        network.at(network.now, lambda: network._arrive(data, Path(path.remote, path.local)))

    network.on_send = mirror
    network.connect(alice, "bob")
    network.run(60)
    assert_no_tunnel(alice)
    assert [type(event) for event in alice.failures] == [PeerSilent]


# What they agree on.


def test_no_ike_proposal_in_common_shows_both_lists_to_both() -> None:
    ours, theirs = ("aes256gcm16-prfsha384-x25519",), ("aes128gcm16-prfsha256-ecp256",)
    _, alice, bob = meet({"ike_proposals": ike(*ours)}, {"ike_proposals": ike(*theirs)})
    assert_no_tunnel(alice, bob)
    assert alice.failures == [NoProposal("bob", "IKE", ours, theirs, refused_by_us=False)]
    assert bob.failures == [NoProposal("alice", "IKE", theirs, ours, refused_by_us=True)]
    assert not state_names(bob)


def test_a_list_that_would_make_the_answer_larger_than_the_request_is_left_out() -> None:
    many = tuple(
        f"{cipher}-prfsha256-{group}"
        for cipher in ("aes128gcm16", "chacha20poly1305")
        for group in ("ecp256", "ecp384", "ecp256-ecp384")
    )
    network, alice, _bob = meet({}, {"ike_proposals": ike(*many)})
    (outcome,) = alice.failures
    assert isinstance(outcome, NoProposal)
    assert outcome.asked
    assert outcome.theirs == ("aes128gcm16-prfsha256-ecp256",)
    (_, request, _), (_, response, _) = network.sent[:2]
    assert len(response) <= len(request)


def silent_bob(answers: int = 1) -> tuple[Network, Host, Host]:
    """bob refuses without a word of what he would take, and says no more than `answers` times."""
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host(
        "bob", peer("bob", "alice", ike_proposals=ike("aes128gcm16-prfsha256-ecp256"))
    )
    said = []

    def on_send(host: Host, data: bytes, _path: object) -> bytes | None:
        if host is not bob:
            return data
        said.append(data)
        if len(said) > answers:
            return None
        refusal = Notify(NotifyType.NO_PROPOSAL_CHOSEN)
        message = Message.parse(data)
        return build_plain(message.header, (refusal,)) if len(said) == 1 else data

    network.on_send = on_send
    network.connect(alice, "bob")
    return network, alice, bob


def test_who_is_refused_without_a_word_asks_once_and_learns_what_the_peer_would_take() -> None:
    network, alice, bob = silent_bob(answers=3)
    network.run(1)
    assert len(alice.saw(AskingPeer)) == 1
    (outcome,) = alice.failures
    assert isinstance(outcome, NoProposal)
    assert outcome.asked
    assert outcome.theirs == ("aes128gcm16-prfsha256-ecp256",)
    # First a guess at the group, then the one that bob wants; and never an IKE_AUTH.
    exchanges = [Message.parse(data).header.exchange for _, data, _ in network.sent]
    assert set(exchanges) == {ExchangeType.IKE_SA_INIT}
    assert_no_tunnel(alice, bob)
    network.run(60)
    assert state_names(alice) == state_names(bob) == []


def test_a_question_that_is_not_answered_leaves_the_refusal() -> None:
    network, alice, _ = silent_bob(answers=1)
    network.run(60)
    (outcome,) = alice.failures
    assert isinstance(outcome, NoProposal)
    assert (outcome.theirs, outcome.asked) == ((), False)


def test_no_esp_proposal_in_common_shows_both_lists_to_who_refused() -> None:
    network, alice, bob = meet(
        {"esp_proposals": esp("aes256gcm16-esn")}, {"esp_proposals": esp("chacha20poly1305-esn")}
    )
    assert_no_tunnel(alice, bob)
    assert alice.failures == [
        NoProposal("bob", "ESP", ("aes256gcm16-esn",), (), refused_by_us=False)
    ]
    assert bob.failures[0] == NoProposal(
        "alice", "ESP", ("chacha20poly1305-esn",), ("aes256gcm16-esn",), refused_by_us=True
    )
    network.run(20)
    assert state_names(alice) == state_names(bob) == []


def test_selectors_that_do_not_overlap_end_the_attempt_in_order() -> None:
    network, alice, bob = meet({}, {"remote_selectors": networks("10.9.0.0/16")})
    assert_no_tunnel(alice, bob)
    assert alice.failures == [
        SelectorsUnacceptable("bob", ("10.0.1.1/32",), ("10.0.1.2/32",), (), ())
    ]
    assert bob.failures[0] == SelectorsUnacceptable(
        "alice", ("10.0.1.2/32",), ("10.9.0.0/16",), ("10.0.1.1/32",), ("10.0.1.2/32",)
    )
    network.run(20)
    assert state_names(alice) == state_names(bob) == []


def test_selectors_that_overlap_partly_are_narrowed() -> None:
    _, alice, bob = meet(
        {
            "local_selectors": networks("10.1.0.0/16", "10.2.0.0/16"),
            "remote_selectors": networks("10.3.0.0/16"),
        },
        {
            "remote_selectors": networks("10.1.128.0/17", "10.9.0.0/16"),
            "local_selectors": networks("10.3.1.0/24", "10.3.2.0/24", "10.4.0.0/24"),
        },
    )
    a, _ = assert_one_tunnel(alice, bob)
    assert [describe(s) for s in a.local_selectors] == ["10.1.128.0/17"]
    assert [describe(s) for s in a.remote_selectors] == ["10.3.1.0/24", "10.3.2.0/24"]


def test_overlapping_selectors_of_one_side_are_no_widening() -> None:
    both = networks("10.1.0.0/16", "10.1.2.0/24")
    _, alice, bob = meet({"local_selectors": both}, {"remote_selectors": both})
    assert_one_tunnel(alice, bob)


def test_a_peer_that_prefers_another_group_gets_it() -> None:
    ours, theirs = "aes256gcm16-prfsha384-x25519-ecp256", "aes256gcm16-prfsha384-ecp256-x25519"
    network, alice, bob = meet({"ike_proposals": ike(ours)}, {"ike_proposals": ike(theirs)})
    assert_one_tunnel(alice, bob)
    assert alice.endpoint.sessions()[0].ike_suite == "aes256gcm16-prfsha384-ecp256"
    assert len(network.sent) == 6
    assert not alice.failures


def test_the_wish_for_a_group_arriving_twice_is_followed_once() -> None:
    ours, theirs = "aes256gcm16-prfsha384-x25519-ecp256", "aes256gcm16-prfsha384-ecp256-x25519"
    for limits in (Limits(), Limits(cookies_from=0)):
        network = Network()
        network.weather.duplication = 1.0
        alice = network.host("alice", peer("alice", "bob", ike_proposals=ike(ours)))
        bob = network.host("bob", peer("bob", "alice", ike_proposals=ike(theirs)), limits=limits)
        network.connect(alice, "bob")
        network.run(1)
        assert_one_tunnel(alice, bob)
        assert not alice.failures


def test_a_cookie_stays_good_when_another_group_is_wanted() -> None:
    """The shorter exchange of RFC 7296 §2.6.1."""
    ours, theirs = "aes256gcm16-prfsha384-x25519-ecp256", "aes256gcm16-prfsha384-ecp256-x25519"
    network = Network()
    alice = network.host("alice", peer("alice", "bob", ike_proposals=ike(ours)))
    limits = Limits(cookies_from=0)
    bob = network.host("bob", peer("bob", "alice", ike_proposals=ike(theirs)), limits=limits)
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    # Cookie, group, IKE_SA_INIT, IKE_AUTH: each a request and its answer.
    assert [name for name, _, _ in network.sent] == ["alice", "bob"] * 4


@pytest.mark.parametrize("wanted", [14, 19, 20, 0, 65535])
def test_nobody_pulls_us_to_a_group_that_we_did_not_offer(wanted: int) -> None:
    scene = Scene(Stage.ASKED)
    answer_init(scene, Notify(NotifyType.INVALID_KE_PAYLOAD, wanted.to_bytes(2, "big")))
    (failure,) = scene.alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert f"method {wanted}, which is not offered" in failure.detail
    assert len(scene.network.sent) == 1


def test_a_peer_that_makes_us_begin_again_and_again_is_left() -> None:
    scene = Scene(Stage.ASKED)
    for number in range(20):
        answer_init(scene, Notify(NotifyType.COOKIE, bytes([number])))
    (failure,) = scene.alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert len(scene.network.sent) == 6


@pytest.mark.parametrize("octets", [0, 65, 1000])
def test_a_cookie_of_a_wrong_length_is_not_sent_back(octets: int) -> None:
    scene = Scene(Stage.ASKED)
    answer_init(scene, Notify(NotifyType.COOKIE, bytes(octets)))
    assert [type(event) for event in scene.alice.failures] == [PeerMisbehaved]
    assert len(scene.network.sent) == 1


@pytest.mark.parametrize(
    ("number", "name"),
    [(NotifyType.INVALID_SYNTAX, "INVALID_SYNTAX"), (8191, "notify type 8191")],
)
def test_any_other_error_is_reported_by_its_name(number: int, name: str) -> None:
    scene = Scene(Stage.ASKED)
    answer_init(scene, Notify(number))
    assert scene.alice.failures == [RefusedByPeer("bob", "IKE_SA_INIT", name)]


def answer_init(scene: Scene, *payloads: Payload) -> None:
    """What anybody who saw alice's IKE_SA_INIT can answer."""
    request = Header.parse(scene.messages[0][0])
    header = Header(
        request.initiator_spi, bytes(8), ExchangeType.IKE_SA_INIT, 0,
        initiator=False, response=True,
    )  # fmt: skip
    scene.network.deliver(scene.alice, build_plain(header, payloads), scene.path_to(scene.alice))


# The network.


@pytest.mark.parametrize("patience", [Patience(), Patience(0.1, 3.0, 4), Patience(1.0, 1.5, 1)])
def test_a_silent_peer_is_given_up_after_the_documented_time(patience: Patience) -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"), patience=patience)
    start = network.now
    times: list[float] = []
    network.on_send = lambda _host, _data, _path: times.append(network.now - start)
    network.connect(alice, "bob")
    network.run(patience.total - 0.001)
    assert not alice.failures
    assert alice.endpoint.busy("bob")
    network.run(0.002)
    (silent,) = alice.failures
    assert isinstance(silent, PeerSilent)
    assert (silent.exchange, silent.tries, silent.was_up) == ("IKE_SA_INIT", patience.tries, False)
    assert silent.seconds == pytest.approx(patience.total)
    assert times == pytest.approx(
        [sum(patience.wait(k) for k in range(1, n)) for n in range(1, patience.tries + 1)]
    )
    assert len({data for _, data, _ in network.sent}) == 1  # §2.1: bitwise identical
    assert silent.cause is Cause.NOT_REACHED


def test_the_default_patience_is_what_its_documentation_says() -> None:
    assert Patience().total == 31.5


def test_a_peer_that_falls_silent_in_ike_auth_is_named_so() -> None:
    scene = Scene(Stage.PROVING)
    scene.network.run(40)
    (silent,) = scene.alice.failures
    assert isinstance(silent, PeerSilent)
    assert silent.exchange == "IKE_AUTH"
    assert not state_names(scene.alice)


@pytest.mark.parametrize(
    ("for_alice", "for_bob", "alice_says", "bob_says"),
    [
        (Encap.UDP, Encap.ESP, [EncapsulationConflict("bob")], []),
        (
            Encap.ESP,
            Encap.UDP,
            [NoProposal("bob", "IKE", *REFUSED_ALL, refused_by_us=False, asked=True)],
            [EncapsulationConflict("alice")] * 2,  # refused, and asked
        ),
    ],
)
def test_udp_and_esp_by_decree_do_not_meet(
    for_alice: Encap, for_bob: Encap, alice_says: list[Event], bob_says: list[Event]
) -> None:
    network, alice, bob = meet({"encap": for_alice}, {"encap": for_bob})
    assert_no_tunnel(alice, bob)
    assert alice.failures == alice_says
    assert bob.failures == bob_says
    network.run(60)
    assert state_names(alice) == state_names(bob) == []


def test_esp_goes_where_we_connected_to_not_where_the_last_response_seems_to_come_from() -> None:
    scene = Scene(Stage.BELIEVED)
    response = scene.messages[3][0]
    elsewhere = Path(scene.path_to(scene.alice).local, Address(ip_address("203.0.113.9"), 4500))
    scene.network.deliver(scene.alice, response, elsewhere)
    (sa,) = scene.alice.sas.values()
    assert sa.path == scene.path_to(scene.alice)
