"""TCP sockets for RFC 9329, on a real wire."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from hushwire.sa.association import Address, Carrier, Path
from hushwire.system.errors import SystemFailureError
from hushwire.system.stream import accept, open_listener, open_stream, path_of, socket_address
from tests.netns.inside import inside
from tests.netns.waiting import wait_readable, wait_until

IPV6_AUTOFLOWLABEL = 70


@contextmanager
def joined(topology: Topology, outer: str) -> Generator[tuple[socket.socket, socket.socket, Path]]:
    """alice's and bob's ends, and the path as bob sees it."""
    remote = Address(getattr(BOB, outer), 4500)
    family = socket.AF_INET if remote.ip.version == 4 else socket.AF_INET6
    with inside(topology, "bob"):
        listener = open_listener(family, 4500)
    with inside(topology, "alice"):
        if remote.ip.is_link_local:
            index = socket.if_nametoindex(WIRE)
            remote = Address(ip_address(f"{remote.ip}%{index}"), 4500)
        client = open_stream(remote.ip)
        with pytest.raises(BlockingIOError):
            client.connect(socket_address(remote))
    with listener, client:
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        wait_readable(listener)
        got = accept(listener)
        assert got is not None
        assert accept(listener) is None
        with got[0] as server:
            assert path_of(client).remote == remote
            yield client, server, got[1]


@pytest.mark.parametrize("outer", ["underlay", "underlay6", "link_local"])
def test_both_ends_know_the_path(topology: Topology, outer: str) -> None:
    with joined(topology, outer) as (client, server, path):
        mine = path_of(client)
        assert path.carrier is mine.carrier is Carrier.TCP
        assert (path.local.port, path.remote.port) == (4500, mine.local.port)
        assert path.remote.ip.packed == mine.local.ip.packed == getattr(ALICE, outer).packed
        assert path.local.ip.packed == mine.remote.ip.packed
        assert bool(getattr(path.remote.ip, "scope_id", None)) == (outer == "link_local")
        client.send(b"IKETCP")
        wait_readable(server)
        assert server.recv(100) == b"IKETCP"


@pytest.mark.parametrize("outer", ["underlay", "underlay6"])
def test_neither_end_blocks_or_waits_to_fill_a_segment(topology: Topology, outer: str) -> None:
    with joined(topology, outer) as (client, server, _):
        for sock in (client, server):
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            if outer == "underlay6":
                assert sock.getsockopt(socket.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL) == 0


def test_a_peer_that_reads_nothing_soon_makes_the_socket_full(topology: Topology) -> None:
    with joined(topology, "underlay") as (client, server, _):
        taken = 0
        with pytest.raises(BlockingIOError):
            while True:
                taken += client.send(bytes(1000))
        assert taken < 16 << 20
        wait_until(lambda: server.recv(1 << 20) and _takes_more(client), "room")


def _takes_more(sock: socket.socket) -> bool:
    try:
        return sock.send(b"x") == 1
    except BlockingIOError:
        return False


def test_a_port_in_use_is_named_with_its_cure(topology: Topology) -> None:
    with inside(topology, "bob"), open_listener(socket.AF_INET, 4500):
        with pytest.raises(SystemFailureError) as caught:
            open_listener(socket.AF_INET, 4500)
        assert caught.value.what == "TCP port 4500 (IPv4)"
        assert "tcp_port" in caught.value.cure
        open_listener(socket.AF_INET6, 4500).close()


def test_an_unknown_device_is_named(topology: Topology) -> None:
    with inside(topology, "bob"), pytest.raises(SystemFailureError, match="no device"):
        open_listener(socket.AF_INET, 4500, "nosuch0")


def test_a_listener_may_be_bound_to_one_device(topology: Topology) -> None:
    with inside(topology, "bob"), open_listener(socket.AF_INET, 4500, WIRE) as bound:
        for address, answers in (("127.0.0.1", False), (str(BOB.underlay), True)):
            with open_stream(ip_address(address)) as local:
                local.connect_ex((address, 4500))
            assert (accept(bound) is not None) is answers
