"""What strangers get, and what the same octets get the second time (RFC 7296 §2.1, §2.5, §2.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hushwire.ike.effects import Send
from hushwire.ike.inputs import IkeDrop, Limits
from hushwire.sa.association import Address, Path
from hushwire.wire.ike.message import Message, build_plain, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import NotifyType
from tests.sim.network import ADDRESSES, Network, assert_one_tunnel, peer
from tests.sim.stages import Scene, Stage, session_of, state_names


def test_cookies_are_asked_for_under_load_and_honest_hosts_still_connect() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host("bob", peer("bob", "alice"), limits=Limits(cookies_from=0))
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    assert len(network.sent) == 6
    (_, first_request, _), (_, demand, _), (_, second_request, _) = network.sent[:3]
    assert len(demand) <= len(first_request)
    (cookie,) = every(Message.parse(demand).payloads, Notify)
    again = Message.parse(second_request).payloads
    assert again[0] == cookie  # §2.6: the first payload, and the rest unchanged
    assert again[1:] == Message.parse(first_request).payloads
    assert bob.endpoint.drops[IkeDrop.COOKIE_REQUIRED] == 1


def test_half_open_sessions_are_bounded_and_expire() -> None:
    limits = Limits(cookies_from=10**6, half_open=20, half_open_seconds=30)
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    request = Scene(Stage.ASKED).messages[0][0]
    path = Path(Address(ADDRESSES["bob"], 500), Address(ADDRESSES["alice"], 500))
    answers = 0
    for number in range(1, 101):
        stranger = number.to_bytes(8, "big") + request[8:]
        answers += sum(isinstance(e, Send) for e in network.deliver(bob, stranger, path))
    endpoint = bob.endpoint
    assert (
        answers == len(endpoint._sessions) == len(endpoint._sessions.half_open) == limits.half_open
    )
    assert endpoint.drops[IkeDrop.TOO_MANY_HALF_OPEN] == 80
    network.run(limits.half_open_seconds)
    assert not endpoint._sessions
    assert not endpoint._sessions.half_open
    assert bob.timer is None
    alice = network.host("alice", peer("alice", "bob"))
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)


def test_many_connections_leave_nothing_behind() -> None:
    network = Network()
    bob = network.host("bob", peer("bob", "alice"))
    for _ in range(50):
        alice = network.host("alice", peer("alice", "bob"))
        network.connect(alice, "bob")
        network.run(0.1)
        if network.random.random() < 0.5:
            network.close(alice)
            network.run(0.1)
    assert len(bob.endpoint._sessions) < 100
    network.close(alice)
    network.run(120)
    assert not bob.endpoint._sessions
    assert not bob.endpoint._sessions.half_open
    assert not bob.sas


def test_an_unknown_critical_payload_in_ike_sa_init_is_named() -> None:
    scene = Scene(Stage.ASKED)
    request = scene.messages[0][0]
    payload = bytes([request[16], 0x80, 0, 4])  # type 200, in front of all others
    changed = bytearray(request[:28] + payload + request[28:])
    changed[16] = 200
    changed[24:28] = len(changed).to_bytes(4, "big")
    (answer,) = scene.tell(scene.bob, bytes(changed))
    (notify,) = Message.parse(answer).payloads
    assert notify == Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([200]))
    assert not state_names(scene.bob)
    changed[29] = 0  # not critical: skipped
    (answer,) = scene.tell(scene.bob, bytes(changed))
    assert first(Message.parse(answer).payloads, SecurityAssociation)


def test_a_higher_version_is_told_ours() -> None:
    scene = Scene(Stage.UP)
    for number, (data, _) in enumerate(scene.messages):
        version_3 = data[:17] + b"\x30" + data[18:]
        answers = scene.tell(scene.bob, version_3)
        if number % 2:  # it is marked as a response
            assert not answers
            continue
        (answer,) = answers
        assert len(answer) <= len(data)
        parsed = Message.parse(answer)
        assert parsed.payloads == (Notify(NotifyType.INVALID_MAJOR_VERSION),)
        assert parsed.header.response
        assert (parsed.header.exchange, parsed.header.message_id) == (data[18], data[23])
        assert answer[:16] == data[:16]
    # A request too small for the answer gets none.
    assert not scene.tell(scene.bob, bytes([1] * 8 + [0] * 9 + [0x30, 34, 8]) + bytes(8))
    assert state_names(scene.bob) == ["Established"]


def test_an_unknown_spi_is_answered_by_a_hint_once_a_second_and_ikev1_by_silence() -> None:
    scene = Scene(Stage.UP)
    auth = scene.messages[2][0]
    unknown = auth[:8] + bytes(7) + b"\1" + auth[16:]
    (hint,) = scene.tell(scene.bob, unknown)
    assert len(hint) < len(unknown)
    assert not scene.tell(scene.bob, unknown)
    assert scene.bob.endpoint.drops[IkeDrop.UNKNOWN_SPI] == 2
    assert not scene.tell(scene.bob, auth[:17] + b"\x10" + auth[18:])
    assert scene.bob.endpoint.drops[IkeDrop.MALFORMED] == 1


def test_a_vendor_id_and_unknown_status_notifications_are_ignored() -> None:
    scene = Scene(Stage.ASKED)
    request = Message.parse(scene.messages[0][0])
    more = (VendorId(b"somebody"), Notify(40000, b"news"), Notify(8000, b"an unknown error"))
    data = build_plain(request.header, (*request.payloads, *more))
    (answer,) = scene.tell(scene.bob, data)
    assert first(Message.parse(answer).payloads, KeyExchangePayload)


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31), bytes(31), bytes(33), b""])
def test_a_bad_public_value_is_as_if_it_had_not_come(public: bytes) -> None:
    """RFC 6989 §2.5, RFC 7748 §6.1: of small order, or of a wrong length."""
    scene = Scene(Stage.ANSWERED)
    for number, host in ((0, scene.bob), (1, scene.alice)):
        message = Message.parse(scene.messages[number][0])
        changed = tuple(
            replace(p, data=public) if isinstance(p, KeyExchangePayload) else p
            for p in message.payloads
        )
        header = (
            replace(message.header, initiator_spi=b"stranger") if number == 0 else message.header
        )
        before = state_names(host)
        assert not scene.tell(host, build_plain(header, changed))
        assert host.endpoint.drops[IkeDrop.MALFORMED] == 1
        assert state_names(host) == before
    scene.release()
    scene.network.run(2)
    assert_one_tunnel(scene.alice, scene.bob)


# Retransmission.


@pytest.mark.parametrize(
    ("stage", "number"), [(Stage.ANSWERED, 0), (Stage.BELIEVED, 2), (Stage.CLOSED, 4)]
)
def test_a_retransmitted_request_gets_the_same_octets_back_and_changes_nothing(
    stage: Stage, number: int
) -> None:
    scene = Scene(stage)
    (request, _), (response, _) = scene.messages[number : number + 2]
    state = session_of(scene.bob).state
    before = (state_names(scene.bob), dict(scene.bob.sas), list(scene.bob.events))
    for _ in range(3):
        assert scene.tell(scene.bob, request) == [response]
    assert session_of(scene.bob).state is state
    assert (state_names(scene.bob), scene.bob.sas, scene.bob.events) == before
    assert not any(scene.bob.endpoint.drops.values())


@pytest.mark.parametrize("stage", Stage)
def test_nobody_ever_answers_a_response(stage: Stage) -> None:
    scene = Scene(stage)
    # In InitSent her next request follows from a response: that is no answer to it.
    waiting = stage in (Stage.ASKED, Stage.ANSWERED, Stage.REKEYING)
    for data, _ in Scene(Stage.CLOSED).messages + scene.messages:
        for flags in (0x20, 0x28):
            response = data[:19] + bytes([flags]) + data[20:]
            for host in (scene.bob,) if waiting else (scene.alice, scene.bob):
                assert not scene.tell(host, response)
