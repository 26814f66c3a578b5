"""Who is behind a NAT did not begin, and gets another mapping: who began finds it (RFC 4555)."""

from __future__ import annotations

from hushwire.sa.association import Address, Path
from hushwire.wire.registry import ExchangeType
from tests.sim.network import Host, assert_one_tunnel
from tests.sim.test_roaming import AWAY, NAT, Natted, at_home


def away() -> tuple[Natted, Host, Host]:
    """Alice, who has begun, and bob, who is behind a NAT by now."""
    network = Natted()
    alice, bob = at_home(network)
    network.translated = AWAY
    network.settle(bob, AWAY)
    network.run(1)
    assert_goes_to(network, alice)
    return network, alice, bob


def assert_goes_to(network: Natted, alice: Host) -> None:
    """Alice sends to where bob is: IKE and ESP."""
    mapping = Address(NAT, 4500 + network.offset)
    (view,) = alice.endpoint.sessions()
    assert view.path.remote == mapping
    assert view.child is not None
    assert view.child.path.remote == mapping


def test_a_request_without_an_answer_goes_to_where_the_peer_asks_from() -> None:
    """Bob still uses the SA that alice has replaced, and so his ESP tells her nothing."""
    network, alice, bob = away()

    def rebind(host: Host, data: bytes, _path: Path) -> bytes:
        if host is alice and data[18] == ExchangeType.INFORMATIONAL and network.offset == 1000:
            network.offset += 1000
        return data

    network.on_send = rebind
    network.rekey(alice)
    network.run(1)
    assert network.offset == 2000
    network.rekey(bob, ike=True)
    network.run(10)  # less than `liveness`
    assert_goes_to(network, alice)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []


def test_a_message_from_another_port_alone_moves_nobody() -> None:
    """§3.8: it may be the test of a path."""
    network, alice, bob = away()
    network.offset += 1000
    network.rekey(bob, ike=True)
    network.run(1)
    (view,) = alice.endpoint.sessions()
    assert view.path.remote == Address(NAT, 4500 + network.offset - 1000)


def test_who_searches_comes_back_to_where_esp_comes_from() -> None:
    """Bob's last IKE message came by the mapping before."""
    network, alice, bob = away()
    network.offset += 1000
    (sa,) = alice.sas.values()
    mapped = Path(sa.path.local, Address(NAT, 4500 + network.offset))
    network._carry_out(alice, alice.endpoint.moved(sa.inbound_spi, mapped, network.now))
    network.on_send = lambda host, data, _path: None if host is alice else data
    network.rekey(alice)
    network.run(1.6)  # the request has been sent twice, and then elsewhere
    assert alice.endpoint.sessions()[0].path != mapped
    network.on_send = lambda _host, data, _path: data
    network.run(20)
    assert_goes_to(network, alice)
    assert_one_tunnel(alice, bob)
    assert alice.failures == bob.failures == []
