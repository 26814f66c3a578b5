"""What only the Python engine has; all the rest of it is in tests/conformance."""

from __future__ import annotations

import select
import socket
from collections.abc import Generator

import pytest

from hushwire.engines.base import (
    EVENTS_WAITING,
    Drop,
    EngineFailure,
    IkeDatagram,
    SequenceNearEnd,
)
from hushwire.engines.python.engine import PythonEngine
from hushwire.engines.python.events import EventQueue
from hushwire.engines.python.pump import Pump
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from tests.conformance.hosts import wiretap
from tests.conformance.namespaces import eventually
from tests.conformance.setting import ALICE, BOB, Setting, setting
from tests.sa.pairs import pair, path

LAST_32 = (1 << 32) - 1
IP_RECVERR = 11


@pytest.fixture
def world() -> Generator[Setting]:
    with setting("python") as ready:
        yield ready


def pump_of(world: Setting) -> Pump:
    assert isinstance(world.bob.engine, PythonEngine)
    pump = world.bob.engine._pump
    assert pump is not None
    return pump


def install_worn(world: Setting, sent: int) -> ChildSa:
    """An SA without ESN that has sent so many packets already."""
    child = pair(esn=False)[1]
    world.bob.engine.install(child)
    pump_of(world).table[child.inbound_spi].outbound = OutboundSa(child, sent)
    return child


def test_the_last_sequence_number_is_used_and_then_nothing_leaves(world: Setting) -> None:
    child = install_worn(world, LAST_32 - 1)
    world.speak()
    assert world.wire.recv(65535)[4:8] == b"\xff" * 4
    world.speak()
    world.speak()
    world.bob.await_drops({Drop.SEQUENCE_EXHAUSTED: 2})
    assert world.bob.counters().sas[child.inbound_spi].packets_out == 1


def test_the_coming_end_of_the_sequence_numbers_is_told_once(world: Setting) -> None:
    child = install_worn(world, LAST_32 - 1000)
    for _ in range(3):
        world.speak()
        world.wire.recv(65535)
    assert world.bob.engine.events() == [SequenceNearEnd(child.inbound_spi)]


def test_an_error_of_our_own_stops_the_thread_tells_why_and_lets_nothing_out(
    world: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    world.bob.engine.install(world.of_bob)
    pump = pump_of(world)
    with wiretap(world.alice) as frames:
        del pump.table
        world.speak(b"never in clear")
        failure = world.bob.await_event(EngineFailure)
        assert isinstance(failure, EngineFailure)
        assert failure.error.startswith("AttributeError: ")
        world.speak(b"never in clear")
        thread = world.bob.engine._thread  # type: ignore[attr-defined]
        thread.join(30)
        assert not thread.is_alive()
        assert pump._selector.get_map() is None, "descriptors are still watched"
        assert not [frame for frame in frames() if b"never in clear" in frame]
    assert "has ended" in caplog.text


def test_an_error_that_a_socket_reports_is_counted_and_the_engine_goes_on(world: Setting) -> None:
    world.bob.engine.install(world.of_bob)
    udp = world.bob.interface.udp[0]
    udp.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    udp.sendto(b"nobody listens there", (ALICE, 9))
    eventually("the error counted", lambda: world.bob.counters().drops[Drop.RECEIVE_FAILED])
    world.send(world.say(b"still here"))
    assert world.hear() == b"still here"


def test_an_engine_is_opened_once_and_used_only_while_it_is_open(world: Setting) -> None:
    with pytest.raises(RuntimeError, match="opened once"):
        world.bob.engine.open(world.bob.interface)
    unopened = PythonEngine()
    with pytest.raises(RuntimeError, match="not open"):
        unopened.install(world.of_bob)
    unopened.close()
    with pytest.raises(RuntimeError, match="opened once"):
        unopened.open(world.bob.interface)


def test_strangers_fill_the_queue_to_its_bound_and_the_engines_own_news_still_fit() -> None:
    queue = EventQueue()
    message = IkeDatagram(b"", path(BOB, ALICE))
    assert all(queue.offer(message) for _ in range(EVENTS_WAITING))
    assert not queue.offer(message)
    queue.put(EngineFailure("news"))
    assert select.select([queue.fd], [], [], 0)[0]
    assert queue.take() == [message] * EVENTS_WAITING + [EngineFailure("news")]
    assert not select.select([queue.fd], [], [], 0)[0]
    assert queue.offer(message)
    queue.close()
