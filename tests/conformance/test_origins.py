"""Where an engine sends when its peer's NAT makes a new mapping, and what moves it nowhere."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hushwire.engines.base import Drop, PathMoved, UnknownSpi
from hushwire.sa.association import Address, Encapsulation, Path
from tests.conformance.hosts import ENGINES, NATT, plain_socket
from tests.conformance.setting import ALICE, BOB, Setting, setting

ELSEWHERE = 61000


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> Generator[Setting]:
    with setting(request.param) as ready:
        yield ready


@contextmanager
def other_port(world: Setting) -> Iterator[socket.socket]:
    """Where alice's packets come from when the NAT has forgotten the mapping before."""
    with plain_socket(world.alice, (ALICE, ELSEWHERE)) as sock:
        yield sock


def from_there(port: int) -> Path:
    return Path(Address(ip_address(BOB), NATT), Address(ip_address(ALICE), port))


def speaks_to(world: Setting, sock: socket.socket) -> bool:
    """Whether bob's next packet arrives there."""
    world.speak()
    return int.from_bytes(sock.recv(65535)[:4], "big") == world.of_bob.outbound_spi


def test_the_newest_packet_of_a_peer_behind_a_nat_says_where_it_is(world: Setting) -> None:
    world.bob.engine.install(replace(world.of_bob, follow=True))
    late = world.say(b"late")
    with other_port(world) as moved:
        world.send(world.say(b"from here"))
        assert world.hear() == b"from here"
        assert speaks_to(world, world.wire)
        newest = world.say(b"from there")
        moved.sendto(newest, (BOB, NATT))
        assert world.hear() == b"from there"
        event = world.bob.await_event(PathMoved)
        assert event == PathMoved(world.of_bob.inbound_spi, from_there(ELSEWHERE))
        assert speaks_to(world, moved)
        # Neither what was late, nor what was heard before, nor what nobody has sealed moves it.
        world.send(late)
        assert world.hear() == b"late"
        world.send(newest)
        world.bob.await_drops({Drop.REPLAY: 1})
        forged = world.say(b"forged")
        world.send(forged[:-1] + bytes((forged[-1] ^ 1,)))
        world.bob.await_drops({Drop.REPLAY: 1, Drop.BAD_ICV: 1})
        assert speaks_to(world, moved)
        assert world.bob.engine.events() == []
        # Back again.
        world.send(world.say(b"from here again"))
        assert world.hear() == b"from here again"
        assert world.bob.await_event(PathMoved) == PathMoved(
            world.of_bob.inbound_spi, from_there(NATT)
        )
        assert speaks_to(world, world.wire)


def test_nobody_is_followed_unless_a_nat_is_known(world: Setting) -> None:
    engine = world.bob.engine
    engine.install(world.of_bob)
    with other_port(world) as moved:
        moved.sendto(world.say(b"from there"), (BOB, NATT))
        assert world.hear() == b"from there"
        assert speaks_to(world, world.wire)
        # That a NAT is there may be learned later.
        engine.update(world.of_bob.inbound_spi, world.of_bob.path, Encapsulation.UDP, follow=True)
        moved.sendto(world.say(b"and again"), (BOB, NATT))
        assert world.hear() == b"and again"
        assert speaks_to(world, moved)


def test_an_sa_that_is_retired_follows_nobody(world: Setting) -> None:
    world.bob.engine.install(replace(world.of_bob, follow=True))
    world.bob.engine.retire(world.of_bob.inbound_spi)
    with other_port(world) as moved:
        moved.sendto(world.say(b"from there"), (BOB, NATT))
        assert world.hear() == b"from there"
    assert world.bob.engine.events() == []


def test_an_unknown_spi_is_told_at_most_once_a_second(world: Setting) -> None:
    packet = world.say(b"whose?")
    for _ in range(3):
        world.send(packet)
    world.bob.await_drops({Drop.UNKNOWN_SPI: 3})
    event = world.bob.await_event(UnknownSpi)
    assert event == UnknownSpi(world.of_bob.inbound_spi, from_there(NATT))
    assert world.bob.engine.events() == []


def test_an_unknown_spi_without_udp_is_told_with_the_addresses(world: Setting) -> None:
    with plain_socket(world.alice, (ALICE, 0), socket.SOCK_RAW, socket.IPPROTO_ESP) as raw:
        raw.sendto(world.say(b"whose?"), (BOB, 0))
        event = world.bob.await_event(UnknownSpi)
    bare = Path(Address(ip_address(BOB), 0), Address(ip_address(ALICE), 0))
    assert event == UnknownSpi(world.of_bob.inbound_spi, bare)
