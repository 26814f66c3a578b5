"""IKE_FOLLOWUP_KE as no honest peer sends it (RFC 9370 §2.2.4), sealed with the true keys.

Alice has asked bob, by CREATE_CHILD_SA, for an SA with two additional key exchanges. From then on
her part, or his, is played by somebody who holds the keys and keeps to nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from hushwire.crypto.exchange import KeyExchange
from hushwire.crypto.suites import parse_proposal
from hushwire.explain.outcome import PeerMisbehaved
from hushwire.ike.awaited import Awaited
from hushwire.ike.effects import Send
from hushwire.ike.states import Established
from hushwire.wire.ike.message import Payload, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, KeyExchangeId, NotifyType, ProtocolId
from tests.sim.network import Host, assert_one_tunnel, esp, ike
from tests.sim.stages import Insider, Scene, Stage, session_of, state_names

FOLLOWUP = ExchangeType.IKE_FOLLOWUP_KE
STATE_NOT_FOUND = (Notify(NotifyType.STATE_NOT_FOUND),)
INVALID_SYNTAX = (Notify(NotifyType.INVALID_SYNTAX),)
MORE = "x25519-ke1_mlkem768-ke2_ecp256"
BOTH = pytest.mark.parametrize("for_ike", [False, True], ids=["CHILD_SA", "IKE SA"])


def link_of(payloads: tuple[Payload, ...]) -> bytes:
    (link,) = (
        one.data
        for one in payloads
        if isinstance(one, Notify) and one.type == NotifyType.ADDITIONAL_KEY_EXCHANGE
    )
    return link


def linked(link: bytes) -> Notify:
    return Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, link)


@dataclass
class Stopped:
    """Both are up; nothing that either of them sends arrives by itself any more."""

    scene: Scene
    inside: Insider

    @property
    def alice(self) -> Host:
        return self.scene.alice

    @property
    def bob(self) -> Host:
        return self.scene.bob

    @property
    def awaited(self) -> Awaited | None:
        """What bob awaits of alice."""
        return session_of(self.bob).awaited

    @property
    def next_exchange(self) -> KeyExchange:
        assert self.awaited is not None
        return self.awaited.agreed.rest[0]

    def key(self) -> KeyExchangePayload:
        """Alice's next one, as it should be."""
        exchange = self.next_exchange
        return KeyExchangePayload(exchange.method, exchange.offer(os.urandom).public)

    def begin(self, *, for_ike: bool = False) -> bytes:
        """Alice asks for the SA, bob answers; the link."""
        self.scene.network.rekey(self.alice, ike=for_ike)
        return self.again()

    def again(self) -> bytes:
        """What alice has asked for last is delivered, as her next request and with another nonce.

        A new rekeying that has nothing to do with those before.
        """
        request = self.inside.open(self.scene.network.sent[-1][1])
        assert first(request, Nonce) is not None
        other = tuple(Nonce(os.urandom(32)) if isinstance(p, Nonce) else p for p in request)
        return link_of(self.say(*other, exchange=ExchangeType.CREATE_CHILD_SA))

    def say(self, *payloads: Payload, exchange: int = FOLLOWUP) -> tuple[Payload, ...]:
        """As alice's next request; bob's answer."""
        message_id = session_of(self.bob).link.window._expected_id
        header = self.inside.header(exchange, message_id, initiator=True)
        (answer,) = self.scene.tell(self.bob, self.inside.seal(header, payloads))
        return self.inside.open(answer)

    def answer(self, *payloads: Payload) -> list[bytes]:
        """As bob's response to what alice has asked last; what she sends then."""
        window = session_of(self.alice).link.window
        header = self.inside.header(
            session_of(self.alice).doing.exchange,  # type: ignore[union-attr]
            window.next_id - 1,
            initiator=False,
            response=True,
        )
        return self.scene.tell(self.alice, self.inside.seal(header, payloads))

    def pass_on(self) -> tuple[Payload, ...]:
        """What alice has asked last, as it is; what bob answers."""
        (answer,) = self.scene.tell(self.bob, self.scene.network.sent[-1][1])
        return self.inside.open(answer)

    def assert_unchanged(self) -> None:
        """The tunnel there was is the one there is; and when the wire is back, all works."""
        assert_one_tunnel(self.alice, self.bob)

    def assert_ended(self, host: Host) -> None:
        """Of the rules' breaker nothing is left."""
        assert state_names(host) == ["Closed"]
        assert not host.sas
        (event,) = host.saw(PeerMisbehaved)
        assert isinstance(event, PeerMisbehaved)


@pytest.fixture
def up() -> Stopped:
    scene = Scene(
        Stage.UP,
        ike_proposals=ike("aes256gcm16-prfsha384-x25519"),
        esp_proposals=esp(f"aes256gcm16-esn-{MORE}"),
    )
    scene.network.run(1)
    scene.network.on_send = lambda _host, _data, _path: None
    # Only now, so that IKE_SA_INIT was without them, and the insider's keys are those in use.
    for host in (scene.alice, scene.bob):
        state = session_of(host).state
        assert isinstance(state, Established)
        peer = replace(
            state.verified.peer,
            ike_proposals=(parse_proposal(f"aes256gcm16-prfsha384-{MORE}", ProtocolId.IKE),),
        )
        object.__setattr__(state.verified, "peer", peer)
        session_of(host).link.datagram_octets = 4096  # a message is one datagram
    return Stopped(scene, scene.inside)


# Alice does as she likes.


def test_in_order_they_make_the_sa(up: Stopped) -> None:
    """The others show what this one does not do."""
    link = up.begin()
    answer = up.say(up.key(), linked(link))
    assert first(answer, KeyExchangePayload) is not None
    assert len(up.bob.sas) == 1
    last = up.say(up.key(), linked(link_of(answer)))
    assert [type(one) for one in last] == [KeyExchangePayload]
    assert up.awaited is None
    assert len(up.bob.sas) == 2


def test_none_is_answered_that_belongs_to_nothing(up: Stopped) -> None:
    key = KeyExchangePayload(KeyExchangeId.X25519, bytes([9]) + bytes(31))
    assert up.say(key, linked(bytes(8))) == STATE_NOT_FOUND
    assert up.say(key) == STATE_NOT_FOUND
    up.assert_unchanged()


@BOTH
@pytest.mark.parametrize(
    "wrong",
    [
        lambda link: (linked(bytes([link[0] ^ 1]) + link[1:]),),
        lambda link: (linked(link[:-1]),),
        lambda link: (linked(link + b"\0"),),
        lambda _link: (linked(b""),),
        lambda _link: (linked(bytes(4000)),),
        lambda link: (Notify(NotifyType.COOKIE2, link),),
        lambda _link: (),
    ],
    ids=["a bit", "shorter", "longer", "empty", "huge", "of another type", "none"],
)
def test_with_another_link_it_is_nothing(
    up: Stopped, wrong: Callable[[bytes], tuple[Payload, ...]], for_ike: bool
) -> None:
    link = up.begin(for_ike=for_ike)
    before = up.awaited
    assert up.say(up.key(), *wrong(link)) == STATE_NOT_FOUND
    assert up.awaited is before
    up.assert_unchanged()
    assert first(up.say(up.key(), linked(link)), KeyExchangePayload) is not None


@BOTH
@pytest.mark.parametrize(
    "spoiled",
    [
        lambda _key: (),
        lambda key: (key, key),
        lambda key: (replace(key, data=key.data[:-1]),),
        lambda key: (replace(key, data=key.data + b"\0"),),
        lambda key: (replace(key, data=b""),),
        lambda key: (replace(key, data=bytes(60000)),),
        lambda key: (replace(key, method=KeyExchangeId.X25519),),
        lambda _key: (KeyExchangePayload(KeyExchangeId.X25519, bytes([9]) + bytes(31)),),
        lambda key: (replace(key, method=KeyExchangeId.NONE),),
        lambda key: (replace(key, method=65535),),
    ],
    ids=[
        "no key", "two", "shorter", "longer", "empty", "huge", "another method",
        "a good one of another method", "none", "unknown",
    ],
)  # fmt: skip
def test_a_key_that_is_none_ends_the_ike_sa(
    up: Stopped,
    spoiled: Callable[[KeyExchangePayload], tuple[Payload, ...]],
    for_ike: bool,
) -> None:
    """Whoever has the keys and breaks the rules is not to be talked with (RFC 7296 §2.21.3)."""
    link = up.begin(for_ike=for_ike)
    assert up.say(*spoiled(up.key()), linked(link)) == INVALID_SYNTAX
    up.assert_ended(up.bob)


@BOTH
def test_the_second_does_not_come_before_the_first(up: Stopped, for_ike: bool) -> None:
    link = up.begin(for_ike=for_ike)
    assert up.awaited is not None
    second = up.awaited.agreed.rest[1]
    key = KeyExchangePayload(second.method, second.offer(os.urandom).public)
    assert up.say(key, linked(link)) == INVALID_SYNTAX
    up.assert_ended(up.bob)


@BOTH
def test_a_link_is_good_for_one_exchange(up: Stopped, for_ike: bool) -> None:
    link = up.begin(for_ike=for_ike)
    key = up.key()
    following = link_of(up.say(key, linked(link)))
    assert following != link
    assert up.say(key, linked(link)) == STATE_NOT_FOUND
    up.assert_unchanged()
    assert [type(one) for one in up.say(up.key(), linked(following))] == [KeyExchangePayload]


@BOTH
def test_after_the_last_one_there_is_nothing_to_go_on_with(up: Stopped, for_ike: bool) -> None:
    link = up.begin(for_ike=for_ike)
    following = link_of(up.say(up.key(), linked(link)))
    key = up.key()
    up.say(key, linked(following))
    sas, sessions = dict(up.bob.sas), state_names(up.bob)
    for old in (link, following):
        assert up.say(key, linked(old)) == STATE_NOT_FOUND
    assert up.bob.sas == sas
    assert state_names(up.bob) == sessions


@BOTH
def test_the_same_request_again_gets_the_same_response_and_counts_once(
    up: Stopped, for_ike: bool
) -> None:
    link = up.begin(for_ike=for_ike)
    header = up.inside.header(FOLLOWUP, session_of(up.bob).link.window._expected_id, initiator=True)
    request = up.inside.seal(header, (up.key(), linked(link)))
    response = up.scene.tell(up.bob, request)
    for _ in range(3):
        assert up.scene.tell(up.bob, request) == response
    assert up.awaited is not None
    assert len(up.awaited.agreed.rest) == 1


@pytest.mark.parametrize("kinds", [(False, False), (False, True), (True, False), (True, True)])
def test_of_two_rekeyings_only_the_later_goes_on(up: Stopped, kinds: tuple[bool, bool]) -> None:
    """And never with what the earlier one had already."""
    one = up.begin(for_ike=kinds[0])
    one = link_of(up.say(up.key(), linked(one)))
    session_of(up.alice).link.window.answered()  # she gives it up, and begins another
    session_of(up.alice).doing = None
    session_of(up.alice).rekey_at = float("inf")
    other = up.begin(for_ike=kinds[1])
    assert up.awaited is not None
    assert up.awaited.is_ike == kinds[1]
    assert len(up.awaited.agreed.rest) == 2
    assert up.awaited.seed.more == b""
    assert up.say(up.key(), linked(one)) == STATE_NOT_FOUND
    other = link_of(up.say(up.key(), linked(other)))
    assert up.say(up.key(), linked(one)) == STATE_NOT_FOUND
    up.assert_unchanged()
    up.say(up.key(), linked(other))
    assert len(up.bob.sas) == (1 if kinds[1] else 2)
    assert len(state_names(up.bob)) == (2 if kinds[1] else 1)


@BOTH
def test_who_begins_a_thousand_times_leaves_one(up: Stopped, for_ike: bool) -> None:
    up.begin(for_ike=for_ike)
    links = {up.again() for _ in range(50)}
    assert len(links) == 50
    assert up.awaited is not None
    assert up.awaited.link in links
    assert state_names(up.bob) == ["Established"]
    up.assert_unchanged()


@BOTH
@pytest.mark.parametrize("steps", [0, 1])
def test_who_stops_midway_is_forgotten_in_the_end(up: Stopped, steps: int, for_ike: bool) -> None:
    link = up.begin(for_ike=for_ike)
    for _ in range(steps):
        link = link_of(up.say(up.key(), linked(link)))
    key, limits = up.key(), session_of(up.bob).limits
    session_of(up.alice).link.window.answered()  # alice herself is silent from now on
    session_of(up.alice).doing = None
    up.scene.network.run(limits.followup_seconds - 1)
    assert up.awaited is not None
    up.scene.network.run(2)
    assert up.awaited is None
    assert up.say(key, linked(link)) == STATE_NOT_FOUND
    assert len(up.bob.sas) == 1


def test_on_an_ike_sa_that_is_replaced_or_closing_nothing_goes_on(up: Stopped) -> None:
    link = up.begin()
    key = up.key()
    up.scene.network.close(up.bob)
    assert state_names(up.bob) == ["Closing"]
    assert up.say(key, linked(link)) == STATE_NOT_FOUND
    assert not up.bob.sas


# Bob does as he likes.


def asked(up: Stopped, *, for_ike: bool) -> None:
    """Alice has got bob's answer to CREATE_CHILD_SA, and asks for the first exchange."""
    up.scene.network.rekey(up.alice, ike=for_ike)
    (request,) = up.answer(*up.pass_on())
    assert first(up.inside.open(request), KeyExchangePayload) is not None


@BOTH
@pytest.mark.parametrize(
    "spoiled",
    [
        lambda _key, link: (link,),
        lambda key, link: (key, key, link),
        lambda key, link: (replace(key, data=key.data[:-1]), link),
        lambda key, link: (replace(key, data=b""), link),
        lambda key, link: (replace(key, data=bytes(60000)), link),
        lambda key, link: (replace(key, method=KeyExchangeId.X25519), link),
        lambda key, _link: (key,),
        lambda _key, _link: (),
    ],
    ids=["no key", "two", "shorter", "empty", "huge", "another method", "no link", "nothing"],
)
def test_a_response_that_is_none_ends_the_ike_sa(
    up: Stopped, spoiled: Callable[[Payload, Payload], tuple[Payload, ...]], for_ike: bool
) -> None:
    asked(up, for_ike=for_ike)
    answer = up.pass_on()
    key = first(answer, KeyExchangePayload)
    assert key is not None
    up.answer(*spoiled(key, linked(link_of(answer))))
    assert not up.alice.sas
    assert up.alice.saw(PeerMisbehaved)
    assert "Established" not in state_names(up.alice)


@BOTH
def test_more_links_than_exchanges_are_passed_over(up: Stopped, for_ike: bool) -> None:
    """The last response says that one more is to come: it is what was agreed on that counts."""
    asked(up, for_ike=for_ike)
    (request,) = up.answer(*up.pass_on())
    assert first(up.inside.open(request), KeyExchangePayload) is not None
    said = up.answer(*up.pass_on(), linked(b"one more"))
    assert all(first(up.inside.open(one), KeyExchangePayload) is None for one in said)
    assert len(up.alice.sas) == (1 if for_ike else 2)
    assert not up.alice.saw(PeerMisbehaved)


@BOTH
def test_a_responder_that_knows_nothing_of_it_makes_no_sa(up: Stopped, for_ike: bool) -> None:
    asked(up, for_ike=for_ike)
    up.answer(*STATE_NOT_FOUND)
    assert len(up.alice.sas) == 1
    assert state_names(up.alice) == ["Established"]
    assert not up.alice.saw(PeerMisbehaved)


@BOTH
def test_a_responder_does_not_ask_for_what_it_has_to_answer(up: Stopped, for_ike: bool) -> None:
    """Her link in a request of his."""
    asked(up, for_ike=for_ike)
    request = up.inside.open(up.scene.network.sent[-1][1])
    window = session_of(up.alice).link.window
    header = up.inside.header(FOLLOWUP, window._expected_id, initiator=False)
    effects = up.scene.network.deliver(
        up.alice, up.inside.seal(header, request), up.scene.path_to(up.alice)
    )
    (answer,) = (effect.data for effect in effects if isinstance(effect, Send))
    assert up.inside.open(answer) == STATE_NOT_FOUND
    assert len(up.alice.sas) == 1
