"""What every engine does with TCP connections (RFC 9329), against a peer played octet by octet."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from hushwire.engines.base import Drop, Engine, IkeDatagram, PathMoved, StreamClosed
from hushwire.esp.open import InboundSa
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.system.stream import accept, open_listener
from hushwire.wire.tcpencap import FrameReader, build_frame
from tests.conformance.hosts import ENGINES, NATT
from tests.conformance.namespaces import eventually
from tests.conformance.setting import BOB, Setting, setting
from tests.sa.pairs import mirror, pair

MARKER = bytes(4)


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> Generator[Setting]:
    with setting(request.param) as ready:
        yield ready


@dataclass
class Line:
    """Alice's end of a connection that bob's engine has; `path` is bob's name for it."""

    sock: socket.socket
    path: Path

    def __post_init__(self) -> None:
        self._reader = FrameReader()
        self._read: list[bytes] = []

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(map(build_frame, messages)))

    def hear(self) -> bytes:
        """The next message of the engine's."""
        while not self._read:
            octets = self.sock.recv(65536)
            assert octets, "the engine has closed the connection"
            self._read += self._reader.feed(octets)
        return self._read.pop(0)

    def ends(self) -> bool:
        """Wait for the end of the stream: True when nothing but whole messages came before."""
        while octets := self.sock.recv(65536):
            self._read += self._reader.feed(octets)
        return self._reader.waiting == 0


@contextmanager
def line(world: Setting, *, originated: bool = False, receive_octets: int = 0) -> Generator[Line]:
    with world.bob.namespace.call(lambda: open_listener(socket.AF_INET, NATT)) as listener:
        sock = world.alice.call(lambda: socket.socket(socket.AF_INET))
        sock.settimeout(30)
        if receive_octets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_octets)
        sock.connect((BOB, NATT))
        accepted = accept(listener)
    assert accepted is not None
    with sock:
        world.bob.engine.add_stream(*accepted, originated=originated)
        yield Line(sock, accepted[1])


def in_tcp(child: ChildSa, path: Path) -> ChildSa:
    return replace(child, encapsulation=Encapsulation.TCP, path=path)


def closed(world: Setting) -> StreamClosed:
    event = world.bob.await_event(StreamClosed)
    assert isinstance(event, StreamClosed)
    return event


def test_esp_goes_both_ways_in_frames(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        tcp.send(world.say(b"one"), world.say(b"two"))
        assert [world.hear(), world.hear()] == [b"one", b"two"]
        inbound = InboundSa(world.of_alice)
        for text in (b"three", b"four"):
            world.speak(text)
            assert inbound.open(tcp.hear()).inner.endswith(text)
        assert world.bob.dropped() == {}


def test_ike_goes_both_ways_behind_the_marker(world: Setting) -> None:
    with line(world) as tcp:
        tcp.send(MARKER + b"a request")
        event = world.bob.await_event(IkeDatagram)
        assert event == IkeDatagram(b"a request", tcp.path)
        world.bob.engine.send_ike(b"a response", tcp.path)
        assert tcp.hear() == MARKER + b"a response"
        world.bob.engine.send_ike(b"nobody is there", tcp.path._replace(local=tcp.path.remote))
        world.bob.engine.send_ike(b"still here", tcp.path)
        assert tcp.hear() == MARKER + b"still here"


def test_frames_may_come_in_any_pieces(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        for octet in build_frame(world.say(b"octet by octet")):
            tcp.sock.sendall(bytes([octet]))
        assert world.hear() == b"octet by octet"


def test_keepalives_and_empty_messages_are_no_errors(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        tcp.send(b"\xff", b"", b"\xff", world.say(b"still here"))
        assert world.hear() == b"still here"
        world.bob.await_drops({Drop.KEEPALIVE: 2})


@pytest.mark.parametrize("engine", ENGINES)
def test_no_keepalive_is_sent_where_udp_would_have_had_several(engine: str) -> None:
    with setting(engine, keepalive_seconds=0.02) as world, line(world) as tcp:
        world.bob.engine.install(replace(pair(generation=1)[1], keepalive=True))
        world.bob.engine.install(replace(in_tcp(world.of_bob, tcp.path), keepalive=True))
        assert [world.wire.recv(100) for _ in range(5)] == [b"\xff"] * 5
        world.speak(b"the first message")
        assert InboundSa(world.of_alice).open(tcp.hear()).inner.endswith(b"the first message")


BAD: dict[str, tuple[Callable[[Setting], bytes], str]] = {
    "length 0": (lambda world: b"\0\0", "length 0"),
    "length 1": (lambda world: b"\0\1", "length 1"),
    "forged": (
        lambda world: build_frame(world.say(b"forged")[:-1] + b"?"),
        "not authentic",
    ),
    "garbage": (lambda world: build_frame(b"\1\2\3\4garbage.") * 40, "32 packets in a row"),
    "too short": (lambda world: build_frame(b"\1\2") * 40, "32 packets in a row"),
    "an end": (lambda world: b"", "the peer closed it"),
    "half a frame": (lambda world: build_frame(world.say(b"cut off"))[:-1], "the peer closed it"),
    "half a length": (lambda world: b"\0", "the peer closed it"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_corrupted_stream_is_closed_and_told_and_nothing_else_is_lost(
    world: Setting, name: str
) -> None:
    make, why = BAD[name]
    with line(world) as good, line(world) as bad:
        world.bob.engine.install(in_tcp(world.of_bob, good.path))
        bad.sock.sendall(make(world))
        bad.sock.shutdown(socket.SHUT_WR)
        event = closed(world)
        assert event.path == bad.path
        assert why in event.why
        good.send(world.say(b"still here"))
        assert world.hear() == b"still here"


def test_a_few_unknown_spis_do_not_close_it(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        for _ in range(3):
            tcp.send(*[b"\1\2\3\4garbage."] * 31, world.say(b"genuine"))
            assert world.hear() == b"genuine"
        world.bob.await_drops({Drop.UNKNOWN_SPI: 93})


def test_a_reset_is_told_in_words(world: Setting) -> None:
    with line(world) as tcp:
        tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        tcp.sock.close()
        assert closed(world) == StreamClosed(tcp.path, "connection reset by peer")


def test_without_its_connection_an_sa_sends_nothing_and_counts_it(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        world.bob.engine.close_stream(tcp.path)
        assert closed(world).path == tcp.path
        assert tcp.ends()
        world.speak()
        world.bob.await_drops({Drop.NO_STREAM: 1})
    with line(world) as again:
        spi = world.of_bob.inbound_spi
        world.bob.engine.update(spi, again.path, Encapsulation.TCP)
        world.speak(b"the same SA")
        assert InboundSa(world.of_alice).open(again.hear()).inner.endswith(b"the same SA")


def test_a_stalled_connection_drops_whole_packets_and_holds_up_nobody(world: Setting) -> None:
    of_carol = replace(
        world.of_bob,
        inbound_spi=0xCA201,
        outbound_spi=0xCA202,
        outbound_key=world.of_bob.inbound_key,
        inbound_key=world.of_bob.outbound_key,
    )
    with line(world, receive_octets=2048) as stalled, line(world) as lively:
        engine = world.bob.engine
        engine.install(in_tcp(world.of_bob, stalled.path))
        for number in itertools.count():
            world.speak(bytes(1000))
            if number % 50 == 0 and world.bob.counters().drops[Drop.STREAM_FULL] >= 10:
                break
        engine.send_ike(b"waits its turn", stalled.path)
        engine.install(in_tcp(of_carol, lively.path))
        eventually("all that waited in the TUN device is read", _unchanged(world))
        world.speak(b"not held up")
        carol = InboundSa(mirror(of_carol, "bob"))
        while not carol.open(lively.hear()).inner.endswith(b"not held up"):
            pass  # what bob's host had sent before
        # What was begun arrives whole, and then the IKE message.
        inbound = InboundSa(world.of_alice)
        sent = world.bob.counters().sas[world.of_bob.inbound_spi].packets_out
        for _ in range(sent):
            assert inbound.open(stalled.hear()).inner.endswith(bytes(1000))
        assert stalled.hear() == MARKER + b"waits its turn"
        engine.remove(of_carol.inbound_spi)
        world.speak(b"and on it goes")
        assert inbound.open(stalled.hear()).inner.endswith(b"and on it goes")


def test_ike_for_a_stalled_connection_is_bounded(world: Setting) -> None:
    with line(world, receive_octets=2048) as stalled:
        message = bytes(8000)
        for _ in range(2000):
            world.bob.engine.send_ike(message, stalled.path)
        world.bob.engine.send_ike(b"x" * 60000, stalled.path)  # never fits
        stalled.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        world.bob.engine.close_stream(stalled.path)
        heard = 0
        try:
            while octets := stalled.sock.recv(65536):
                heard += len(octets)
        except ConnectionResetError:
            pass
        assert heard < 2000 * len(message) / 2


def test_a_packet_too_large_for_a_frame_is_counted(world: Setting) -> None:
    with line(world) as tcp:
        world.bob.engine.install(in_tcp(world.of_bob, tcp.path))
        world.speak(bytes(65500))
        world.bob.await_drops({Drop.OVERSIZED: 1})


def spi_heard(tcp: Line, engine: Engine, world: Setting) -> int:
    world.speak()
    return int.from_bytes(tcp.hear()[:4], "big")


def test_the_engine_follows_genuine_packets_to_a_newer_connection_of_the_peers(
    world: Setting,
) -> None:
    engine = world.bob.engine
    with line(world) as old, line(world) as new:
        engine.install(in_tcp(world.of_bob, old.path))
        packet = world.say(b"by the old one")
        old.send(packet)
        assert world.hear() == b"by the old one"
        new.send(packet)  # a replay moves nobody
        world.bob.await_drops({Drop.REPLAY: 1})
        assert spi_heard(old, engine, world) == world.of_bob.outbound_spi
        new.send(world.say(b"by the new one"))
        assert world.hear() == b"by the new one"
        assert world.bob.await_event(PathMoved) == PathMoved(world.of_bob.inbound_spi, new.path)
        assert spi_heard(new, engine, world) == world.of_bob.outbound_spi
        # What was still under way in the old one is taken, but it leads nowhere any more.
        old.send(world.say(b"late"))
        assert world.hear() == b"late"
        assert spi_heard(new, engine, world) == world.of_bob.outbound_spi
        assert engine.events() == []


def test_the_originator_follows_nobody(world: Setting) -> None:
    engine = world.bob.engine
    with line(world, originated=True) as ours, line(world, originated=True) as other:
        engine.install(in_tcp(world.of_bob, ours.path))
        other.send(world.say(b"by another one"))
        assert world.hear() == b"by another one"
        assert spi_heard(ours, engine, world) == world.of_bob.outbound_spi
        assert engine.events() == []


def test_closing_the_engine_closes_every_connection(world: Setting) -> None:
    with line(world) as one, line(world) as two:
        world.bob.engine.close()
        assert one.ends()
        assert two.ends()


def _unchanged(world: Setting) -> Callable[[], bool]:
    """True when the engine has counted nothing new for a while."""
    seen: list[int] = []

    def same() -> bool:
        counters = world.bob.counters()
        seen.append(
            sum(counters.drops.values()) + sum(sa.packets_out for sa in counters.sas.values())
        )
        return len(seen) > 40 and len(set(seen[-40:])) == 1

    return same
