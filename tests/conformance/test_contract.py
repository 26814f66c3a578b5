"""One engine against a peer of our own making: every drop counts once, under its own name."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hushwire.crypto.ciphers import CIPHERS
from hushwire.engines.base import (
    EVENTS_WAITING,
    Acquire,
    Drop,
    EngineFailure,
    IkeDatagram,
)
from hushwire.esp.open import InboundSa
from hushwire.esp.padding import pad
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import Address, Encapsulation, Path
from tests.conformance.hosts import ENGINES, NATT, plain_socket, wiretap
from tests.conformance.namespaces import eventually
from tests.conformance.setting import ALICE, BOB, PORT, Setting, message, setting
from tests.esp.packets import seal_raw
from tests.sa.pairs import pair, path


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> Generator[Setting]:
    with setting(request.param) as ready:
        yield ready


def flip_last(packet: bytes) -> bytes:
    return packet[:-1] + bytes((packet[-1] ^ 1,))


def raw(plaintext: bytes) -> Callable[[Setting], bytes]:
    return lambda world: seal_raw(world.of_alice, 1, plaintext)


INWARD: dict[Drop, Callable[[Setting], bytes]] = {
    Drop.NOT_ESP: lambda world: b"\0\0\0",
    Drop.KEEPALIVE: lambda world: b"\xff",
    Drop.TRUNCATED: lambda world: world.say(b"short")[:28],
    Drop.UNKNOWN_SPI: lambda world: b"\0\0\x10\0" + world.say(b"whose?")[4:],
    Drop.BAD_ICV: lambda world: flip_last(world.say(b"forged")),
    Drop.DUMMY: raw(pad(b"dummy", 59, 4)),
    Drop.BAD_PADDING: raw(bytes(20) + b"\x09\x09\x02\x04"),
    Drop.BAD_NEXT_HEADER: raw(pad(message(b"x"), 41, 4)),
    Drop.BAD_INNER: raw(pad(message(b"cut off")[:-1], 4, 4)),
    Drop.SELECTOR_MISMATCH_IN: raw(pad(message(b"x", source="10.0.1.9"), 4, 4)),
}


@pytest.mark.parametrize("drop", INWARD, ids=lambda drop: drop.value)
def test_a_bad_packet_counts_once_under_its_cause_and_is_not_delivered(
    world: Setting, drop: Drop
) -> None:
    world.bob.engine.install(world.of_bob)
    for datagram in (INWARD[drop](world), seal_raw(world.of_alice, 9, pad(message(b"ok"), 4, 4))):
        world.send(datagram)
    assert world.hear() == b"ok", "only the good one arrives"
    world.bob.await_drops({drop: 1})
    spi = world.of_bob.inbound_spi
    eventually("one counted", lambda: world.bob.counters().sas[spi].packets_in)
    assert world.bob.counters().sas[spi].packets_in == 1


def test_a_replay_is_dropped_in_either_encapsulation(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    first, second = world.say(b"by UDP"), world.say(b"by protocol 50")
    with plain_socket(world.alice, (ALICE, 0), socket.SOCK_RAW, socket.IPPROTO_ESP) as raw_socket:
        world.send(first)
        assert world.hear() == b"by UDP"
        # RFC 7296 §2.23: both encapsulations are received, whichever one was agreed on.
        raw_socket.sendto(second, (BOB, 0))
        assert world.hear() == b"by protocol 50"
        for packet in (first, second):
            world.send(packet)
            raw_socket.sendto(packet, (BOB, 0))
        world.bob.await_drops({Drop.REPLAY: 4})


def test_an_ike_message_becomes_an_event_with_its_path(world: Setting) -> None:
    world.send(bytes(4) + b"an IKE message")
    readable, _, _ = select.select([world.bob.engine.event_fd], [], [], 30)
    assert readable
    assert world.bob.engine.events() == [IkeDatagram(b"an IKE message", path(BOB, ALICE))]
    assert world.bob.engine.events() == []
    readable, _, _ = select.select([world.bob.engine.event_fd], [], [], 0)
    assert not readable


def test_more_ike_messages_than_anyone_reads_are_counted(world: Setting) -> None:
    for number in range(EVENTS_WAITING + 5):
        world.send(bytes(4) + number.to_bytes(2, "big"))
    world.bob.await_drops({Drop.EVENTS_FULL: 5})
    events = world.bob.engine.events()
    assert [event.data for event in events if isinstance(event, IkeDatagram)] == [
        number.to_bytes(2, "big") for number in range(EVENTS_WAITING)
    ]


def test_without_an_sa_nothing_leaves_and_the_daemon_is_told(world: Setting) -> None:
    started = time.monotonic()
    with wiretap(world.alice) as frames:
        for _ in range(50):
            world.speak(b"never in clear")
        acquire = world.bob.await_event(Acquire)
        eventually("50 drops", lambda: world.bob.counters().drops[Drop.NO_SA] == 50)
        more = [e for e in world.bob.engine.events() if isinstance(e, Acquire)]
        assert len(more) <= time.monotonic() - started, "at most one a second"
        assert not [frame for frame in frames() if b"never in clear" in frame]
    assert isinstance(acquire, Acquire)
    assert acquire.flow.source == int(ip_address("10.0.1.2"))
    assert acquire.flow.destination == int(ip_address("10.0.1.1"))
    assert (acquire.flow.protocol, acquire.flow.destination_port) == (17, PORT)


def test_an_address_that_no_sa_carries_is_dropped_under_its_own_name(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    world.application.sendto(b"elsewhere", ("10.0.1.77", PORT))
    world.bob.await_event(Acquire)
    drops = world.bob.counters().drops
    assert drops[Drop.SELECTOR_MISMATCH_OUT] == 1
    assert drops[Drop.NO_SA] == 0


def test_what_the_engine_sends_alice_can_open(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    inbound = InboundSa(world.of_alice)
    for text in (b"one", b"two"):
        world.speak(text)
        packet, sender = world.wire.recvfrom(65535)
        assert sender == (BOB, NATT)
        assert inbound.open(packet).inner.endswith(text)


def spi_of_next(world: Setting) -> int:
    world.speak()
    return int.from_bytes(world.wire.recv(65535)[:4], "big")


def test_the_newest_sa_sends_and_the_older_one_again_when_it_is_gone(world: Setting) -> None:
    engine = world.bob.engine
    old, new = world.of_bob, pair(generation=1)[1]
    engine.install(old)
    assert spi_of_next(world) == old.outbound_spi
    engine.install(new)
    assert spi_of_next(world) == new.outbound_spi
    world.send(world.say(b"old keys still open"))
    assert world.hear() == b"old keys still open"
    engine.remove(new.inbound_spi)
    assert spi_of_next(world) == old.outbound_spi


def test_an_sa_that_awaits_proof_sends_after_its_first_authentic_packet(world: Setting) -> None:
    of_alice, of_bob = pair(generation=1)
    waiting = replace(of_bob, await_proof=True)
    world.bob.engine.install(world.of_bob)
    world.bob.engine.install(waiting)
    assert spi_of_next(world) == world.of_bob.outbound_spi
    world.send(flip_last(OutboundSa(of_alice).seal(message(b"forged"))))
    world.bob.await_drops({Drop.BAD_ICV: 1})
    assert spi_of_next(world) == world.of_bob.outbound_spi
    world.send(OutboundSa(of_alice).seal(message(b"proof")))
    assert world.hear() == b"proof"
    assert spi_of_next(world) == waiting.outbound_spi


def test_an_sa_that_awaits_proof_sends_at_once_where_there_is_no_other(world: Setting) -> None:
    waiting = replace(world.of_bob, await_proof=True)
    world.bob.engine.install(waiting)
    assert spi_of_next(world) == waiting.outbound_spi


def test_of_several_that_await_proof_the_oldest_sends(world: Setting) -> None:
    """The peer has had it longest: a newer one may still be on its way to it."""
    first, second = world.of_bob, pair(generation=1)[1]
    for waiting in (first, second):
        world.bob.engine.install(replace(waiting, await_proof=True))
    assert spi_of_next(world) == first.outbound_spi
    world.bob.engine.retire(first.inbound_spi)
    assert spi_of_next(world) == second.outbound_spi


def test_an_sa_that_is_confirmed_awaits_no_packet(world: Setting) -> None:
    engine = world.bob.engine
    waiting = replace(pair(generation=1)[1], await_proof=True)
    engine.install(world.of_bob)
    engine.install(waiting)
    assert spi_of_next(world) == world.of_bob.outbound_spi
    engine.confirm(waiting.inbound_spi)
    assert spi_of_next(world) == waiting.outbound_spi
    with pytest.raises(KeyError):
        engine.confirm(4711)


def test_an_sa_that_is_retired_still_receives_and_sends_no_more(world: Setting) -> None:
    engine = world.bob.engine
    old, new = world.of_bob, pair(generation=1)[1]
    engine.install(old)
    engine.install(replace(new, await_proof=True))
    assert spi_of_next(world) == old.outbound_spi
    engine.retire(old.inbound_spi)
    assert spi_of_next(world) == new.outbound_spi
    world.send(world.say(b"was on its way"))
    assert world.hear() == b"was on its way"
    assert spi_of_next(world) == new.outbound_spi
    # Where nothing else is left, nothing leaves.
    engine.remove(new.inbound_spi)
    world.speak(b"to nobody")
    world.bob.await_event(Acquire)
    with pytest.raises(KeyError):
        engine.retire(new.inbound_spi)


def test_an_sa_can_move_to_another_path_and_encapsulation(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    spi = world.of_bob.inbound_spi
    with (
        plain_socket(world.alice, (ALICE, 61000)) as moved,
        plain_socket(world.alice, (ALICE, 0), socket.SOCK_RAW, socket.IPPROTO_ESP) as raw_socket,
    ):
        to = Path(Address(ip_address(BOB), NATT), Address(ip_address(ALICE), 61000))
        world.bob.engine.update(spi, to, Encapsulation.UDP)
        world.speak(b"first")
        first = moved.recv(65535)
        world.bob.engine.update(spi, to, Encapsulation.ESP)
        world.speak(b"second")
        second = raw_socket.recv(65535)[20:]
    # It is the same SA: its sequence numbers go on.
    assert [int.from_bytes(packet[4:8], "big") for packet in (first, second)] == [1, 2]


def test_a_removed_sa_neither_sends_nor_receives(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    world.bob.engine.remove(world.of_bob.inbound_spi)
    assert world.bob.counters().sas == {}
    world.send(world.say(b"too late"))
    world.bob.await_drops({Drop.UNKNOWN_SPI: 1})
    world.speak()
    eventually("the drop", lambda: world.bob.counters().drops[Drop.NO_SA] == 1)


def test_what_would_use_a_nonce_twice_is_refused(world: Setting) -> None:
    engine = world.bob.engine
    engine.install(world.of_bob)
    with pytest.raises(ValueError, match="installed already"):
        engine.install(replace(pair(generation=1)[1], inbound_spi=world.of_bob.inbound_spi))
    with pytest.raises(ValueError, match="key"):
        engine.install(replace(world.of_bob, inbound_spi=0x1234))
    assert list(engine.counters().sas) == [world.of_bob.inbound_spi]


def test_an_unknown_sa_cannot_be_changed(world: Setting) -> None:
    with pytest.raises(KeyError):
        world.bob.engine.remove(0x1234)
    with pytest.raises(KeyError):
        world.bob.engine.update(0x1234, path(BOB, ALICE), Encapsulation.UDP)


def test_a_path_that_leads_nowhere_is_counted_and_the_engine_goes_on(world: Setting) -> None:
    child = replace(world.of_bob, path=path(BOB, "203.0.113.1"))
    world.bob.engine.install(child)
    world.speak()
    world.bob.await_drops({Drop.SEND_FAILED: 1})
    world.bob.engine.update(child.inbound_spi, world.of_bob.path, Encapsulation.UDP)
    assert spi_of_next(world) == child.outbound_spi


def test_a_packet_too_large_for_any_datagram_is_counted(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    world.speak(bytes(65495))
    world.bob.await_drops({Drop.OVERSIZED: 1})


def test_what_the_tun_device_refuses_is_counted(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    world.bob.namespace.run("ip", "link", "set", "hush0", "down")
    world.send(world.say(b"nobody is home"))
    world.bob.await_drops({Drop.TUN_WRITE_FAILED: 1})


def test_what_this_host_sends_that_is_not_ip_is_counted(world: Setting) -> None:
    packets = world.bob.namespace.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
    with packets:
        packets.sendto(b"\x45 but far too short", ("hush0", 0x0800))
    world.bob.await_drops({Drop.NOT_IP: 1})


def test_a_lost_device_stops_the_engine_and_is_told(world: Setting) -> None:
    world.bob.namespace.run("ip", "link", "delete", "hush0")
    failure = world.bob.await_event(EngineFailure)
    assert isinstance(failure, EngineFailure)
    assert failure.error


def test_closing_twice_is_no_error_and_leaves_the_descriptors_to_their_owner(
    world: Setting,
) -> None:
    world.bob.engine.close()
    world.bob.engine.close()
    os.fstat(world.bob.interface.tun_fd)
    with pytest.raises(RuntimeError):
        world.bob.engine.install(world.of_bob)


@pytest.mark.parametrize("engine", ENGINES)
def test_keepalives_go_out_while_nothing_else_does(engine: str) -> None:
    with setting(engine, keepalive_seconds=0.05) as world:
        world.bob.engine.install(replace(world.of_bob, keepalive=True))
        assert [world.wire.recv(100) for _ in range(3)] == [b"\xff"] * 3
        assert world.bob.counters().sas[world.of_bob.inbound_spi].packets_out == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_keepalives_begin_when_a_nat_is_found_and_end_when_it_is_left(engine: str) -> None:
    with setting(engine, keepalive_seconds=0.05) as world:
        spi, way = world.of_bob.inbound_spi, (world.of_bob.path, Encapsulation.UDP)
        world.bob.engine.install(world.of_bob)
        world.bob.engine.update(spi, *way, keepalive=True)
        assert [world.wire.recv(100) for _ in range(3)] == [b"\xff"] * 3
        world.bob.engine.update(spi, *way, keepalive=False)
        # Those of another SA tell the time: while three of its leave, this one would have as many.
        other = replace(pair(generation=1)[1], keepalive=True)
        elsewhere = Path(other.path.local, Address(ip_address(ALICE), 61000))
        with plain_socket(world.alice, (ALICE, 61000)) as clock:
            world.bob.engine.install(replace(other, path=elsewhere))
            assert clock.recv(100) == b"\xff"
            while select.select([world.wire], [], [], 0)[0]:
                world.wire.recv(100)  # from before
            assert [clock.recv(100) for _ in range(3)] == [b"\xff"] * 3
        assert not select.select([world.wire], [], [], 0)[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_capabilities_name_every_cipher_and_encapsulation(engine: str) -> None:
    running = ENGINES[engine]()
    capabilities = running.capabilities()
    running.close()
    assert capabilities.name == engine
    assert capabilities.ciphers
    assert set(capabilities.ciphers) <= set(CIPHERS)
    assert capabilities.encapsulations
