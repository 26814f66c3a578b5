"""IKE inside TCP (RFC 9329): one connection after the other, and one IKE SA."""

from __future__ import annotations

import pytest

from hushwire.explain.outcome import Failure, PeerAnswered, PeerSilent, Reconnected, TunnelUp
from hushwire.ike.endpoint import Endpoint
from hushwire.ike.inputs import RELIABLE, IkeDrop, Limits, Patience
from hushwire.ike.nat import detect
from hushwire.sa.association import Carrier, Encap, Encapsulation
from hushwire.wire.ike.message import Message, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import Host, Weather, assert_one_tunnel, peer
from tests.sim.streams import StreamNetwork, reverse


def pair(network: StreamNetwork, encap: Encap = Encap.TCP) -> tuple[Host, Host]:
    return (
        network.host("alice", peer("alice", "bob", encap=encap)),
        network.host("bob", peer("bob", "alice", encap=encap)),
    )


def exchanges(network: StreamNetwork) -> list[tuple[str, int]]:
    return [(name, Message.parse(data).header.exchange) for name, data, _ in network.sent]


@pytest.mark.parametrize("encap", [Encap.TCP, Encap.AUTO])
def test_all_of_it_goes_by_the_one_connection_and_nothing_is_sent_twice(encap: Encap) -> None:
    network = StreamNetwork()
    alice, bob = pair(network, encap)
    path = network.connect_in_tcp(alice, "bob")
    network.run(600)
    a, b = assert_one_tunnel(alice, bob)
    assert a.encapsulation is b.encapsulation is Encapsulation.TCP
    assert (a.path, b.path) == (path, reverse(path))
    assert {sent for _, _, sent in network.sent} == {path, reverse(path)}
    assert len({data for _, data, _ in network.sent}) == len(network.sent)
    assert not a.keepalive
    assert not b.keepalive
    assert alice.endpoint.streams() == {path: True}
    assert bob.endpoint.streams() == {reverse(path): True}


def test_a_nat_is_detected_by_the_ports_of_tcp_and_changes_nothing() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    path = network.connect_in_tcp(alice, "bob", behind="203.0.113.1")
    network.run(1)
    kinds = [
        {notify.type for notify in every(Message.parse(data).payloads, Notify)}
        for _, data, _ in network.sent[:2]
    ]
    for told in kinds:
        assert {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP} <= told
    a, b = assert_one_tunnel(alice, bob)
    assert a.encapsulation is b.encapsulation is Encapsulation.TCP
    assert (str(b.path.remote.ip), a.path) == ("203.0.113.1", path)
    assert not a.keepalive
    (answered,) = alice.saw(PeerAnswered)
    assert isinstance(answered, PeerAnswered)
    assert answered.nat == ""


def test_without_a_nat_the_hashes_agree_inside_tcp_too() -> None:
    network = StreamNetwork()
    alice, _ = pair(network)
    path = network.connect_in_tcp(alice, "bob")
    network.run(1)
    request, response = (Message.parse(data) for _, data, _ in network.sent[:2])
    for message, seen in ((request, reverse(path)), (response, path)):
        spis = message.header.initiator_spi, message.header.responder_spi
        view = detect(message.payloads, *spis, seen)
        assert view.supported
        assert not view.found


def test_a_new_connection_carries_the_same_ike_sa_on_both_sides() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    before = network.connect_in_tcp(alice, "bob")
    network.run(5)
    spis = set(alice.sas) | set(bob.sas)
    network.cut(before)
    network.run(5)
    after = network.reconnect(alice, before, "bob")
    network.run(1)
    a, b = assert_one_tunnel(alice, bob)
    assert set(alice.sas) | set(bob.sas) == spis
    assert (a.path, b.path) == (after, reverse(after))
    assert exchanges(network)[-2:] == [
        ("alice", ExchangeType.INFORMATIONAL),
        ("bob", ExchangeType.INFORMATIONAL),
    ]
    assert len(alice.saw(Reconnected)) == 1
    network.run(600)
    assert_one_tunnel(alice, bob)
    assert not alice.saw(Failure)
    assert not bob.saw(Failure)


def test_a_request_in_flight_is_repeated_on_the_new_connection() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    before = network.connect_in_tcp(alice, "bob")
    network.run(19)
    network.cut(before)
    network.run(3)  # both have asked whether the other lives, into the void
    sent = len(network.sent)
    after = network.reconnect(alice, before, "bob")
    network.run(1)
    assert network.sent[sent][1] == network.sent[sent - 1][1] or any(
        data == network.sent[sent][1] for _, data, _ in network.sent[:sent]
    )
    a, b = assert_one_tunnel(alice, bob)
    assert (a.path, b.path) == (after, reverse(after))
    network.run(300)
    assert not alice.saw(Failure)
    assert not bob.saw(Failure)


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_peer_that_knew_the_request_already_still_follows(answer_lost: bool) -> None:
    """A repetition moves nobody (§6.1): one message more does."""
    network = StreamNetwork()
    alice, bob = pair(network)
    before = network.connect_in_tcp(alice, "bob")
    network.run(1)
    if answer_lost:
        network.on_send = lambda host, data, _: None if host is bob else data
    network.run(21)
    network.on_send = lambda _host, data, _path: data
    network.cut(before)
    after = network.reconnect(alice, before, "bob")
    network.run(1)
    a, b = assert_one_tunnel(alice, bob)
    assert (a.path, b.path) == (after, reverse(after))


@pytest.mark.parametrize("lost_at", [0, 1, 2, 3])
def test_a_connection_lost_during_the_negotiation_is_replaced(lost_at: int) -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    paths = [network.open(alice, "bob")]

    def cut(host: Host, data: bytes, _: object) -> bytes:
        if len(network.sent) == lost_at + 1:
            network.cut(paths[0])
        return data

    network.on_send = cut
    network._carry_out(alice, alice.endpoint.connect("bob", paths[0], network.now))
    network.run(1)
    network.reconnect(alice, paths[0], "bob")
    network.run(100)
    assert_one_tunnel(alice, bob)
    assert not alice.saw(Failure)
    assert not alice.saw(Reconnected), "there was no tunnel yet that could go on"


def test_a_peer_that_has_forgotten_the_ike_sa_is_not_taken_for_reconnected() -> None:
    network = StreamNetwork()
    alice, _ = pair(network)
    before = network.connect_in_tcp(alice, "bob")
    network.run(5)
    network.host("bob", peer("bob", "alice", encap=Encap.TCP))
    network.reconnect(alice, before, "bob")
    network.run(RELIABLE.total + 1)
    assert not alice.saw(Reconnected)
    assert [type(event) for event in alice.saw(Failure)] == [PeerSilent]


def test_without_a_new_connection_both_give_up_in_the_usual_time() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    path = network.connect_in_tcp(alice, "bob")
    network.run(1)
    network.cut(path)
    network.run(20 + RELIABLE.total)
    for host in (alice, bob):
        (silent,) = host.saw(Failure)
        assert isinstance(silent, PeerSilent)
        assert silent.in_tcp
        assert not host.sas
        assert not host.endpoint.streams()


def test_esp_on_another_connection_moves_the_responder_and_never_the_originator() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    first = network.connect_in_tcp(alice, "bob")
    network.run(1)
    second = network.open(alice, "bob")
    network.moved(bob, next(iter(bob.sas)), reverse(second))
    network.moved(alice, next(iter(alice.sas)), second)
    (a,), (b,) = alice.sas.values(), bob.sas.values()
    assert (a.path, b.path) == (first, reverse(second))
    assert [view.path for view in bob.endpoint.sessions()] == [reverse(second)]


def test_a_forged_message_on_another_connection_moves_nobody_and_costs_that_connection() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    path = network.connect_in_tcp(alice, "bob")
    network.run(21)
    of_alice = [data for name, data, _ in network.sent if name == "alice"]
    genuine = [data for data in of_alice if not Message.parse(data).header.response][-1]
    mallory = network.open(alice, "bob")
    next_id = Message.parse(genuine).header.message_id + 1
    forged = genuine[:20] + next_id.to_bytes(4, "big") + genuine[24:]
    for data in (genuine, forged, b"no IKE at all"):
        network.deliver(bob, data, reverse(mallory))
    assert network.closed_by_hosts == [reverse(mallory)] * 2
    assert [view.path for view in bob.endpoint.sessions()] == [reverse(path)]
    network.run(100)
    assert_one_tunnel(alice, bob)


def test_a_message_by_udp_does_not_take_an_ike_sa_out_of_tcp() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    path = network.connect_in_tcp(alice, "bob")
    network.run(1)
    network.on_send = lambda _host, _data, _path: None
    network.run(20)
    in_udp = reverse(path)._replace(carrier=Carrier.UDP)
    network.deliver(bob, network.sent[-1][1], in_udp)
    assert [view.path for view in bob.endpoint.sessions()] == [reverse(path)]


def test_one_connection_is_for_one_ike_sa() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    path = network.connect_in_tcp(alice, "bob")
    network.run(1)
    other = Endpoint([peer("alice", "bob", encap=Encap.TCP)], network.random.randbytes, network.now)
    request = other.connect("bob", path, network.now)[0].data  # type: ignore[union-attr]
    before = bob.endpoint.drops[IkeDrop.REFUSED]
    assert network.deliver(bob, request, reverse(path)) == []
    assert bob.endpoint.drops[IkeDrop.REFUSED] == before + 1
    second = network.open(alice, "bob")
    assert len(network.deliver(bob, request, reverse(second))) == 2


def test_who_opens_connection_after_connection_leaves_nothing_half_open() -> None:
    network = StreamNetwork()
    limits = Limits(cookies_from=3, half_open=5)
    bob = network.host("bob", peer("bob", "alice", encap=Encap.TCP), limits=limits)
    for _ in range(20):
        stranger = network.host("alice", peer("alice", "bob", encap=Encap.TCP))
        path = network.connect_in_tcp(stranger, "bob")
        network.on_send = lambda host, data, _: data if host is bob else None
        network.deliver(bob, network.sent[-1][1], reverse(path))
        network.cut(path)
        bob.endpoint.lost(reverse(path), network.now)
    assert bob.endpoint.drops[IkeDrop.TOO_MANY_HALF_OPEN] == 0
    assert len(bob.endpoint.streams()) < limits.cookies_from
    network.on_send = lambda _host, data, _path: data
    alice = network.host("alice", peer("alice", "bob", encap=Encap.TCP))
    network.connect_in_tcp(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)


def test_no_cookies_inside_tcp_where_the_address_is_proved() -> None:
    network = StreamNetwork()
    alice = network.host("alice", peer("alice", "bob", encap=Encap.TCP))
    bob = network.host("bob", peer("bob", "alice", encap=Encap.TCP), limits=Limits(cookies_from=0))
    network.connect_in_tcp(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    assert bob.endpoint.drops[IkeDrop.COOKIE_REQUIRED] == 0


@pytest.mark.parametrize(
    ("encap", "by_tcp"), [(Encap.ESP, True), (Encap.UDP, True), (Encap.TCP, False)]
)
def test_a_carrier_that_is_not_configured_is_not_answered(encap: Encap, by_tcp: bool) -> None:
    network = StreamNetwork()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host("bob", peer("bob", "alice", encap=encap))
    if by_tcp:
        network.connect_in_tcp(alice, "bob")
    else:
        network.connect(alice, "bob")
    network.run(1)
    assert {name for name, _, _ in network.sent} == {"alice"}
    assert bob.endpoint.drops[IkeDrop.REFUSED] >= 1


def test_auto_asks_for_tcp_after_three_messages_without_an_answer() -> None:
    network = StreamNetwork()
    network.weather = Weather(loss=1.0)
    alice, bob = pair(network, Encap.AUTO)
    network.connect(alice, "bob")
    network.run(3.4)
    assert network.wants_tcp == []
    network.run(0.2)
    assert network.wants_tcp == [("alice", "bob")]
    network.connect_in_tcp(alice, "bob")
    network.run(60)
    a, _ = assert_one_tunnel(alice, bob)
    assert a.encapsulation is Encapsulation.TCP
    assert network.wants_tcp == [("alice", "bob")]
    assert not alice.saw(Failure)
    by_udp, by_tcp = ({d[:8] for _, d, p in network.sent if p.carrier is c} for c in Carrier)
    assert not by_udp & by_tcp, "§5.1: the attempt in TCP has an SPI of its own"


@pytest.mark.parametrize("encap", [Encap.ESP, Encap.UDP])
def test_tcp_is_not_asked_for_where_another_encapsulation_is_prescribed(encap: Encap) -> None:
    network = StreamNetwork()
    network.weather = Weather(loss=1.0)
    alice, _ = pair(network, encap)
    network.connect(alice, "bob")
    network.run(Patience().total + 1)
    assert network.wants_tcp == []
    (silent,) = alice.saw(PeerSilent)
    assert isinstance(silent, PeerSilent)
    assert not silent.in_tcp


def test_udp_that_is_answered_after_all_ends_the_attempt_in_tcp() -> None:
    network = StreamNetwork()
    network.weather = Weather(loss=1.0)
    alice, bob = pair(network, Encap.AUTO)
    network.connect(alice, "bob")
    network.run(4)
    network.weather = Weather()
    network.on_send = lambda _host, data, path: None if path.carrier is Carrier.TCP else data
    path = network.connect_in_tcp(alice, "bob")
    network.run(60)
    a, _ = assert_one_tunnel(alice, bob)
    assert a.encapsulation is Encapsulation.ESP
    assert path not in alice.endpoint.streams()
    assert not alice.saw(Failure)


def test_both_attempts_that_fail_are_both_told() -> None:
    network = StreamNetwork()
    network.weather = Weather(loss=1.0)
    alice, _ = pair(network, Encap.AUTO)
    network.connect(alice, "bob")
    network.run(4)
    network.on_send = lambda _host, _data, _path: None
    network.connect_in_tcp(alice, "bob")
    network.run(40)
    told = [event.in_tcp for event in alice.saw(Failure) if isinstance(event, PeerSilent)]
    assert told == [False, True]


def test_both_hosts_that_connect_at_once_end_with_one_tunnel() -> None:
    for seed in range(50):
        network = StreamNetwork(seed)
        alice, bob = pair(network)
        one, two = network.connect_in_tcp(alice, "bob"), network.connect_in_tcp(bob, "alice")
        network.run(15)
        a, b = assert_one_tunnel(alice, bob)
        assert a.path == reverse(b.path)
        assert a.path in (one, reverse(two))
        assert set(alice.endpoint.streams()) == {a.path}
        assert len(alice.saw(TunnelUp)) <= 2
        assert not alice.saw(Failure)
        assert not bob.saw(Failure)
