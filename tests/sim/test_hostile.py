"""Hostile datagrams in every state: from anybody on the path, and from a peer who has the keys."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hushwire.explain.outcome import UnknownPeer
from hushwire.ike.effects import InstallSa, Report, Send, SetTimer
from hushwire.ike.hints import is_hint
from hushwire.ike.inputs import IkeDrop
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.states import Established, InitSent
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import (
    Message,
    Payload,
    build_chain,
    build_plain,
    build_sk_head,
    first,
    parse_chain,
)
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.registry import CertEncoding, ExchangeType, NotifyType, PayloadType, ProtocolId
from tests.sim.network import Host, assert_one_tunnel
from tests.sim.stages import Scene, Stage, session_of, state_names
from tests.wire import samples
from tests.wire.mutations import mutants, with_true_length

HOSTS = ["alice", "bob"]
AUTH, CREATE, INFO = (
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)
INTERMEDIATE, FOLLOWUP = ExchangeType.IKE_INTERMEDIATE, ExchangeType.IKE_FOLLOWUP_KE


def host_of(scene: Scene, name: str) -> Host:
    return scene.alice if name == "alice" else scene.bob


def spoiled(data: bytes, seed: int) -> Iterator[bytes]:
    """Every truncation, with and without a length field that is right, and every octet changed."""
    chance = random.Random(seed)
    for length in range(len(data)):
        yield data[:length]
        yield with_true_length(data[:length])
        if data[16] == PayloadType.SK and length >= 32:
            # The length of the SK payload right too: now the cipher has to notice.
            framed = data[:30] + (length - 28).to_bytes(2, "big") + data[32:length]
            yield with_true_length(framed)
    yield data + b"\0"
    yield with_true_length(data + b"\0")
    for at, octet in enumerate(data):
        for other in {octet ^ 1, octet ^ 0x80, 0, 0xFF, chance.randrange(256)} - {octet}:
            yield data[:at] + bytes([other]) + data[at + 1 :]


def give(scene: Scene, host: Host, data: bytes) -> list[bytes]:
    """Give a datagram that nobody proved: it is counted, or it has a visible effect."""
    before = sum(host.endpoint.drops.values())
    effects = scene.network.deliver(host, data, scene.path_to(host))
    assert not [effect for effect in effects if isinstance(effect, InstallSa)]
    dropped = sum(host.endpoint.drops.values()) - before
    assert dropped <= 1
    assert dropped or any(not isinstance(effect, SetTimer) for effect in effects)
    return [effect.data for effect in effects if isinstance(effect, Send)]


def assert_consistent(host: Host) -> None:
    """Every SA that is installed belongs to an IKE SA whose peer was verified."""
    children: set[int] = set()
    for session in host.endpoint._sessions:
        if isinstance(session.state, Established):
            assert isinstance(session.state.verified, VerifiedPeer)
            children.update(child.sa.inbound_spi for child in session.state.children)
    assert set(host.sas) == children


def assert_still_connects(scene: Scene) -> None:
    """As the service would: when an attempt has ended, the next one follows."""
    scene.release()
    for _ in range(2):
        scene.network.run(45)
        scene.network.connect(scene.alice, "bob")
    scene.network.run(5)
    assert_one_tunnel(scene.alice, scene.bob)


# Without the keys.


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("stage", list(Stage)[: Stage.UP + 1])
def test_spoiled_messages_do_no_harm_in_any_state(stage: Stage, name: str) -> None:
    scene = Scene(stage)
    host = host_of(scene, name)
    waiting = isinstance(session_of(scene.alice).state, InitSent) and host is scene.alice
    states = [session.state for session in host.endpoint._sessions]
    installed = dict(host.sas)
    for number, (data, _) in enumerate(Scene(Stage.CLOSED).messages):
        for datagram in spoiled(data, number):
            answers = give(scene, host, datagram)
            if not waiting:  # else her own next request may follow from an answer
                assert len(answers) <= 1
                assert all(len(answer) <= len(datagram) for answer in answers)
    assert host.sas == installed
    if not waiting:
        assert [s.state for s in host.endpoint._sessions][: len(states)] == states
    assert_consistent(host)
    assert_still_connects(scene)


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("stage", Stage)
def test_noise_does_no_harm_in_any_state(stage: Stage, name: str) -> None:
    scene = Scene(stage)
    host = host_of(scene, name)
    state = next((session.state for session in host.endpoint._sessions), None)
    chance = random.Random(int(stage))
    spis = scene.messages[-1][0][:16]
    for _ in range(400):
        noise = chance.randbytes(chance.randrange(600))
        for answer in give(scene, host, noise):  # it happens to be of a higher version
            assert len(answer) <= len(noise)
            assert Message.parse(answer).payloads == (Notify(NotifyType.INVALID_MAJOR_VERSION),)
        head = spis + bytes([chance.choice([0, 33, 46, 200]), 0x20, chance.randrange(33, 46)])
        framed = head + bytes([chance.choice([0, 8, 0x20, 0x28]), 0, 0, 0, chance.randrange(4)])
        answers = give(scene, host, with_true_length(framed + bytes(4) + noise))
        assert all(len(answer) <= 32 + len(noise) for answer in answers)
    assert next((s.state for s in host.endpoint._sessions), None) is state


@pytest.mark.parametrize("stage", Stage)
def test_messages_of_an_older_connection_change_nothing(stage: Stage) -> None:
    scene = Scene(stage)
    older = Scene(Stage.CLOSED, seed=1).messages
    sessions = [session_of(scene.alice), *scene.bob.endpoint._sessions]
    states = [session.state for session in sessions]
    for data, _ in older * 2:
        for host in (scene.alice, scene.bob):
            give(scene, host, data)
    assert [session.state for session in sessions] == states
    # All that remains is a half-open one for the request that anybody can send again.
    assert state_names(scene.bob)[len(states) - 1 :] == ["HalfOpen"]
    if stage <= Stage.UP:
        assert_still_connects(scene)


@pytest.mark.parametrize("stage", Stage)
def test_a_wrong_initiator_flag_is_never_passed_over(stage: Stage) -> None:
    scene = Scene(stage)
    for data, _ in Scene(Stage.CLOSED).messages:
        for host in (scene.alice, scene.bob):
            flipped = data[:19] + bytes([data[19] ^ 0x08]) + data[20:]
            assert all(is_hint(Message.parse(said)) for said in give(scene, host, flipped))
    if stage <= Stage.UP:
        assert_still_connects(scene)


@pytest.mark.parametrize("stage", Stage)
def test_what_must_be_encrypted_does_nothing_in_clear(stage: Stage) -> None:
    scene = Scene(stage)
    spis = scene.messages[-1][0][:16]
    for host in (scene.alice, scene.bob):
        states = [session.state for session in host.endpoint._sessions]
        for exchange in (AUTH, CREATE, INFO, INTERMEDIATE, FOLLOWUP):
            for response in (False, True):
                for message_id in range(4):
                    header = Header(
                        spis[:8], spis[8:], exchange, message_id,
                        initiator=host is scene.bob, response=response,
                    )  # fmt: skip
                    for chain in (*samples.CHAINS, (Notify(NotifyType.AUTHENTICATION_FAILED),)):
                        assert not give(scene, host, build_plain(header, chain))
        assert [session.state for session in host.endpoint._sessions] == states


def test_encrypted_payloads_where_they_do_not_belong_are_malformed() -> None:
    scene = Scene(Stage.ASKED)
    request = scene.messages[0][0]
    head = Header.parse(request)
    inside_init = build_sk_head(head, 33, len(request) - 28) + request[28:]
    sk = bytes([0, 0, 0, 8]) + bytes(4)
    behind_init = request[:28] + b"\x2e" + request[29:] + sk  # in place of KE
    for datagram in (inside_init, with_true_length(behind_init), with_true_length(request + sk)):
        assert not give(scene, scene.bob, datagram)
    scene = Scene(Stage.PROVING)
    auth = scene.messages[2][0]
    notify = bytes([PayloadType.SK, 0, 0, 8, 0, 0, 0x40, 0])
    before_sk = auth[:16] + bytes([PayloadType.NOTIFY]) + auth[17:28] + notify + auth[28:]
    after_sk = auth + notify
    for datagram in (before_sk, after_sk):
        assert not give(scene, scene.bob, with_true_length(datagram))
    assert scene.bob.endpoint.drops[IkeDrop.MALFORMED] == 2
    assert state_names(scene.bob) == ["HalfOpen"]
    assert_still_connects(scene)


@pytest.mark.parametrize("payloads", [100, 101, 10_000])
def test_a_great_many_payloads_are_no_load(payloads: int) -> None:
    scene = Scene(Stage.ASKED)
    request = scene.messages[0][0]
    others = len(Message.parse(request).payloads)
    more = bytes([43, 0, 0, 4]) * (payloads - others)  # vendor IDs, which may be many
    head = request[:16] + b"\x2b" + request[17:28]
    datagram = with_true_length(head + more[:-4] + bytes([request[16], 0, 0, 4]) + request[28:])
    assert len(give(scene, scene.bob, datagram)) == (payloads == 100)
    assert state_names(scene.bob) == (["HalfOpen"] if payloads == 100 else [])


def test_a_stranger_can_make_us_look_at_few_proposals_only() -> None:
    scene = Scene(Stage.ASKED)
    header = Header.parse(scene.messages[0][0])
    unknown = tuple(Transform(4, number) for number in range(1000, 1100))

    def offer(proposals: int) -> bytes:
        numbers = range(1, proposals + 1)
        huge = tuple(Proposal(number, ProtocolId.IKE, b"", unknown) for number in numbers)
        payloads = (SecurityAssociation(huge), samples.KE, samples.NONCE)
        return build_plain(header, payloads)

    (answer,) = give(scene, scene.bob, offer(4))
    assert len(answer) < 200
    assert scene.bob.endpoint.drops[IkeDrop.REFUSED] == 1
    assert not give(scene, scene.bob, offer(6))
    assert scene.bob.endpoint.drops[IkeDrop.MALFORMED] == 1


# With the keys.


@cache
def genuine_chains() -> tuple[tuple[Payload, ...], ...]:
    """What alice and bob say in IKE_AUTH, and whatever else may stand inside SK."""
    scene = Scene(Stage.UP)
    (sa,) = scene.alice.sas.values()
    return (
        scene.inside.open(scene.messages[2][0]),
        scene.inside.open(scene.messages[3][0]),
        (Delete(ProtocolId.ESP, (sa.outbound_spi.to_bytes(4, "big"),)),),
        (Delete(ProtocolId.ESP, (sa.inbound_spi.to_bytes(4, "big"),)),),
        (Notify(NotifyType.INVALID_SELECTORS, b"packet", ProtocolId.ESP, b"spi."),),
        *samples.CHAINS,
    )


@st.composite
def chains(draw: st.DrawFn) -> tuple[int, bytes]:
    """A first payload type and octets: a chain spoiled in its order, its fields or its octets."""
    payloads = draw(st.sampled_from(genuine_chains()))
    if draw(st.booleans()):
        payloads = tuple(draw(st.lists(st.sampled_from(payloads + samples.PAYLOADS), max_size=9)))
    number, chain = build_chain(payloads)
    if draw(st.booleans()):
        chain = draw(mutants(chain))
    if draw(st.integers(0, 4)) == 0:
        number = draw(st.integers(0, 255))
    return number, chain


@settings(max_examples=600, deadline=None)
@given(
    where=st.tuples(st.sampled_from(list(Stage)[Stage.ANSWERED :]), st.sampled_from(HOSTS)),
    chain=chains(),
    message=st.tuples(
        st.sampled_from([AUTH, AUTH, INFO, INFO, CREATE, INTERMEDIATE, FOLLOWUP, 34, 38]),
        st.booleans(),
    ),
    off=st.sampled_from([0, 0, 0, 0, 1, 2**31]),
    trailer=st.sampled_from([b"\0", b"\0", b"\0", b"", b"\1\1", b"\xff", bytes(255) + b"\xff"]),
)
def test_a_peer_with_the_keys_does_no_more_than_the_protocol_lets_it(
    where: tuple[Stage, str],
    chain: tuple[int, bytes],
    message: tuple[int, bool],
    off: int,
    trailer: bytes,
) -> None:
    exchange, response = message
    scene = Scene(where[0])
    host = host_of(scene, where[1])
    window = session_of(host).link.window
    expected = max(window.next_id - 1, 0) if response else window._expected_id
    header = scene.inside.header(
        exchange, (expected + off) % 2**32, initiator=host is scene.bob, response=response
    )
    data = scene.inside.seal_chain(header, *chain, trailer)
    effects = scene.network.deliver(host, data, scene.path_to(host))
    assert_consistent(host)
    if any(isinstance(effect, InstallSa) for effect in effects):
        assert exchange == AUTH
        said = parse_chain(*chain)
        genuine = genuine_chains()[1 if response else 0]
        identity = IdResponder if response else IdInitiator
        assert first(said, Authentication) == first(genuine, Authentication)
        assert first(said, identity) == first(genuine, identity)
    scene.release()
    scene.network.run(100)
    for one in (scene.alice, scene.bob):
        assert_consistent(one)
    assert bool(scene.alice.sas) == bool(scene.bob.sas)


@pytest.mark.parametrize("trailer", [b"", b"\1", b"\xff", b"\5" * 5])
def test_padding_that_lies_is_a_malformed_message(trailer: bytes) -> None:
    scene = Scene(Stage.UP)
    header = scene.inside.header(INFO, 0, initiator=False)
    data = scene.inside.seal_chain(header, 0, b"", trailer)
    answers = scene.tell(scene.alice, data)
    said = [scene.inside.open(answer) for answer in answers]
    assert said == [(Notify(NotifyType.INVALID_SYNTAX),)]


def test_an_sk_payload_inside_another_ends_the_ike_sa() -> None:
    scene = Scene(Stage.UP)
    header = scene.inside.header(INFO, 0, initiator=False)
    data = scene.inside.seal_chain(header, PayloadType.SK, bytes([0, 0, 0, 8]) + bytes(4))
    (answer,) = give(scene, scene.alice, data)
    assert scene.inside.open(answer) == (Notify(NotifyType.INVALID_SYNTAX),)
    assert state_names(scene.alice) == ["Closed"]
    assert not scene.alice.sas


@pytest.mark.parametrize("count", [94, 95])
def test_inside_sk_a_hundred_payloads_are_the_most(count: int) -> None:
    scene = Scene(Stage.PROVING)
    asked = scene.inside.open(scene.messages[2][0])
    many = (*asked, *[Notify(40000)] * count)
    header = scene.inside.header(AUTH, 1, initiator=True)
    scene.tell(scene.bob, scene.inside.seal(header, many))
    fits = len(many) <= 100
    assert state_names(scene.bob) == (["Established"] if fits else ["Closed"])


def test_one_flipped_bit_anywhere_in_a_genuine_message_is_noticed() -> None:
    scene = Scene(Stage.UP)
    header = scene.inside.header(INFO, 0, initiator=False)
    data = scene.inside.seal(header, (Delete(ProtocolId.IKE, ()),))
    for bit in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        assert not [a for a in give(scene, scene.alice, bytes(spoilt)) if len(a) > len(data)]
    assert state_names(scene.alice) == ["Established"]
    assert scene.alice.endpoint.drops[IkeDrop.BAD_ICV] > 8 * (len(data) - 40)


@pytest.mark.parametrize(
    "certificate",
    [b"", b"\x30", b"\x30\x82\xff\xff" + bytes(50), bytes(5000), b"\x30\x80" * 500],
)
def test_a_key_that_nobody_can_read_is_shown_as_none(certificate: bytes) -> None:
    scene = Scene(Stage.PROVING)
    asked = scene.inside.open(scene.messages[2][0])
    stranger = IdInitiator(11, b"\x1b]0;nobody\x07" * 100)
    said = (stranger, Certificate(CertEncoding.RAW_PUBLIC_KEY, certificate), *asked[1:])
    header = scene.inside.header(AUTH, 1, initiator=True)
    effects = scene.network.deliver(
        scene.bob, scene.inside.seal(header, said), scene.path_to(scene.bob)
    )
    (event,) = (effect.event for effect in effects if isinstance(effect, Report))
    assert isinstance(event, UnknownPeer)
    assert event.key == ""
    assert event.identity.isprintable()
