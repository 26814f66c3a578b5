from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from scapy.layers.inet import IP, IPOption_NOP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.packet import Packet, Raw

from hushwire.lab.topology import ALICE, BOB, Topology
from hushwire.sa.association import Address, Path
from hushwire.system.datagram import (
    open_raw_esp,
    open_raw_whole,
    open_udp,
    receive,
    receive_esp,
    receive_esp_whole,
    send,
    send_esp,
    send_whole,
)
from hushwire.system.errors import SystemFailureError
from tests.netns.inside import inside
from tests.netns.waiting import wait_readable

IpAddress = IPv4Address | IPv6Address

_IP_OPTIONS = 4

ADDRESSES: dict[int, tuple[IpAddress, IpAddress]] = {
    socket.AF_INET: (ALICE.underlay, BOB.underlay),
    socket.AF_INET6: (ALICE.underlay6, BOB.underlay6),
}
SECOND_ADDRESS: dict[int, IpAddress] = {
    socket.AF_INET: IPv4Address("192.168.77.11"),
    socket.AF_INET6: IPv6Address("fd00:77::11"),
}
families = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])


@pytest.fixture
def network(topology: Topology) -> Iterator[Topology]:
    topology.ip(
        "address add 192.168.77.11/24 dev eth0",
        "address add fd00:77::11/64 dev eth0 nodad",
        host="alice",
    )
    yield topology


def _udp(network: Topology, host: str, family: int, device: str | None = None) -> socket.socket:
    with inside(network, host):
        return open_udp(family, 4500, device)


def _raw(network: Topology, host: str, family: int) -> socket.socket:
    with inside(network, host):
        return open_raw_esp(family)


def _take(sock: socket.socket) -> tuple[bytes, Path]:
    wait_readable(sock)
    got = receive(sock)
    assert got is not None
    return got


@families
def test_a_datagram_tells_both_its_ends_and_the_answer_comes_from_there(
    network: Topology, family: int
) -> None:
    local, remote = (
        SECOND_ADDRESS[family],
        ADDRESSES[family][1],
    )
    with _udp(network, "alice", family) as alice, _udp(network, "bob", family) as bob:
        send(alice, b"question", Path(Address(local, 4500), Address(remote, 4500)))
        data, path = _take(bob)
        assert data == b"question"
        assert path == Path(Address(remote, 4500), Address(local, 4500))
        send(bob, b"", path)
        assert _take(alice) == (b"", Path(Address(local, 4500), Address(remote, 4500)))
        assert receive(alice) is None


def test_link_local_addresses_carry_their_device(network: Topology) -> None:
    with (
        _udp(network, "alice", socket.AF_INET6) as alice,
        _udp(network, "bob", socket.AF_INET6) as bob,
    ):
        with inside(network, "alice"):
            scope = socket.if_nametoindex("eth0")
            remote = IPv6Address(f"{BOB.link_local}%eth0")
            local = IPv6Address(f"{ALICE.link_local}%eth0")
            send(alice, b"named", Path(Address(local, 4500), Address(remote, 4500)))
        data, path = _take(bob)
        assert data == b"named"
        assert path.remote.ip.packed == ALICE.link_local.packed
        send(bob, b"numbered", path)
        data, path = _take(alice)
        assert data == b"numbered"
        assert path.remote.ip == IPv6Address(f"{BOB.link_local}%{scope}")
        with pytest.raises(OSError, match="name its device") as refused:
            send(alice, b"", Path(path.local, Address(BOB.link_local, 4500)))
        assert refused.value.errno == errno.EINVAL


@families
def test_a_source_that_is_not_ours_is_refused(network: Topology, family: int) -> None:
    local, remote = ADDRESSES[family]
    with _udp(network, "alice", family) as alice, pytest.raises(OSError) as refused:
        stranger = ip_address(int(local) + 100)
        send(alice, b"x", Path(Address(stranger, 4500), Address(remote, 4500)))
    assert refused.value.errno in {errno.EINVAL, errno.ENETUNREACH}


@families
def test_what_is_larger_than_the_wire_takes_is_fragmented_on_the_way(
    network: Topology, family: int
) -> None:
    local, remote = ADDRESSES[family]
    payload = bytes(range(256)) * 20
    with _udp(network, "alice", family) as alice, _udp(network, "bob", family) as bob:
        send(alice, payload, Path(Address(local, 4500), Address(remote, 4500)))
        assert _take(bob)[0] == payload
    with _raw(network, "alice", family) as sender, _raw(network, "bob", family) as receiver:
        send_esp(sender, payload, Path(Address(local, 0), Address(remote, 0)))
        wait_readable(receiver)
        assert receive_esp(receiver) == (payload, local, remote)


@families
def test_esp_comes_without_its_ip_header_and_with_both_addresses(
    network: Topology, family: int
) -> None:
    remote = ADDRESSES[family][1]
    local = SECOND_ADDRESS[family]
    with _raw(network, "alice", family) as sender, _raw(network, "bob", family) as receiver:
        send_esp(sender, b"\0\0\1\0\0\0\0\1sealed", Path(Address(local, 0), Address(remote, 0)))
        wait_readable(receiver)
        assert receive_esp(receiver) == (b"\0\0\1\0\0\0\0\1sealed", local, remote)
        assert receive_esp(receiver) is None


def test_ip_options_are_no_part_of_the_esp_packet(network: Topology) -> None:
    with (
        _raw(network, "alice", socket.AF_INET) as sender,
        _raw(network, "bob", socket.AF_INET) as receiver,
    ):
        sender.setsockopt(socket.IPPROTO_IP, _IP_OPTIONS, b"\1" * 8)
        send_esp(sender, b"sealed", Path(Address(ALICE.underlay, 0), Address(BOB.underlay, 0)))
        wait_readable(receiver)
        got = receive_esp(receiver)
    assert got == (b"sealed", ALICE.underlay, BOB.underlay)


def test_a_socket_of_a_device_hears_only_that(network: Topology) -> None:
    with inside(network, "bob"), open_udp(socket.AF_INET, 4500, "lo") as deaf:
        with _udp(network, "bob", socket.AF_INET, "eth0") as hears:
            with _udp(network, "alice", socket.AF_INET) as alice:
                path = Path(Address(ALICE.underlay, 4500), Address(BOB.underlay, 4500))
                send(alice, b"x", path)
            assert _take(hears)[0] == b"x"
        assert receive(deaf) is None


def test_a_port_that_is_taken_is_explained(network: Topology) -> None:
    with _udp(network, "alice", socket.AF_INET), pytest.raises(SystemFailureError) as refused:
        _udp(network, "alice", socket.AF_INET)
    assert "another program listens there already" in refused.value.why
    assert "ss -ulpn sport = :4500" in refused.value.cure


def test_both_families_share_a_port(network: Topology) -> None:
    with _udp(network, "alice", socket.AF_INET), _udp(network, "alice", socket.AF_INET6):
        pass


def test_an_unknown_device_is_explained(network: Topology) -> None:
    with pytest.raises(SystemFailureError, match="no device has this name"):
        _udp(network, "alice", socket.AF_INET, "eth7")


_OPTIONS = [PadN(optdata=b"\0" * 4)]
_V6 = IPv6(src="fd00:77::1", dst="fd00:77::2", hlim=9, tc=0xB8, fl=0x12345)
_V4 = IP(src="192.168.77.1", dst="192.168.77.2", ttl=7, tos=0xB8, id=99, flags="DF")


@pytest.mark.parametrize(
    "packet",
    [
        _V4,
        IP(src="192.168.77.1", dst="192.168.77.2", id=5, options=[IPOption_NOP()] * 4),
        _V6,
        IPv6(src="fd00:77::1", dst="fd00:77::2"),
        _V6 / IPv6ExtHdrHopByHop(options=_OPTIONS),
        _V6
        / IPv6ExtHdrHopByHop(options=_OPTIONS)
        / IPv6ExtHdrDestOpt(options=_OPTIONS)
        / IPv6ExtHdrRouting(type=2, addresses=["fd00:77::2"], segleft=0),
    ],
)
def test_a_whole_packet_arrives_with_the_headers_that_it_was_given(
    network: Topology, packet: Packet
) -> None:
    family = socket.AF_INET if packet.version == 4 else socket.AF_INET6
    esp = b"\0\0\x12\x34" + bytes(100)
    whole = packet.copy()
    whole.lastlayer().fields["proto" if packet.version == 4 else "nh"] = 50
    octets = bytes(whole / Raw(esp))
    with inside(network, "alice"):
        sender = open_raw_whole(family)
    with sender, _raw(network, "bob", family) as receiver:
        send_whole(sender, octets)
        wait_readable(receiver)
        got = receive_esp_whole(receiver)
        assert receive_esp_whole(receiver) is None
    assert got is not None
    front, payload = got
    assert payload == esp
    assert front.protocol == 50
    expected = octets[: -len(esp)]
    if family == socket.AF_INET6:
        expected = expected[:4] + bytes(2) + expected[6:]  # the length is not told
    assert front.octets == expected


@families
def test_a_whole_packet_larger_than_the_device_takes_is_refused(
    network: Topology, family: int
) -> None:
    with inside(network, "alice"):
        sender = open_raw_whole(family)
    packet = (_V4 if family == socket.AF_INET else _V6) / Raw(bytes(1500))
    with sender, pytest.raises(OSError) as caught:
        send_whole(sender, bytes(packet))
    assert caught.value.errno == errno.EMSGSIZE
