"""What only the native engine has: many packets in one, and doing without; the rest of it is in
tests/conformance.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hushwire.engines.base import Capabilities, EngineFailure
from hushwire.sa.association import Encapsulation
from tests.conformance.hosts import ENGINES, Host
from tests.conformance.setting import setting
from tests.conformance.test_tunnel import tunnel
from tests.sa.pairs import pair

pytest.importorskip("hushwire._core", reason="make install built no extension")
from hushwire.engines.native.engine import NativeEngine

UDP_SEGMENT = 103
OCTETS = 8 << 20
ENDS = {4: ("10.0.1.1", "10.0.1.2"), 6: ("fd00::1", "fd00::2")}


class WithoutHeaders(NativeEngine):
    """As on a TUN device that it did not open itself."""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), tun_headers=False)


@pytest.fixture(
    params=[("native", "native"), ("native", "without"), ("without", "native")], ids="-".join
)
def engines(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    monkeypatch.setitem(ENGINES, "without", WithoutHeaders)
    yield request.param


@pytest.mark.parametrize("encapsulation", Encapsulation, ids=lambda e: e.value)
def test_streams_in_both_directions_arrive_octet_by_octet(
    engines: tuple[str, str], encapsulation: Encapsulation
) -> None:
    children = pair(encapsulation=encapsulation)
    content = os.urandom(OCTETS)
    with tunnel(engines, 4, children) as (alice, bob):
        got: dict[tuple[int, str], bytes] = {}
        threads = [
            threading.Thread(target=work)
            for version in (4, 6)
            for work in _exchange(alice, bob, version, content, got)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [key for key, octets in got.items() if octets != content] == []
        assert len(got) == 4
        for end, engine in ((alice, engines[0]), (bob, engines[1])):
            features = end.counters().features
            assert features["TUN headers"] == features["TSO"] == (engine == "native")
            assert features["UDP_GRO"]
            assert features["UDP_SEGMENT"]
            assert features["sendmmsg"] and features["recvmmsg"]


def _exchange(
    alice: Host, bob: Host, version: int, content: bytes, got: dict[tuple[int, str], bytes]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """What the two ends do: both send all of `content` to each other, and read it."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    server = bob.namespace.call(
        lambda: socket.create_server((ENDS[version][1], 8000), family=family)
    )
    client = alice.namespace.call(lambda: socket.socket(family))

    def talk(name: str, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(60)
            writer = threading.Thread(target=connection.sendall, args=(content,))
            writer.start()
            octets = bytearray()
            while len(octets) < len(content) and (piece := connection.recv(1 << 18)):
                octets += piece
            got[version, name] = bytes(octets)
            writer.join()

    def bobs() -> None:
        with server:
            talk("bob", server.accept()[0])

    def alices() -> None:
        client.connect((ENDS[version][1], 8000))
        talk("alice", client)

    return bobs, alices


@pytest.mark.parametrize("version", [4, 6], ids=lambda version: f"IPv{version}")
def test_datagrams_that_a_program_sends_in_one_call_arrive_one_by_one(
    engines: tuple[str, str], version: int
) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    content = os.urandom(40 * 1000 + 200)
    with tunnel(engines, 4, pair()) as (alice, bob):
        receiver = bob.namespace.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        sender = alice.namespace.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        with receiver, sender:
            receiver.settimeout(30)
            receiver.bind((ENDS[version][1], 9000))
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
            sender.sendto(content, (ENDS[version][1], 9000))
            datagrams = [receiver.recv(65535) for _ in range(41)]
    assert b"".join(datagrams) == content
    assert {len(one) for one in datagrams[:-1]} == {1000}


def test_an_engine_that_has_failed_still_answers() -> None:
    with setting("native") as world:
        world.bob.namespace.run("ip", "link", "delete", "hush0")
        failure = world.bob.await_event(EngineFailure)
        assert isinstance(failure, EngineFailure)
        world.bob.engine.install(world.of_bob)
        assert list(world.bob.counters().sas) == [world.of_bob.inbound_spi]


def test_an_engine_is_opened_once_and_used_only_while_it_is_open() -> None:
    with setting("native") as world:
        with pytest.raises(RuntimeError, match="opened once"):
            world.bob.engine.open(world.bob.interface)
        unopened = NativeEngine()
        with pytest.raises(RuntimeError, match="not open"):
            unopened.install(world.of_bob)
        unopened.close()
        with pytest.raises(RuntimeError, match="opened once"):
            unopened.open(world.bob.interface)
