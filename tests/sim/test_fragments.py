"""IKE messages larger than a path takes: fragments both ways, lost, late, twice (RFC 7383)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from hushwire.ike.effects import Send
from hushwire.ike.fragments import plain
from hushwire.ike.inputs import IkeDrop, Incoming, Limits, Patience, Turn
from hushwire.ike.link import FIRST_DATAGRAM_OCTETS, SMALLER_DATAGRAM_OCTETS
from hushwire.ike.states import Established, HalfOpen, InitSent
from hushwire.sa.association import Carrier
from hushwire.sa.selectors import from_network
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, build_chain, build_plain, build_sk_head
from hushwire.wire.ike.payloads.encrypted import Part
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import (
    NETWORKS,
    Host,
    Network,
    Weather,
    assert_one_tunnel,
    peer,
)
from tests.sim.stages import Insider, Scene, Stage, session_of, state_names
from tests.sim.streams import StreamNetwork, reverse

AUTH, CREATE, INFO = (
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)
UDP_AND_IPV4 = 28
MANY = tuple(
    from_network(ip_network(text))
    for text in (NETWORKS["alice"], *(f"10.7.0.{number}/32" for number in range(1, 250, 2)))
)
"""So many selectors that every message about a CHILD_SA has more than 2000 octets."""


def pair(network: Network, **changes: object) -> tuple[Host, Host]:
    return (
        network.host("alice", peer("alice", "bob", local_selectors=MANY, **changes)),
        network.host("bob", peer("bob", "alice", remote_selectors=MANY, **changes)),
    )


def parts(network: Network, name: str) -> list[Part | None]:
    """What a host has sent after IKE_SA_INIT, piece by piece."""
    sent = [Message.parse(data) for host, data, _ in network.sent if host == name]
    return [message.encrypted.part for message in sent if message.encrypted]


def largest(network: Network) -> int:
    """Octets of the largest IP datagram."""
    return max(len(data) for _, data, _ in network.sent) + UDP_AND_IPV4


def takes(network: Network, octets: int) -> None:
    """From now on the path loses what is larger, and says nothing."""

    def gate(_host: Host, data: bytes, _path: object) -> bytes | None:
        return data if len(data) + UDP_AND_IPV4 <= octets else None

    network.on_send = gate


def test_large_messages_of_every_exchange_travel_in_fragments_both_ways() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    before = assert_one_tunnel(alice, bob)
    assert largest(network) <= FIRST_DATAGRAM_OCTETS
    for name in ("alice", "bob"):
        assert parts(network, name) == [Part(1, 2), Part(2, 2)]
    for host in (alice, bob):
        network.sent.clear()
        network.rekey(host)
        network.run(10)
        assert assert_one_tunnel(alice, bob) != before
        assert {Part(1, 2), Part(2, 2)} <= set(parts(network, "alice"))
        assert {Part(1, 2), Part(2, 2)} <= set(parts(network, "bob"))
        assert largest(network) <= FIRST_DATAGRAM_OCTETS
    network.rekey(alice, ike=True)
    network.run(60)
    network.sent.clear()
    network.rekey(bob)  # on the rekeyed IKE SA too
    network.run(10)
    assert {Part(1, 2), Part(2, 2)} <= set(parts(network, "bob"))
    assert_one_tunnel(alice, bob)
    assert not alice.failures + bob.failures


def test_what_fits_is_sent_whole() -> None:
    scene = Scene(Stage.CLOSED)
    for data, _ in scene.messages[2:]:
        sealed = Message.parse(data).encrypted
        assert sealed is not None
        assert sealed.part is None


@pytest.mark.parametrize("seed", range(12))
def test_fragments_may_be_lost_late_and_twice(seed: int) -> None:
    network = Network(seed, Weather(loss=0.25, duplication=0.3, delay=(0.005, 0.4)))
    patience = Patience(0.5, 1.1, 40)
    alice = network.host(
        "alice", peer("alice", "bob", local_selectors=MANY, liveness=500.0), patience=patience
    )
    bob = network.host(
        "bob",
        peer("bob", "alice", remote_selectors=MANY, liveness=500.0),
        patience=patience,
        limits=Limits(half_open_seconds=100, replaced_seconds=200),
    )
    network.connect(alice, "bob")
    network.run(60)
    before = assert_one_tunnel(alice, bob)
    network.rekey(bob)
    network.run(100)
    assert assert_one_tunnel(alice, bob) != before


def test_a_path_that_takes_less_is_found_by_smaller_fragments() -> None:
    """§2.5.2; and the answers become smaller too."""
    network = Network()
    takes(network, SMALLER_DATAGRAM_OCTETS)
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(10)
    assert_one_tunnel(alice, bob)
    totals = [part.total for part in parts(network, "alice") if part]
    assert totals == sorted(totals)  # they only ever grow
    assert totals[0] == 2
    assert totals[-1] > 4
    network.sent.clear()
    network.rekey(alice)  # from now on it is known
    network.run(10)
    assert_one_tunnel(alice, bob)
    assert largest(network) <= SMALLER_DATAGRAM_OCTETS


def test_a_lost_answer_is_given_again_in_smaller_fragments() -> None:
    network = Network()
    alice, bob = pair(network)

    def gate(host: Host, data: bytes, _path: object) -> bytes | None:
        small = len(data) + UDP_AND_IPV4 <= SMALLER_DATAGRAM_OCTETS
        return data if host is alice or small else None

    network.on_send = gate
    network.connect(alice, "bob")
    network.run(10)
    assert_one_tunnel(alice, bob)
    totals = [part.total for part in parts(network, "bob") if part]
    assert totals[0] == 2
    assert totals[-1] > 4


def test_nothing_is_cut_smaller_that_was_small_already() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    network.host("bob", peer("bob", "alice"))
    network.on_send = lambda host, data, _path: (
        None if Header.parse(data).exchange == AUTH else data
    )
    network.connect(alice, "bob")
    network.run(60)
    sent = [data for host, data, _ in network.sent if host == "alice"]
    assert len(set(sent)) == 2
    assert len(sent) == 1 + Patience().tries


def test_a_peer_that_puts_no_fragments_together_gets_none() -> None:
    network = Network()
    alice, bob = pair(network)

    def unsupported(_host: Host, data: bytes, _path: object) -> bytes:
        message = Message.parse(data)
        if message.encrypted is not None:
            return data
        notify = Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)
        assert notify in message.payloads
        return build_plain(message.header, tuple(p for p in message.payloads if p != notify))

    network.on_send = lambda host, data, path: (
        unsupported(host, data, path) if host is bob else data
    )
    network.connect(alice, "bob")
    network.run(0.1)
    assert parts(network, "alice")[0] is None


def test_inside_tcp_nothing_is_cut() -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    network.connect_in_tcp(alice, "bob")
    network.run(1)
    network.rekey(alice)
    network.run(10)
    assert_one_tunnel(alice, bob)
    assert {*parts(network, "alice"), *parts(network, "bob")} == {None}


@pytest.mark.parametrize("heard", [False, True])
def test_a_request_in_fragments_goes_on_whole_in_a_tcp_connection(heard: bool) -> None:
    network = StreamNetwork()
    alice, bob = pair(network)
    network.connect_in_tcp(alice, "bob")
    network.run(1)
    before = assert_one_tunnel(alice, bob)
    session = session_of(alice)
    # As if it had begun in UDP; bob has heard the request, or not, and alice no answer.
    session.link.path = session.link.path._replace(carrier=Carrier.UDP)
    network.sent.clear()
    network.on_send = lambda _host, _data, _path: None
    network.rekey(alice)
    assert parts(network, "alice") == [Part(1, 2), Part(2, 2)]
    for _, data, path in network.sent[: 2 if heard else 0]:
        network.deliver(bob, data, reverse(path))
    network.on_send = lambda _host, data, _path: data
    network.sent.clear()
    path = network.reconnect(alice, session.link.path, "bob")
    network.run(20)
    assert set(parts(network, "alice")) == {None}
    after = assert_one_tunnel(alice, bob)
    assert after[0].inbound_key != before[0].inbound_key
    assert after[0].path == path


# What comes from a peer that has the keys.


def cut(inside: Insider, header: Header, data: bytes, part: Part, first: int = 0) -> bytes:
    """One genuine fragment."""
    return inside.seal_chain(header, first, data, part=part)


def scene_with_request(count: int) -> tuple[Scene, list[bytes]]:
    """Both up, and an INFORMATIONAL request to bob, in so many pieces."""
    scene = Scene(Stage.UP)
    header = scene.inside.header(INFO, 2, initiator=True)
    first, chain = build_chain((VendorId(bytes(range(200))),))
    size = -(-len(chain) // count)
    pieces = [chain[at : at + size] for at in range(0, len(chain), size)]
    return scene, [
        cut(scene.inside, header, piece, Part(number, count), first if number == 1 else 0)
        for number, piece in enumerate(pieces, start=1)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0, 1, 0, 2), (2, 0, 2, 1)])
def test_they_come_in_any_order_and_each_counts_once(order: tuple[int, ...]) -> None:
    scene, pieces = scene_with_request(3)
    answers = [answer for number in order for answer in scene.tell(scene.bob, pieces[number])]
    (answer,) = answers
    assert scene.inside.open(answer) == ()
    assert scene.bob.endpoint.drops[IkeDrop.FRAGMENT_REPEATED] == len(order) - len(set(order))
    assert session_of(scene.bob).link.gathered_octets == 0


def test_only_the_first_fragment_of_an_answered_request_is_answered_again() -> None:
    """§2.6.1; and it must be genuine, in whatever form."""
    scene, pieces = scene_with_request(3)
    (answer,) = [a for piece in pieces for a in scene.tell(scene.bob, piece)]
    assert [scene.tell(scene.bob, piece) for piece in pieces] == [[answer], [], []]
    other_cut = scene_with_request(4)[1]
    assert [scene.tell(scene.bob, piece) for piece in other_cut] == [[answer], [], [], []]
    forged = other_cut[0][:-1] + bytes([other_cut[0][-1] ^ 1])
    assert scene.tell(scene.bob, forged) == []
    assert scene.bob.endpoint.drops[IkeDrop.BAD_ICV] == 1


def test_what_is_not_genuine_is_not_kept_and_does_not_stand_in_the_way() -> None:
    scene, pieces = scene_with_request(3)
    for piece in pieces:
        for at in (len(piece) - 1, 40, 33, 35):  # ICV, IV, number, total
            forged = bytearray(piece)
            forged[at] ^= 4
            assert scene.tell(scene.bob, bytes(forged)) == []
    assert session_of(scene.bob).link.gathered_octets == 0
    answers = [answer for piece in pieces for answer in scene.tell(scene.bob, piece)]
    assert len(answers) == 1


def test_of_two_cuts_the_finer_one_counts_and_they_never_mix() -> None:
    scene, coarse = scene_with_request(2)
    _, fine = scene_with_request(4)
    for piece in (coarse[0], fine[0], coarse[1], fine[1], coarse[0], fine[2]):
        assert scene.tell(scene.bob, piece) == []
    assert scene.bob.endpoint.drops[IkeDrop.FRAGMENT_REPEATED] == 2
    assert len(scene.tell(scene.bob, fine[3])) == 1


@pytest.mark.parametrize("part", [Part(0, 0), Part(0, 1), Part(2, 1), Part(1, 0)])
def test_numbers_that_make_no_sense_are_passed_over(part: Part) -> None:
    scene = Scene(Stage.UP)
    header = scene.inside.header(INFO, 2, initiator=True)
    with pytest.raises(WireError):
        Message.parse(cut(scene.inside, header, b"", part))
    assert scene.tell(scene.bob, cut(scene.inside, header, b"", part)) == []
    assert scene.bob.endpoint.drops[IkeDrop.MALFORMED] == 1
    assert state_names(scene.bob) == ["Established"]


def test_a_bomb_of_fragments_is_bounded_in_number_octets_and_time() -> None:
    scene = Scene(Stage.UP)
    link = session_of(scene.bob).link
    header = scene.inside.header(INFO, 2, initiator=True)
    assert scene.tell(scene.bob, cut(scene.inside, header, b"x", Part(1, 256))) == []
    assert scene.tell(scene.bob, cut(scene.inside, header, b"x", Part(65535, 65535))) == []
    assert scene.bob.endpoint.drops[IkeDrop.TOO_MANY_FRAGMENTS] == 2
    assert link.gathered_octets == 0

    most = Limits().message_octets
    scene.tell(scene.bob, cut(scene.inside, header, bytes(most // 2), Part(1, 5)))
    assert link.gathered_octets == most // 2
    scene.network.run(Patience().total + 1)
    assert link.gathered_octets == 0

    for number in (1, 2):
        scene.tell(scene.bob, cut(scene.inside, header, bytes(most // 2), Part(number, 5)))
    (answer,) = scene.tell(scene.bob, cut(scene.inside, header, b"x", Part(3, 5)))
    assert scene.inside.open(answer) == (Notify(NotifyType.INVALID_SYNTAX),)
    assert link.gathered_octets == 0
    assert not isinstance(session_of(scene.bob).state, Established)


def test_all_that_have_not_proved_anything_share_one_bound() -> None:
    limits = Limits(unproved_octets=3000)
    scene = Scene(Stage.PROVING)
    scene.bob.endpoint._sessions.limits = limits
    header = scene.inside.header(AUTH, 1, initiator=True)
    for number in (1, 2, 3, 4):
        scene.tell(scene.bob, cut(scene.inside, header, bytes(1000), Part(number, 9)))
    assert scene.bob.endpoint.drops[IkeDrop.TOO_MANY_FRAGMENTS] == 1
    # What is not genuine is no reason to look at all that there are.
    forged = bytearray(cut(scene.inside, header, bytes(1000), Part(5, 9)))
    forged[-1] ^= 1
    scene.tell(scene.bob, bytes(forged))
    assert scene.bob.endpoint.drops[IkeDrop.BAD_ICV] == 1
    assert session_of(scene.bob).link.gathered_octets == 3000
    scene.network.run(Limits().half_open_seconds + 1)
    assert not state_names(scene.bob)


def test_fragments_where_there_are_no_keys_are_refused() -> None:
    scene = Scene(Stage.ASKED)
    spi = scene.messages[0][0][:8]
    header = Header(spi, bytes(8), ExchangeType.IKE_SA_INIT, 0, initiator=True, response=False)
    data = build_sk_head(header, 33, 40, Part(1, 2)) + bytes(40)
    assert scene.tell(scene.bob, data) == []
    assert scene.bob.endpoint.drops[IkeDrop.MALFORMED] == 1
    assert isinstance(session_of(scene.alice).state, InitSent)


def test_fragments_that_were_not_agreed_on_are_refused() -> None:
    scene = Scene(Stage.PROVING)
    state = session_of(scene.bob).state
    assert isinstance(state, HalfOpen)
    object.__setattr__(state.secrets, "fragmentation", False)
    header = scene.inside.header(AUTH, 1, initiator=True)
    assert scene.tell(scene.bob, cut(scene.inside, header, b"", Part(1, 2))) == []
    assert scene.bob.endpoint.drops[IkeDrop.UNEXPECTED] == 1


def test_the_message_as_if_whole_is_the_same_however_it_travelled() -> None:
    """What IKE_INTERMEDIATE authenticates (RFC 9242 §3.3.2)."""
    scene, pieces = scene_with_request(3)
    secrets = session_of(scene.bob).secrets()
    assert secrets is not None
    link = session_of(scene.bob).link
    header = scene.inside.header(INFO, 2, initiator=True)
    said = (VendorId(bytes(range(200))),)
    opened = None
    for piece in (*pieces, scene.inside.seal(header, said)):
        incoming = Incoming(Message.parse(piece), piece, scene.path_to(scene.bob))
        opened = link.open(incoming, secrets, 65536, Turn(0.0, bytes, {}))
        if opened is not None:
            assert opened.plain == plain(header, said)
            assert opened.payloads == said
            assert len(opened.plain) == int.from_bytes(opened.plain[24:28], "big")
    assert opened is not None


def test_sends_are_one_for_each_fragment() -> None:
    network = Network()
    alice, _ = pair(network)
    network.connect(alice, "bob")
    network.run(0.015)
    assert len(parts(network, "alice")) == 0
    response = next(data for name, data, _ in network.sent if name == "bob")
    path = session_of(alice).link.path
    effects = alice.endpoint.datagram(response, path, network.now)
    assert len([effect for effect in effects if isinstance(effect, Send)]) == 2
