"""What strangers can cost, and that honest hosts still connect meanwhile (RFC 7296 §2.6)."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from hushwire.crypto.exchange import KeyExchange
from hushwire.ike.credentials import Psk
from hushwire.ike.effects import Effect, Send, SetTimer
from hushwire.ike.inputs import IkeDrop, Limits
from hushwire.ike.session import Session
from hushwire.sa.association import Address, Path
from hushwire.wire.ike.message import Message, build_plain, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import ADDRESSES, Host, Network, assert_one_tunnel, peer
from tests.sim.stages import Scene, Stage

BOB = Address(ADDRESSES["bob"], 500)
REQUEST = Scene(Stage.ASKED).messages[0][0]


def path_from(ip: str | IPv4Address | IPv6Address, port: int = 500) -> Path:
    return Path(BOB, Address(ip_address(ip), port))


def request(number: int, cookie: bytes = b"") -> bytes:
    """Of a stranger of its own; with the cookie that it got."""
    message = Message.parse(number.to_bytes(8, "big") + REQUEST[8:])
    paid = (Notify(NotifyType.COOKIE, cookie),) if cookie else ()
    return build_plain(message.header, (*paid, *message.payloads))


def answers(effects: list[Effect]) -> list[Message]:
    return [Message.parse(effect.data) for effect in effects if isinstance(effect, Send)]


def cookie_of(message: Message) -> bytes:
    """Empty when it is an answer of another kind."""
    notify = first(message.payloads, Notify)
    return notify.data if notify and notify.type == NotifyType.COOKIE else b""


def knock(network: Network, bob: Host, number: int, path: Path) -> bool:
    """A stranger that is where it says: does it get a place?"""
    said = answers(network.deliver(bob, request(number), path))
    if said and (cookie := cookie_of(said[0])):
        said = answers(network.deliver(bob, request(number, cookie), path))
    return bool(said) and first(said[0].payloads, KeyExchangePayload) is not None


def half_open(host: Host) -> list[Session]:
    return host.endpoint._sessions.crowd.all()


def test_in_a_flood_nothing_is_kept_or_computed_and_an_honest_host_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = 0
    genuine = KeyExchange.answer

    def counted(*arguments: object) -> object:
        nonlocal computed
        computed += 1
        return genuine(*arguments)  # type: ignore[arg-type]

    network = Network()
    limits = Limits()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    alice = network.host("alice", peer("alice", "bob"))
    monkeypatch.setattr(KeyExchange, "answer", counted)

    def flood(numbers: range) -> None:
        for number in numbers:
            ip = IPv4Address(0x0B000000 + number)
            data = number.to_bytes(8, "big") + REQUEST[8:]
            for effect in network.deliver(bob, data, path_from(ip, 1024 + number % 60000)):
                if isinstance(effect, Send):
                    assert len(effect.data) <= len(data)
            network.now += 0.0002

    flood(range(1, 1000))
    gc.collect()
    tracemalloc.start()
    flood(range(1000, 4000))
    network.connect(alice, "bob")
    network.run(0.2)
    flood(range(4000, 5000))
    network.run(1)
    network.sent.clear()
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_one_tunnel(alice, bob)
    assert grown < 200_000
    assert len(half_open(bob)) <= limits.cookies_from
    assert computed <= limits.cookies_from + 3 * limits.unpaid_rate + 1
    assert bob.endpoint.drops[IkeDrop.COOKIE_REQUIRED] > 4900
    assert len(bob.events) < 20


def test_few_may_knock_without_a_cookie_and_soon_again() -> None:
    limits = Limits(cookies_from=10, unpaid_rate=5.0, half_open_seconds=1.0)
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)

    def free(numbers: range) -> int:
        said = [
            answer
            for number in numbers
            for answer in answers(network.deliver(bob, request(number), path_from("11.0.0.1")))
        ]
        return sum(not cookie_of(answer) for answer in said)

    assert free(range(1, 100)) == 10
    network.run(1.1)
    assert not half_open(bob)
    assert free(range(100, 200)) == 5  # the rate, though there is room


def test_a_cookie_is_good_for_its_own_stranger_alone() -> None:
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=Limits(cookies_from=0))
    path = path_from("11.0.0.1")
    (demand,) = answers(network.deliver(bob, request(1), path))
    cookie = cookie_of(demand)
    for data, where in (
        (request(2, cookie), path),
        (request(1, cookie), path_from("11.0.0.2")),
        (request(1, cookie), path_from("11.0.0.1", 501)),
        (request(1, cookie[:-1]), path),
        (request(1, cookie + b"\0"), path),
    ):
        (answer,) = answers(network.deliver(bob, data, where))
        assert cookie_of(answer)
        assert cookie_of(answer) != cookie or where == path
    assert not half_open(bob)
    (answer,) = answers(network.deliver(bob, request(1, cookie), path))
    assert first(answer.payloads, SecurityAssociation)


def test_one_source_cannot_have_all_places_nor_take_those_of_others() -> None:
    limits = Limits(cookies_from=0, half_open=60, half_open_per_source=8)
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    greedy = [knock(network, bob, number, path_from("11.0.0.1")) for number in range(1, 40)]
    assert sum(greedy) == 8
    assert bob.endpoint.drops[IkeDrop.TOO_MANY_OF_SOURCE] == 31
    # Who only claims to be there takes nothing of the share.
    for number in range(50, 90):
        network.deliver(bob, request(number), path_from("11.0.0.2"))
    assert knock(network, bob, 99, path_from("11.0.0.2"))
    network.run(limits.half_open_seconds)
    assert knock(network, bob, 100, path_from("11.0.0.1"))


def test_all_of_an_ipv6_network_is_one_source() -> None:
    limits = Limits(cookies_from=0, half_open_per_source=8)
    network = Network()
    bob = network.host("bob", peer("bob", "alice", address=None), limits=limits)
    base = int(IPv6Address("2001:db8:1:2::"))
    for prefix, many in ((base, 8), (base + (1 << 64), 8)):
        found = [
            knock(network, bob, prefix % 2**60 + number, path_from(IPv6Address(prefix + number)))
            for number in range(1, 20)
        ]
        assert sum(found) == many


def test_how_often_a_source_and_all_may_knock_is_limited() -> None:
    limits = Limits(cookies_from=0, init_rate=50, init_rate_per_source=5, half_open=10**6)
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    one = sum(knock(network, bob, number, path_from("11.0.0.1")) for number in range(1, 30))
    assert one == 10  # twice the rate at once
    assert bob.endpoint.drops[IkeDrop.TOO_FAST_OF_SOURCE] == 19
    all_ = sum(
        knock(network, bob, number, path_from(IPv4Address(0x0B000100 + number)))
        for number in range(100, 200)
    )
    assert one + all_ == 50
    assert bob.endpoint.drops[IkeDrop.TOO_FAST] == 60
    network.now += 1
    assert knock(network, bob, 1000, path_from("11.0.0.1"))


def test_when_all_places_are_taken_the_oldest_gives_way() -> None:
    limits = Limits(cookies_from=0, half_open=20)
    network = Network()
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    for number in range(1, 21):
        assert knock(network, bob, number, path_from(IPv4Address(0x0B000000 + number)))
    assert not knock(network, bob, 30, path_from("11.0.0.30"))
    assert bob.endpoint.drops[IkeDrop.TOO_MANY_HALF_OPEN] == 1
    network.run(3)
    alice = network.host("alice", peer("alice", "bob"))
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    assert bob.endpoint.drops[IkeDrop.GAVE_WAY] == 1
    assert len(half_open(bob)) == 19


def test_a_small_request_gets_no_larger_answer_before_a_cookie() -> None:
    """Nobody can make us send more to a victim than they send themselves."""
    network = Network()
    bob = network.host("bob", peer("bob", "alice"))
    message = Message.parse(request(1))
    # Without its notifications and with a short nonce, it is smaller than our answer.
    small = tuple(p for p in message.payloads if not isinstance(p, Notify | Nonce))
    data = build_plain(message.header, (*small, Nonce(bytes(16))))
    path = path_from("192.0.2.1")
    (demand,) = network.deliver(bob, data, path)[:1]
    assert isinstance(demand, Send)
    cookie = cookie_of(Message.parse(demand.data))
    assert cookie
    assert len(demand.data) <= len(data)
    paid = build_plain(
        message.header, (Notify(NotifyType.COOKIE, cookie), *small, Nonce(bytes(16)))
    )
    (answer,) = answers(network.deliver(bob, paid, path))
    assert first(answer.payloads, KeyExchangePayload)


def test_what_belongs_to_no_ike_sa_is_dropped_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(Stage.UP)
    monkeypatch.setattr(Message, "parse", None)
    for exchange in (ExchangeType.IKE_AUTH, ExchangeType.INFORMATIONAL, 200):
        for flags in (0, 0x08, 0x20, 0x28):
            data = b"nobody's" * 2 + bytes([46, 0x20, exchange, flags]) + bytes(60)
            assert scene.network.deliver(scene.bob, data, scene.path_to(scene.bob)) == []
    assert scene.bob.endpoint.drops[IkeDrop.UNKNOWN_SPI] == 12


def test_what_strangers_do_wrong_is_not_told_for_ever() -> None:
    network = Network()
    bob = network.host("bob", peer("bob", "alice"))
    message = Message.parse(request(1))
    (sa,) = every(message.payloads, SecurityAssociation)
    others = [p for p in message.payloads if p is not sa]
    (transforms,) = [p.transforms for p in sa.proposals[:1]]
    sa = SecurityAssociation((sa.proposals[0].__class__(1, 1, b"", transforms[1:]),))
    for number in range(1, 200):
        header = Message.parse(request(number)).header
        network.deliver(bob, build_plain(header, (sa, *others)), path_from("11.0.0.1"))
        network.now += 0.1
    assert bob.endpoint.drops[IkeDrop.REFUSED] > 100
    assert len(bob.events) <= 15


def test_nor_what_they_do_wrong_when_they_should_prove_who_they_are() -> None:
    network = Network()
    bob = network.host("bob", peer("bob", "alice"))
    for _ in range(40):
        mallory = network.host("alice", peer("alice", "bob", credential=Psk(b"guessed")))
        network.connect(mallory, "bob")
        network.run(0.5)
        assert mallory.failures
    assert 10 <= len(bob.failures) <= 15


def test_a_datagram_that_changes_nothing_has_no_ike_sa_looked_at() -> None:
    """Else it would cost the more, the more IKE SAs there are; keys are not needed to send it."""
    scene = Scene(Stage.UP)
    here = scene.path_to(scene.bob)
    header = scene.inside.header(ExchangeType.INFORMATIONAL, 2, initiator=True)
    genuine = scene.inside.seal(header, ())
    forged = genuine[:-1] + bytes([genuine[-1] ^ 1])
    unknown = request(1)[:16] + bytes([0, 0x30]) + request(1)[18:]
    nobody = build_plain(
        replace(header, exchange=ExchangeType.INFORMATIONAL, response=True),
        (Notify(NotifyType.INVALID_IKE_SPI),),
    )
    for data, path in (
        (forged, here),  # not by its keys
        (scene.messages[2][0], here),  # the last request again
        (scene.inside.seal(replace(header, message_id=9), ()), here),  # not its turn
        (request(1)[:-1], path_from("11.0.0.1")),  # malformed
        (unknown, path_from("11.0.0.1")),  # of a higher version
        (nobody, path_from("11.0.0.1")),  # a hint from elsewhere
    ):
        effects = scene.network.deliver(scene.bob, data, path)
        assert not any(isinstance(effect, SetTimer) for effect in effects)
    assert isinstance(scene.network.deliver(scene.bob, genuine, here)[-1], SetTimer)


@pytest.mark.parametrize("stage", [Stage.PROVING, Stage.UP])
def test_an_overheard_request_sent_again_and_again_is_no_way_to_flood_others(stage: Stage) -> None:
    """It is answered every time (§2.1), and the answer may be larger than it."""
    scene = Scene(stage)
    request, here = scene.messages[0 if stage is Stage.PROVING else 2]
    victim = here._replace(remote=here.remote._replace(ip=ip_address("203.0.113.9")))
    if stage is Stage.PROVING:
        victim = here  # another address is another stranger (§2.1), who may need a cookie

    def answered(path: Path, times: int) -> int:
        return sum(
            len(answers(scene.network.deliver(scene.bob, request, path))) for _ in range(times)
        )

    assert answered(victim, 100) == 10
    assert scene.bob.endpoint.drops[IkeDrop.REPEATED_TOO_OFTEN] == 90
    scene.network.now += 1
    assert answered(victim, 100) == 5
    if victim != here:
        assert answered(here, 3) == 3  # the peer's own share
