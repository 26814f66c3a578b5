"""Several peers on one interface: the longest prefix decides, in both directions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from hushwire.engines.base import Drop
from hushwire.esp.padding import pad
from hushwire.sa.association import ChildSa
from hushwire.sa.selectors import from_network
from tests.conformance.hosts import ENGINES
from tests.conformance.setting import PORT, Setting, message, setting
from tests.esp.packets import seal_raw
from tests.sa.pairs import mirror, pair


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> Generator[Setting]:
    with setting(request.param) as ready:
        yield ready


def _of_bob(peer: str, generation: int, network: str) -> ChildSa:
    """Bob's SA with a peer that has this network behind it."""
    _, of_bob = pair(generation=generation)
    return replace(of_bob, peer=peer, remote_selectors=(from_network(ip_network(network)),))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_packet_goes_to_the_peer_with_the_longest_prefix(
    world: Setting, order: tuple[int, int]
) -> None:
    wide, narrow = _of_bob("alice", 0, "10.0.1.0/24"), _of_bob("carol", 1, "10.0.1.128/25")
    for index in order:
        world.bob.engine.install((wide, narrow)[index])
    for address, child in (("10.0.1.7", wide), ("10.0.1.200", narrow), ("10.0.1.127", wide)):
        world.application.sendto(b"to whom?", (address, PORT))
        packet = world.wire.recv(65535)
        assert int.from_bytes(packet[:4], "big") == child.outbound_spi
    world.bob.engine.remove(narrow.inbound_spi)
    world.application.sendto(b"to whom?", ("10.0.1.200", PORT))
    assert int.from_bytes(world.wire.recv(65535)[:4], "big") == wide.outbound_spi


def test_a_peer_cannot_speak_for_an_address_behind_another(world: Setting) -> None:
    wide, narrow = _of_bob("alice", 0, "10.0.1.0/24"), _of_bob("carol", 1, "10.0.1.128/25")
    for child in (wide, narrow):
        world.bob.engine.install(child)
    of_alice, of_carol = mirror(wide, "bob"), mirror(narrow, "bob")
    stolen = pad(message(b"stolen", source="10.0.1.200"), 4, 4)
    world.send(seal_raw(of_alice, 1, stolen))
    world.send(seal_raw(of_alice, 2, pad(message(b"alice's own", source="10.0.1.7"), 4, 4)))
    assert world.hear() == b"alice's own"
    world.send(seal_raw(of_carol, 1, pad(message(b"carol's own", source="10.0.1.200"), 4, 4)))
    assert world.hear() == b"carol's own"
    world.bob.await_drops({Drop.SELECTOR_MISMATCH_IN: 1})
