"""What is kept of the attempts with each peer: enough to tell, and never more than a bound."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest

from hushwire.explain.causes import Place, why
from hushwire.explain.ladder import ladder
from hushwire.explain.outcome import (
    NoProposal,
    PeerSilent,
    RefusedUs,
    Rekeyed,
    SelectorsUnacceptable,
    TunnelUp,
)
from hushwire.explain.recorder import ATTEMPTS_PER_PEER, STRANGERS, Recorder
from hushwire.explain.trace import Attempt, Decision, MessageStep
from hushwire.ike.credentials import Psk
from hushwire.sa.association import Encap
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import build_plain
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.registry import ExchangeType
from tests.sim.network import SECRET, Host, Network, Weather, ike, pair, peer
from tests.sim.stages import secrets_of
from tests.sim.streams import StreamNetwork

PLACE = Place("hw0.toml", "bob")


def only(host: Host) -> Attempt:
    (attempt,) = host.endpoint.trace.attempts()
    return attempt


def messages(attempt: Attempt) -> list[MessageStep]:
    return [step for step in attempt.steps if isinstance(step, MessageStep)]


def text_of(attempt: Attempt) -> str:
    return "\n".join([*ladder(attempt), *why(attempt, PLACE)])


def test_both_sides_tell_the_same_story_from_their_own_end() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    at_alice, at_bob = only(alice), only(bob)
    assert (at_alice.peer, at_alice.initiator) == ("bob", True)
    assert (at_bob.peer, at_bob.initiator) == ("alice", False)
    seen = [[(m.exchange, m.response, m.octets, m.words) for m in messages(a)] for a in
            (at_alice, at_bob)]  # fmt: skip
    assert seen[0] == seen[1]
    assert [m.from_left for m in messages(at_alice)] == [True, False, True, False]
    assert [m.from_left for m in messages(at_bob)] == [False, True, False, True]
    assert isinstance(at_alice.outcome, TunnelUp)
    assert "AUTH shared secret" in messages(at_alice)[2].words


def test_new_keys_stay_in_the_attempt_that_they_belong_to() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    for is_ike in (True, False, True, True, True, True, False):
        network.rekey(alice, ike=is_ike)
        network.run(1)
    for host in (alice, bob):
        decisions = [s.event for s in only(host).steps if isinstance(s, Decision)]
        assert sum(isinstance(event, Rekeyed) for event in decisions) == 7


def test_what_is_sent_again_is_one_message_with_its_times() -> None:
    network = Network(weather=Weather(loss=1.0))
    alice, _ = pair(network)
    network.connect(alice, "bob")
    network.run(60)
    (message,) = messages(only(alice))
    assert [round(at, 1) for at in message.repeated] == [0.5, 1.5, 3.5, 7.5, 15.5]
    assert isinstance(only(alice).outcome, PeerSilent)
    said = text_of(only(alice))
    assert f"6 x IKE_SA_INIT of {message.octets} octets to UDP port 500, from 0.0 to 15.5" in said
    assert "UDP 500: filtered, it seems" in said
    assert "UDP 4500: not tried" in said


def test_icmp_errors_are_told_with_what_they_mean() -> None:
    network = Network(weather=Weather(loss=1.0))
    alice, bob = pair(network)
    network.connect(alice, "bob")
    for _ in range(3):
        alice.endpoint.trace.icmp(
            ip_address("192.0.2.2"), 500, "192.0.2.2", "port unreachable", network.now
        )
    network.run(60)
    said = text_of(only(alice))
    assert said.count("port unreachable (UDP port 500)") == 2  # in the ladder, and explained
    assert "UDP 500: not filtered, and nobody listens" in said
    assert not bob.endpoint.trace.attempts()


def test_no_proposal_is_a_table_with_the_lines_to_change() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host(
        "bob", peer("bob", "alice", ike_proposals=ike("aes128gcm16-prfsha384-x25519"))
    )
    network.connect(alice, "bob")
    network.run(1)
    said = text_of(only(alice))
    assert isinstance(only(alice).outcome, NoProposal)
    assert "encryption     aes256gcm16   aes128gcm16   ◄ differs" in said
    assert 'ike = ["aes128gcm16-prfsha384-x25519"]' in said
    assert "here, in hw0.toml, under [peer.bob]:" in said
    assert "proposals = aes256gcm16-prfsha384-x25519" in said
    assert "they offer" in text_of(only(bob))


def test_the_line_to_change_has_its_number_in_our_file() -> None:
    lines = {"": 4, "ike": 7, "networks": 5, "local_networks": 9}
    place = Place("hw0.toml", "bob", lines)
    none = NoProposal("bob", "IKE", ("aes256gcm16-prfsha384-x25519",), (), refused_by_us=False)
    attempt = Attempt("bob", "we", "bob", "192.0.2.2", initiator=True, began=0.0, steps=(),
                      outcome=none)  # fmt: skip
    assert "here, in hw0.toml, line 7, under [peer.bob]:" in "\n".join(why(attempt, place))
    esp = replace(attempt, outcome=replace(none, protocol="ESP"))
    assert "here, in hw0.toml, under [peer.bob] (line 4):" in "\n".join(why(esp, place))
    apart = SelectorsUnacceptable("bob", ("10.0.1.1/32",), ("10.0.1.2/32",), (), ())
    told = "\n".join(why(replace(attempt, outcome=apart), place))
    assert "here, in hw0.toml, lines 5 and 9, under [peer.bob]:" in told
    refused = RefusedUs("bob", "alice.example", "shared secret")
    told = "\n".join(why(replace(attempt, outcome=refused), place))
    assert "under [peer.bob] (line 4): local_id, and our psk_file" in told
    by_key = replace(refused, method="public key")
    told = "\n".join(why(replace(attempt, outcome=by_key), place))
    assert 'id = "alice.example"   and public_key for us' in told
    assert "local_id, and our private_key_file" in told


def test_what_goes_inside_tcp_is_said_to() -> None:
    network = StreamNetwork()
    alice = network.host("alice", peer("alice", "bob", encap=Encap.TCP))
    network.cut(network.connect_in_tcp(alice, "bob"))
    network.run(60)
    said = text_of(only(alice))
    assert "TCP port 4500:" in said
    assert "octets to TCP port 4500, from 0.0" in said
    assert "UDP 4500: not tried" in said


def test_a_message_in_clear_has_no_words_of_a_sealed_one() -> None:
    recorder = Recorder()
    header = Header(bytes(8), bytes(8), ExchangeType.INFORMATIONAL, 0, initiator=False,
                    response=False)  # fmt: skip
    recorder.turn(1.0)
    recorder.sealing(header, ())  # our first request of an IKE SA that the peer began
    recorder.turn(2.0)
    recorder.begins(bytes([7] * 8), "carol", ip_address("192.0.2.9"))
    nonce = Nonce(bytes(32))
    header = Header(bytes([7] * 8), bytes(8), ExchangeType.IKE_SA_INIT, 0, initiator=True,
                    response=False)  # fmt: skip
    recorder.sent(build_plain(header, (nonce,)), ip_address("192.0.2.9"), (500, 500))
    (attempt,) = recorder.attempts("carol")
    assert messages(attempt)[0].words == ("NONCE",)


def test_no_secret_is_in_what_is_told() -> None:
    network = Network()
    secret = b"not to be told to anybody"
    alice, bob = pair(network, credential=Psk(secret))
    network.connect(alice, "bob")
    network.run(1)
    network.rekey(alice)
    network.run(1)
    secrets = secrets_of(alice)
    assert secrets is not None
    keys = secrets.keys
    hidden = [secret, keys.d, keys.ei, keys.er, keys.pi, keys.pr]
    hidden += [key for sa in alice.sas.values() for key in (sa.inbound_key, sa.outbound_key)]
    for host in (alice, bob):
        told = repr(host.endpoint.trace.attempts()) + text_of(only(host))
        for key in hidden:
            assert key.hex() not in told
            assert repr(key)[2:-1] not in told
    assert SECRET


def knock(number: int, octets: int = 0) -> bytes:
    spi = number.to_bytes(8, "big")
    header = Header(spi, bytes(8), ExchangeType.IKE_SA_INIT, 0, initiator=True, response=False)
    return build_plain(header, ()) + bytes(octets)


def test_a_flood_of_strangers_is_kept_within_bounds() -> None:
    recorder = Recorder()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1, 20_000):
        recorder.turn(float(number))
        recorder.received(knock(number, 1000), ip_address("192.0.2.9"), (500, 500))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(recorder.attempts()) == STRANGERS
    assert after - before < 200_000


def test_one_stranger_who_talks_on_is_kept_within_bounds() -> None:
    recorder = Recorder()
    for number in range(1000):
        recorder.turn(float(number))
        recorder.received(knock(7, number), ip_address("192.0.2.9"), (500, 500))
    (attempt,) = recorder.attempts("")
    assert len(attempt.steps) == 8
    assert attempt.left_out == 992


def test_of_many_attempts_the_last_stay_and_the_last_that_was_up() -> None:
    network = Network()
    alice, _ = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    network.close(alice)
    up = only(alice)
    recorder = alice.endpoint.trace
    for number in range(10):
        recorder.turn(2000.0 + number)
        recorder.begins(number.to_bytes(8, "big"), "bob", ip_address("192.0.2.2"))
    kept = recorder.attempts("bob")
    assert len(kept) == ATTEMPTS_PER_PEER
    assert kept[0].began == up.began
    assert [attempt.began for attempt in kept[1:]] == [2007.0, 2008.0, 2009.0]


def test_of_a_long_life_the_beginning_and_the_end_are_kept() -> None:
    network = Network()
    alice, _ = pair(network)
    network.connect(alice, "bob")
    network.run(3000)
    attempt = only(alice)
    assert len(attempt.steps) == 48
    assert attempt.left_out > 100
    assert "steps are not kept" in text_of(attempt)
    assert messages(attempt)[0].exchange == "IKE_SA_INIT"


@pytest.mark.parametrize("seed", range(3))
def test_a_ladder_is_in_the_order_of_time_and_no_wider_than_a_hundred(seed: int) -> None:
    network = Network(seed, Weather(loss=0.3, duplication=0.2, delay=(0.01, 0.3)))
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(30)
    for host in (alice, bob):
        for attempt in host.endpoint.trace.attempts():
            lines = ladder(attempt)
            assert max(map(len, lines)) <= 100
            times = [float(line[:8]) for line in lines[1:] if line[:8].strip()]
            assert all(a <= b for a, b in pairwise(times))
