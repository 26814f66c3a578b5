"""Of two IKE SAs with one peer, one goes on: also when rekeyings and losses come between."""

from __future__ import annotations

from ipaddress import ip_address

from hushwire.sa.association import Path
from hushwire.wire.registry import ExchangeType
from tests.sim.network import ADDRESSES, Host, Network, Weather, assert_one_tunnel, pair
from tests.sim.storm import outbound


def test_a_duplicate_that_is_rekeyed_is_still_closed() -> None:
    for seed in range(20):
        network = Network(seed)
        alice, bob = pair(network)
        network.connect(alice, "bob")
        network.connect(bob, "alice")
        network.run(0.5)
        assert len(alice.endpoint.sessions()) == len(bob.endpoint.sessions()) == 2
        network.rekey(bob, ike=True)
        network.run(15)
        assert_one_tunnel(alice, bob)
        assert alice.failures == bob.failures == []


def test_what_only_one_of_the_hosts_takes_for_a_duplicate_goes_on() -> None:
    """Bob began first, and was answered last."""
    for seed in range(20):
        network = Network(seed, Weather(delay=(0.01, 0.02)))
        alice, bob = pair(network)
        network.on_send = lambda host, data, _path: None if _is_auth(data, of=host) else data
        network.connect(bob, "alice")
        network.run(0.2)
        assert alice.sas
        assert not bob.sas
        network.connect(alice, "bob", again=True)
        network.run(0.1)
        network.on_send = lambda _host, data, _path: data
        network.run(15)
        assert_one_tunnel(alice, bob)
        assert alice.failures == bob.failures == []


def _is_auth(data: bytes, of: Host) -> bool:
    """Alice's response to IKE_AUTH."""
    return of.name == "alice" and _answers_auth(data)


def _answers_auth(data: bytes) -> bool:
    return data[18] == ExchangeType.IKE_AUTH and bool(data[19] & 0x20)


def test_nothing_is_broken_before_the_peer_has_the_response_that_makes_the_new_one() -> None:
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)

    def lose_auth(host: Host, data: bytes, _path: Path) -> bytes | None:
        return None if host is bob and data[18] == ExchangeType.IKE_AUTH else data

    network.on_send = lose_auth
    network.connect(alice, "bob", again=True)
    while network.now < 1015:  # the last of alice's requests comes a little later
        sa = outbound(bob)
        assert sa is not None
        assert sa.outbound_spi in alice.sas, f"nobody receives that at {network.now}"
        network.run(0.5)
    network.on_send = lambda _host, data, _path: data
    network.run(30)
    assert_one_tunnel(alice, bob)
    assert len(alice.endpoint.sessions()) == 1
    assert alice.failures == bob.failures == []


def assert_all_arrives(network: Network, seconds: float) -> None:
    """Whatever the hosts send, there is somebody who takes it."""
    alice, bob = network.people["alice"], network.people["bob"]
    end = network.now + seconds
    while network.now < end:
        for host, other in ((alice, bob), (bob, alice)):
            sa = outbound(host)
            assert sa is not None
            assert sa.outbound_spi in other.sas, f"{other.name} does not have it at {network.now}"
        network.run(0.1)


def test_the_end_of_an_old_one_does_not_prove_the_newest_of_several() -> None:
    """Alice has the second one, and ends the first; her third is up on bob's side alone."""
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    lost = {("alice", ExchangeType.INFORMATIONAL)}
    network.on_send = lambda host, data, _path: None if (host.name, data[18]) in lost else data
    network.connect(alice, "bob", again=True)
    network.run(0.1)
    lost.add(("bob", ExchangeType.IKE_AUTH))
    network.connect(alice, "bob", again=True)
    network.run(0.1)
    lost.discard(("alice", ExchangeType.INFORMATIONAL))
    assert len(bob.endpoint.sessions()) == 3
    assert_all_arrives(network, 10)
    network.on_send = lambda _host, data, _path: data
    assert_all_arrives(network, 30)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_of_two_that_crossed_none_is_closed_before_the_peer_has_the_other() -> None:
    """By the nonces, who has got its response first is to close what it has, or the other is."""
    for seed in range(8):
        lost: set[str] = set()
        network = Network(seed)
        alice, bob = pair(network)
        network.on_send = lambda host, data, _path, lost=lost: (  # type: ignore[misc]
            None if host.name in lost and _answers_auth(data) else data
        )
        lost |= {"alice", "bob"}
        network.connect(alice, "bob")
        network.connect(bob, "alice")
        network.run(0.1)
        lost.discard("alice")
        network.run(0.6)
        assert_all_arrives(network, 3)
        lost.clear()
        assert_all_arrives(network, 30)
        assert_one_tunnel(alice, bob)
        assert alice.failures == bob.failures == []


def test_what_the_peer_has_no_response_for_yet_is_not_ended_without_it() -> None:
    """Bob's attempt, of which he hears only after alice's later one has taken its place."""
    for seed in range(8):
        network = Network(seed)
        alice, bob = pair(network)
        network.on_send = lambda host, data, _path: None if _is_auth(data, of=host) else data
        network.connect(bob, "alice")
        network.run(0.2)
        assert alice.sas
        assert not bob.sas
        network.connect(alice, "bob", again=True)
        network.run(3)
        network.on_send = lambda _host, data, _path: data
        assert_all_arrives(network, 30)
        assert_one_tunnel(alice, bob)
        assert alice.failures == bob.failures == []


def test_what_the_peer_has_given_up_is_not_gone_on_with() -> None:
    """Alice moves before bob's response reaches her, begins anew, and ends the old one."""
    network = Network()
    alice, bob = pair(network)
    network.connect(alice, "bob")
    network.run(1)
    network.settle(alice, ADDRESSES["alice"])
    network.on_send = lambda host, data, _path: (
        None if host is bob and _answers_auth(data) else data
    )
    network.connect(alice, "bob", again=True)
    network.run(3)
    assert len(bob.endpoint.sessions()) == 2
    network.on_send = lambda _host, data, _path: data
    network.settle(alice, ip_address("203.0.113.7"))
    assert_all_arrives(network, 30)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []
