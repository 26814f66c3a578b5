"""Hosts on the move (RFC 4555): the tunnel goes on, and goes only where the peer really is."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from hushwire.explain.outcome import ClosedByUs, Moved, PeerMisbehaved
from hushwire.ike.states import Established
from hushwire.ike.tasks import mobike
from hushwire.sa.association import Address, Encapsulation, Path
from hushwire.wire.errors import WireError
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import (
    ADDRESSES,
    Host,
    Network,
    assert_one_tunnel,
    esp,
    ike,
    pair,
    peer,
)
from tests.sim.stages import Insider, Scene, Stage, session_of

HOME, BOB = ADDRESSES["alice"], ADDRESSES["bob"]
AWAY, FARTHER, BOBS_OTHER = (ip_address(f"203.0.113.{last}") for last in (7, 8, 9))
NAT = ip_address("198.51.100.1")


def at_home(network: Network, **changes: object) -> tuple[Host, Host]:
    """Alice, who has begun, and bob, with a tunnel; both know where they are."""
    alice, bob = pair(network, **changes)
    network.connect(alice, "bob")
    network.run(1)
    network.settle(alice, HOME)
    network.settle(bob, BOB)
    network.run(1)
    return alice, bob


def ends(host: Host) -> tuple[object, object]:
    """Where the one SA of the host goes from and to."""
    (sa,) = host.sas.values()
    return sa.path.local.ip, sa.path.remote.ip


def test_the_initiator_gets_another_address_and_the_tunnel_goes_on() -> None:
    network = Network()
    alice, bob = at_home(network)
    before = assert_one_tunnel(alice, bob)
    network.settle(alice, AWAY)
    assert ends(alice) == (AWAY, BOB)  # at once
    network.run(1)
    assert ends(bob) == (BOB, AWAY)
    after = assert_one_tunnel(alice, bob)
    assert [sa.inbound_spi for sa in after] == [sa.inbound_spi for sa in before]
    assert alice.saw(Moved)
    assert bob.saw(Moved)
    network.settle(alice, HOME)  # and back again
    network.run(1)
    assert ends(bob) == (BOB, HOME)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_the_responder_gets_another_address_and_the_tunnel_goes_on() -> None:
    network = Network()
    alice, bob = at_home(network)
    network.settle(bob, BOBS_OTHER)
    network.run(1)
    assert (ends(alice), ends(bob)) == ((HOME, BOBS_OTHER), (BOBS_OTHER, HOME))
    assert_one_tunnel(alice, bob)


def test_nothing_is_said_when_nothing_has_changed() -> None:
    network = Network()
    alice, bob = at_home(network)
    sent = len(network.sent)
    network.settle(alice, HOME)
    network.settle(bob, BOB)
    network.run(1)
    assert len(network.sent) == sent


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_without_mobike_a_new_ike_sa_takes_the_place_of_the_old_one(who: str) -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob", mobike=who != "alice"))
    bob = network.host("bob", peer("bob", "alice", mobike=who != "bob"))
    network.connect(alice, "bob")
    network.run(1)
    network.settle(alice, HOME)
    before = alice.endpoint.sessions()[0].initiator_spi
    network.settle(alice, AWAY)
    network.run(10)
    assert ends(bob) == (BOB, AWAY)
    assert_one_tunnel(alice, bob)
    assert alice.endpoint.sessions()[0].initiator_spi != before


def test_child_sas_stay_where_they_are_until_the_peer_has_answered_from_there() -> None:
    network = Network()
    alice, bob = at_home(network)
    network.on_send = lambda host, data, _path: None if from_alice(host, data) else data
    network.settle(alice, AWAY)
    network.run(3)
    assert ends(bob) == (BOB, HOME)
    assert session_of(bob).link.path.remote.ip == AWAY
    network.on_send = lambda _host, data, _path: data
    network.run(10)
    assert ends(bob) == (BOB, AWAY)


def from_alice(host: Host, data: bytes) -> bool:
    """A response of hers."""
    return host.name == "alice" and bool(data[19] & 0x20)


def cookie_of(inside: Insider, data: bytes) -> bytes:
    cookies = [
        one.data
        for one in inside.open(data)
        if isinstance(one, Notify) and one.type == NotifyType.COOKIE2
    ]
    return cookies[0] if cookies else b""


@pytest.mark.parametrize("answer", ["none", "another"])
def test_an_answer_without_the_cookie_ends_the_ike_sa(answer: str) -> None:
    scene = Scene(Stage.UP)
    network, alice, bob, inside = scene.network, scene.alice, scene.bob, scene.inside
    network.settle(alice, HOME)
    network.run(1)
    scene.release()

    def forge(host: Host, data: bytes, _path: Path) -> bytes | None:
        if not from_alice(host, data) or not cookie_of(inside, data):
            return data
        header = inside.header(
            ExchangeType.INFORMATIONAL,
            int.from_bytes(data[20:24], "big"),
            initiator=True,
            response=True,
        )
        said = (Notify(NotifyType.COOKIE2, bytes(16)),) if answer == "another" else ()
        return inside.seal(header, said)

    network.on_send = forge
    network.settle(alice, AWAY)
    network.run(5)
    (failure,) = bob.saw(PeerMisbehaved)
    assert "check of its address" in str(failure)
    assert not bob.sas


@pytest.mark.parametrize("stage", [Stage.CLOSING, Stage.REKEYING])
def test_a_check_that_comes_when_the_ike_sa_is_ending_is_answered_too(stage: Stage) -> None:
    """§3.7: else who has not heard of the end yet would think that nobody is there."""
    scene = Scene(stage)
    host, initiator, message_id = (
        (scene.alice, False, 0) if stage is Stage.CLOSING else (scene.bob, True, 3)
    )
    header = scene.inside.header(ExchangeType.INFORMATIONAL, message_id, initiator=initiator)
    cookie = Notify(NotifyType.COOKIE2, bytes(range(16)))
    (answer,) = scene.tell(host, scene.inside.seal(header, (cookie,)))
    assert scene.inside.open(answer) == (cookie,)


def test_behind_a_nat_esp_goes_in_udp_and_without_one_bare_again() -> None:
    network = Natted()
    alice, bob = at_home(network)
    assert assert_one_tunnel(alice, bob)[0].encapsulation is Encapsulation.ESP
    network.translated = AWAY
    network.settle(alice, AWAY)
    network.run(2)
    a, b = (next(iter(host.sas.values())) for host in (alice, bob))
    assert a.encapsulation is b.encapsulation is Encapsulation.UDP
    assert (a.keepalive, a.follow, b.keepalive, b.follow) == (True, False, False, True)
    assert b.path.remote == Address(NAT, 4500 + network.offset)
    network.translated = None
    network.settle(alice, HOME)
    network.run(2)
    a, b = assert_one_tunnel(alice, bob)
    assert a.encapsulation is Encapsulation.ESP
    assert not (a.keepalive or b.follow)


class Natted(Network):
    """What comes from the address `translated` comes from the NAT's, and what goes there too."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.translated: object = None
        self.offset = 1000

    def _transmit(self, host: Host, data: bytes, path: Path) -> None:
        if path.local.ip == self.translated:
            path = path._replace(local=Address(NAT, path.local.port + self.offset))
        super()._transmit(host, data, path)

    def _arrive(self, data: bytes, path: Path) -> None:
        if path.remote.ip == NAT:
            port = path.remote.port - self.offset
            if port not in (500, 4500) or self.translated is None:
                return
            path = path._replace(remote=Address(self.translated, port))  # type: ignore[arg-type]
        super()._arrive(data, path)


def test_in_silence_who_is_behind_a_nat_tells_of_its_new_mapping() -> None:
    network = Natted()
    network.translated = HOME
    alice, bob = at_home(network)
    network.offset += 1000
    network.run(25)  # more than `liveness`
    (sa,) = bob.sas.values()
    assert sa.path.remote == Address(NAT, 4500 + network.offset)
    assert alice.failures == bob.failures == []


def test_who_is_behind_a_nat_and_put_off_tells_of_its_new_mapping() -> None:
    """Bob waits for the answer to his Delete, which goes to a port that nobody has any more."""
    network = Natted()
    network.translated = HOME
    alice, bob = at_home(network)
    before = network.offset

    def rebind(host: Host, data: bytes, _path: Path) -> bytes:
        if host is bob and data[18] == ExchangeType.INFORMATIONAL and network.offset == before:
            network.offset += 1000
        return data

    network.on_send = rebind
    network.rekey(bob)
    network.run(1)
    network.rekey(alice, ike=True)
    network.run(10)  # less than `liveness`
    (sa,) = bob.sas.values()
    assert sa.path.remote == Address(NAT, 4500 + before + 1000)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_who_moves_is_found_by_a_peer_that_has_not_got_the_new_ike_sa_yet() -> None:
    network = Network()
    alice, bob = at_home(network)

    def lose(host: Host, data: bytes, _path: Path) -> bytes | None:
        return None if host is bob and data[18] == ExchangeType.CREATE_CHILD_SA else data

    network.on_send = lose
    network.rekey(alice, ike=True)
    network.run(0.1)
    network.settle(bob, BOBS_OTHER)
    network.run(0.1)
    network.on_send = lambda _host, data, _path: data
    network.run(10)
    assert (ends(alice), ends(bob)) == ((HOME, BOBS_OTHER), (BOBS_OTHER, HOME))
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_an_ike_sa_that_was_made_before_its_predecessor_moved_moves_too() -> None:
    for seed in range(8):  # either new IKE SA may be the one that goes on
        network = Natted(seed)
        network.translated = HOME
        alice, bob = at_home(network)
        network.rekey(alice, ike=True)
        network.rekey(bob, ike=True)
        network.run(0.015)
        network.offset += 1000
        (sa,) = bob.sas.values()
        mapped = Path(sa.path.local, Address(NAT, 4500 + network.offset))
        network._carry_out(bob, bob.endpoint.moved(sa.inbound_spi, mapped, network.now))
        network.run(5)
        (view,) = bob.endpoint.sessions()
        assert view.path == mapped
        assert_one_tunnel(alice, bob)


def test_ike_from_elsewhere_moves_nobody_unless_it_says_so() -> None:
    scene = Scene(Stage.UP, encap="udp")
    scene.release()
    header = scene.inside.header(ExchangeType.INFORMATIONAL, 2, initiator=True)
    elsewhere = Path(scene.path_to(scene.bob).local, Address(AWAY, 4500))
    effects = scene.network.deliver(scene.bob, scene.inside.seal(header, ()), elsewhere)
    assert effects
    assert ends(scene.bob)[1] == HOME
    header = replace(header, message_id=3)
    update = scene.inside.seal(header, (Notify(NotifyType.UPDATE_SA_ADDRESSES),))
    scene.network.deliver(scene.bob, update, elsewhere)
    assert session_of(scene.bob).link.path.remote.ip == AWAY
    assert ends(scene.bob)[1] == HOME  # nobody has answered from there


def test_of_several_addresses_of_the_responder_one_that_works_is_found() -> None:
    network = Network()
    alice, bob = pair(network)
    network.settle(bob, BOB, BOBS_OTHER)
    network.connect(alice, "bob")
    network.run(1)
    network.settle(alice, HOME)
    assert alice.endpoint.remotes() == {BOB, BOBS_OTHER}
    del network.hosts[BOB]  # bob does not know that nothing reaches him there any more
    network.run(60)
    assert (ends(alice), ends(bob)) == ((HOME, BOBS_OTHER), (BOBS_OTHER, HOME))
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_when_there_is_no_way_to_one_address_the_other_one_is_used_at_once() -> None:
    network = Network()
    alice, bob = pair(network)
    network.settle(bob, BOB, BOBS_OTHER)
    network.connect(alice, "bob")
    network.run(1)
    network.settle(alice, HOME)
    network.settle(alice, HOME, reach=[BOBS_OTHER])
    network.run(1)
    assert (ends(alice), ends(bob)) == ((HOME, BOBS_OTHER), (BOBS_OTHER, HOME))


def test_an_address_inside_the_tunnel_is_not_acceptable() -> None:
    network = Network()
    alice, bob = at_home(network)
    network.settle(alice, ip_address("10.0.1.1"))
    network.run(1)
    (moved,) = [event for event in alice.saw(Moved) if event.refused]  # type: ignore[attr-defined]
    assert moved.refused == "UNACCEPTABLE_ADDRESSES"  # type: ignore[attr-defined]
    assert next(iter(bob.sas.values())).path.remote.ip == HOME


@pytest.mark.parametrize("ike_sa", [False, True])
def test_where_we_are_is_told_in_the_middle_of_the_peers_key_exchanges(ike_sa: bool) -> None:
    """What the peer asks next goes to where we were."""
    network = Network()
    hybrid = "x25519-ke1_mlkem768"
    alice, bob = at_home(
        network,
        ike_proposals=ike(f"aes256gcm16-prfsha384-{hybrid}"),
        esp_proposals=esp(f"aes256gcm16-{hybrid}-esn"),
    )
    before = assert_one_tunnel(alice, bob)
    network.rekey(bob, ike=ike_sa)
    network.run(0.025)
    assert session_of(alice).awaited is not None
    network.settle(alice, AWAY)
    network.run(1)
    assert {sa.path.remote.ip for sa in bob.sas.values()} == {AWAY}
    network.run(60)
    after = assert_one_tunnel(alice, bob)
    assert (after[0].inbound_key != before[0].inbound_key) is not ike_sa
    assert alice.failures == bob.failures == []


def test_what_was_not_answered_is_said_again_by_the_next_ike_sa() -> None:
    network = Network()
    alice, bob = at_home(network)
    network.rekey(bob, ike=True)
    network.settle(alice, AWAY)
    network.settle(alice, FARTHER)
    network.run(20)
    assert ends(bob) == (BOB, FARTHER)
    assert_one_tunnel(alice, bob)
    assert isinstance(session_of(bob).state, Established)


def test_a_malformed_cookie_or_address_is_refused() -> None:
    path = Path(Address(HOME, 4500), Address(BOB, 4500))
    for octets in (7, 65):
        with pytest.raises(WireError):
            mobike.read((Notify(NotifyType.COOKIE2, bytes(octets)),), path)
    with pytest.raises(WireError):
        mobike.read((Notify(NotifyType.ADDITIONAL_IP4_ADDRESS, bytes(5)),), path)


def test_no_more_addresses_are_kept_than_allowed_and_none_that_is_no_host() -> None:
    path = Path(Address(HOME, 4500), Address(BOB, 4500))
    many = [ip_address(f"203.0.113.{last}") for last in range(1, 40)]
    bad = [ip_address(text) for text in ("127.0.0.1", "224.0.0.1", "0.0.0.0", "169.254.1.1")]
    said = tuple(
        Notify(NotifyType.ADDITIONAL_IP4_ADDRESS, address.packed) for address in (*bad, *many)
    )
    assert mobike.read(said, path).addresses == frozenset(many[: mobike.MOST_ADDRESSES])
    assert len(mobike.announcement(path, many)) == mobike.MOST_ADDRESSES


def test_addresses_that_were_changed_on_the_way_are_not_followed() -> None:
    """NO_NATS_ALLOWED (§3.9)."""
    scene = Scene(Stage.UP)
    scene.release()
    header = scene.inside.header(ExchangeType.INFORMATIONAL, 2, initiator=True)
    elsewhere = Path(scene.path_to(scene.bob).local, Address(AWAY, 4500))
    ports = (4500).to_bytes(2, "big") * 2
    told = Notify(NotifyType.NO_NATS_ALLOWED, HOME.packed + BOB.packed + ports)
    said = (Notify(NotifyType.UPDATE_SA_ADDRESSES), told)
    scene.network.deliver(scene.bob, scene.inside.seal(header, said), elsewhere)
    answer = scene.inside.open(scene.network.sent[-1][1])
    assert Notify(NotifyType.UNEXPECTED_NAT_DETECTED) in answer
    assert session_of(scene.bob).link.path.remote.ip == HOME


def test_who_is_about_to_end_the_ike_sa_still_answers_a_check_of_its_address() -> None:
    """It is reauthenticated, and its peer asks on the old one: else both would lose packets."""
    scene = Scene(Stage.UP)
    network, alice, inside = scene.network, scene.alice, scene.inside
    scene.release()
    network.close(alice)
    header = inside.header(ExchangeType.INFORMATIONAL, 0, initiator=False)
    sent = len(network.sent)
    cookie = Notify(NotifyType.COOKIE2, bytes(range(16)))
    network.deliver(alice, inside.seal(header, (cookie,)), scene.path_to(alice))
    answers = [data for name, data, _ in network.sent[sent:] if name == "alice" and data[19] & 0x20]
    assert [cookie_of(inside, data) for data in answers] == [cookie.data]


def test_who_moves_while_it_says_goodbye_says_it_from_there() -> None:
    network = Network()
    alice, bob = at_home(network)
    network.on_send = lambda _host, data, path: None if path.local.ip == HOME else data
    network.close(alice)
    network.settle(alice, AWAY)
    network.run(0.1)
    assert not bob.sas
    assert alice.saw(ClosedByUs) == [ClosedByUs("bob", acknowledged=True)]


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_who_moves_while_the_peer_says_goodbye_hears_it_there(who: str) -> None:
    network = Network()
    alice, bob = at_home(network)
    mover, other = (alice, bob) if who == "alice" else (bob, alice)
    network.settle(mover, AWAY)
    network.close(other)  # says so where the mover is no more
    network.run(0.1)
    assert not mover.sas
    assert other.saw(ClosedByUs) == [ClosedByUs(who, acknowledged=True)]
