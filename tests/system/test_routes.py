from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network

import pytest

from hushwire.lab.topology import ALICE, BOB, Topology
from hushwire.system.addresses import add_address
from hushwire.system.errors import SystemFailureError
from hushwire.system.routes import add_route, device_mtu, source_address
from hushwire.system.tun import open_tun
from tests.netns.inside import inside


@pytest.mark.parametrize(
    ("own", "network"),
    [
        ("10.0.1.1/24", "10.9.0.0/16"),
        ("10.0.1.1/24", "10.9.0.7/32"),
        ("10.0.1.1/24", "0.0.0.0/0"),
        ("fd00:1::1/64", "fd00:9::/64"),
        ("fd00:1::1/64", "fd00:9::7/128"),
        ("fd00:1::1/64", "::/0"),
    ],
)
def test_a_route_leads_into_the_device_from_its_own_address(
    topology: Topology, own: str, network: str
) -> None:
    interface, destination = ip_interface(own), ip_network(network)
    inner = destination[-1] if destination.prefixlen else ip_address(int(interface.ip) + (1 << 24))
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1390)
        other = open_tun("hw1", 1280)
        add_address("hw0", interface)
        for _ in range(2):  # the second time nothing happens
            add_route("hw0", destination, interface.ip)
        assert source_address(inner) == interface.ip
        assert device_mtu(inner) == 1390
        with pytest.raises(SystemFailureError, match="hw0 has exactly this route already"):
            add_route("hw1", destination)
        tun.close()
        other.close()


def test_the_connected_route_counts_as_there(topology: Topology) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        add_address("hw0", ip_interface("10.0.1.1/24"))
        add_route("hw0", ip_network("10.0.1.0/24"), ip_address("10.0.1.1"))
        tun.close()


def test_what_the_kernel_would_send_from(topology: Topology) -> None:
    with inside(topology, "alice"):
        assert source_address(BOB.underlay) == ALICE.underlay
        assert source_address(BOB.underlay6) == ALICE.underlay6
        assert source_address(BOB.underlay, "eth0") == ALICE.underlay
        index = socket.if_nametoindex("eth0")
        scoped = IPv6Address(f"{BOB.link_local}%{index}")
        assert source_address(scoped) == IPv6Address(f"{ALICE.link_local}%{index}")
        assert device_mtu(BOB.underlay6) == 1500


def test_no_way_is_explained(topology: Topology) -> None:
    with inside(topology, "alice"):
        for remote in ("203.0.113.1", "2001:db8::1"):
            with pytest.raises(SystemFailureError, match=f"ip route get {remote}"):
                source_address(ip_address(remote))
        with pytest.raises(SystemFailureError, match="no device has this name"):
            source_address(BOB.underlay, "eth7")


def test_a_source_that_is_not_there_is_explained(topology: Topology) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        with pytest.raises(SystemFailureError, match=r"route to 10\.9\.0\.0/16 through hw0"):
            add_route("hw0", ip_network("10.9.0.0/16"), ip_address("10.0.1.1"))
        tun.close()


def test_an_address_may_be_added_twice(topology: Topology) -> None:
    with inside(topology, "alice"):
        for _ in range(2):
            add_address("eth0", ip_interface("10.0.1.1/24"))
            add_address("eth0", ip_interface("fd00:1::1/64"))
        with pytest.raises(SystemFailureError, match="no device has this name"):
            add_address("eth7", ip_interface("10.0.1.1/24"))
