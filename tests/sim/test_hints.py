"""A peer that was killed and began anew is noticed; who only says so achieves nothing."""

from __future__ import annotations

from ipaddress import ip_address

from hushwire.explain.outcome import TunnelUp
from hushwire.ike.effects import Send
from hushwire.ike.inputs import IkeDrop
from hushwire.sa.association import Address, Path
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, build_plain
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.sim.network import ADDRESSES, Host, Network, assert_one_tunnel, pair, peer
from tests.sim.stages import session_of

INFO = ExchangeType.INFORMATIONAL


def up(network: Network) -> tuple[Host, Host]:
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    return alice, bob


def hint(network: Network, host: Host, spi: int, to: str) -> None:
    """The host gets ESP by an SPI that it does not know, from `to`."""
    path = Path(Address(ADDRESSES[host.name], 0), Address(ADDRESSES[to], 0))
    network._carry_out(host, host.endpoint.unknown_spi(spi, path, network.now))


def test_a_peer_that_began_anew_is_connected_again_within_seconds() -> None:
    network = Network()
    alice, _ = up(network)
    (sa,) = alice.sas.values()
    bob = network.host("bob", peer("bob", "alice"))
    hint(network, bob, sa.outbound_spi, "alice")
    network.run(3)
    assert len(alice.saw(TunnelUp)) == 2
    network.run(10)
    assert_one_tunnel(alice, bob)
    assert alice.failures == []


def test_a_request_by_an_ike_sa_that_is_forgotten_is_answered_with_a_hint() -> None:
    network = Network()
    alice, _ = up(network)
    bob = network.host("bob", peer("bob", "alice"))
    network.rekey(alice)
    network.run(5)
    assert bob.endpoint.drops[IkeDrop.UNKNOWN_SPI]
    assert len(alice.saw(TunnelUp)) == 2
    network.run(10)
    assert_one_tunnel(alice, bob)


def invalid_spi(spi: int) -> bytes:
    header = Header(
        bytes([7] * 8), bytes(8), ExchangeType.INFORMATIONAL, 0, initiator=True, response=False
    )
    return build_plain(header, (Notify(NotifyType.INVALID_SPI, spi.to_bytes(4, "big")),))


def test_a_forged_hint_costs_one_question_in_ten_seconds_and_changes_nothing() -> None:
    network = Network()
    alice, bob = up(network)
    before = assert_one_tunnel(alice, bob)
    sent = len(network.sent)
    path = Path(Address(ADDRESSES["alice"], 500), Address(ADDRESSES["bob"], 500))
    for _ in range(50):
        network.deliver(alice, invalid_spi(before[0].outbound_spi), path)
        network.run(0.1)
    assert len(network.sent) == sent + 2  # one liveness check, and its answer
    assert assert_one_tunnel(alice, bob) == before
    assert len(alice.saw(TunnelUp)) == 1


def test_a_hint_from_elsewhere_or_about_another_spi_is_not_taken() -> None:
    network = Network()
    alice, bob = up(network)
    (sa,) = alice.sas.values()
    sent = len(network.sent)
    here, there = Address(ADDRESSES["alice"], 500), Address(ADDRESSES["bob"], 500)
    elsewhere = Address(ip_address("203.0.113.9"), 500)
    network.deliver(alice, invalid_spi(sa.outbound_spi), Path(here, elsewhere))
    network.deliver(alice, invalid_spi(sa.outbound_spi ^ 1), Path(here, there))
    link = session_of(alice).link
    forged = Header(
        link.initiator_spi, bytes(8), ExchangeType.INFORMATIONAL, 2, initiator=False, response=True
    )
    said = build_plain(forged, (Notify(NotifyType.INVALID_IKE_SPI),))
    network.deliver(alice, said, Path(here, there))
    network.run(1)
    assert len(network.sent) == sent
    assert alice.endpoint.drops[IkeDrop.UNEXPECTED] == 3
    assert not bob.failures


def test_hints_are_given_once_a_second_and_not_to_whom_an_ike_sa_stands_with() -> None:
    network = Network()
    alice, bob = up(network)
    sent = len(network.sent)
    hint(network, bob, 0x1234, "alice")
    assert len(network.sent) == sent
    bob = network.host("bob", peer("bob", "alice"))
    elsewhere = Path(Address(ADDRESSES["bob"], 4500), Address(ip_address("203.0.113.9"), 61000))
    told = [
        effect
        for _ in range(20)
        for effect in bob.endpoint.unknown_spi(0x1234, elsewhere, network.now)
        if isinstance(effect, Send)
    ]
    (only,) = told
    assert only.path == elsewhere
    message = Message.parse(only.data)
    assert message.payloads == (Notify(NotifyType.INVALID_SPI, bytes.fromhex("00001234")),)
    assert not alice.failures


# Without a word from the peer.


def send(network: Network, host: Host, seconds: float, *, answered: bool) -> None:
    """The host sends a packet each half second, by whatever SA is there."""
    for step in range(int(seconds * 2)):
        packets = dict.fromkeys(host.sas, (step + 1, (step + 1) * answered))
        network._carry_out(host, host.endpoint.carried(packets, network.now))
        network.run(0.5)


def test_a_peer_that_began_anew_and_says_nothing_is_noticed_by_those_who_talk_to_it() -> None:
    network = Network()
    alice, bob = up(network)
    send(network, alice, 2, answered=True)
    assert len(alice.saw(TunnelUp)) == 1
    bob = network.host("bob", peer("bob", "alice"))
    network.on_send = lambda host, data, _path: (
        None if host is bob and Message.parse(data).header.exchange == INFO else data
    )
    send(network, alice, 4, answered=False)
    assert len(alice.saw(TunnelUp)) == 2
    assert len(bob.saw(TunnelUp)) == 1


def test_packets_without_an_answer_are_no_harm_where_the_peer_lives() -> None:
    network = Network()
    alice, bob = up(network)
    before = assert_one_tunnel(alice, bob)
    sent = len(network.sent)
    send(network, alice, 100, answered=False)
    said = [Message.parse(data).header for host, data, _ in network.sent[sent:] if host == "alice"]
    questions = [header for header in said if not header.response]
    assert 6 <= len(questions) <= 9  # ever more seldom
    assert assert_one_tunnel(alice, bob) == before


def test_a_peer_that_connects_anew_without_initial_contact_is_not_talked_past_for_long() -> None:
    """It might be a reauthentication: packets go by the old SA while nothing is said on the new."""
    network = Network()
    alice, bob = up(network)
    alice = network.host("alice", peer("alice", "bob"))
    network.connect(alice, "bob")
    session_of(alice).initial_contact = False
    network.run(1)
    assert len(bob.sas) == 2
    send(network, bob, 4, answered=False)
    assert len(bob.saw(TunnelUp)) == 3
    network.run(10)
    assert_one_tunnel(alice, bob)
