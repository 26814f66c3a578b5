from __future__ import annotations

import os
import select
import socket
from ipaddress import ip_interface, ip_network

import pytest

from hushwire.lab.topology import Topology
from hushwire.system.addresses import add_address, device_index
from hushwire.system.errors import SystemFailureError
from hushwire.system.routes import add_route
from hushwire.system.tun import open_tun
from tests.netns.inside import inside
from tests.netns.waiting import wait_readable, wait_until


@pytest.mark.parametrize(
    ("own", "network"), [("10.0.1.1/24", "10.9.0.0/16"), ("fd00:1::1/64", "fd00:9::/64")]
)
def test_packets_of_a_route_come_out_whole_and_go_in_whole(
    topology: Topology, own: str, network: str
) -> None:
    interface, remote = ip_interface(own), ip_network(network)[7]
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        add_address("hw0", interface)
        add_route("hw0", ip_network(network), interface.ip)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 7000))
            sock.sendto(b"into the tunnel", (str(remote), 7000))
            wait_readable(tun.fd)
            packet = os.read(tun.fd, 65536)
            source, destination = interface.ip.packed, remote.packed
            assert packet[0] >> 4 == interface.version
            assert packet.endswith(b"into the tunnel")
            assert source + destination in packet
            # The same packet back: the sums over it do not change when the ends are swapped.
            # Again and again: the kernel takes an IPv6 address into use a moment after it is added.
            back = packet.replace(source + destination, destination + source)
            wait_until(lambda: os.write(tun.fd, back) and _readable(sock), "packet from the tunnel")
            assert sock.recvfrom(100)[0] == b"into the tunnel"
        tun.close()


def _readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0.1)[0])


def test_the_device_is_up_with_its_mtu_and_silent_until_somebody_sends(topology: Topology) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1380)
        add_address("hw0", ip_interface("fd00:1::1/64"))
    shown = topology.run("alice", ["ip", "address", "show", "hw0"]).stdout
    assert "mtu 1380" in shown
    assert ",UP," in shown
    assert "fe80" not in shown
    assert "tentative" not in shown
    with pytest.raises(BlockingIOError):
        os.read(tun.fd, 65536)
    tun.close()


def test_the_device_goes_when_it_is_closed(topology: Topology) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        assert device_index("hw0") == tun.index
        tun.close()
        tun.close()
        with pytest.raises(SystemFailureError, match="no device has this name"):
            device_index("hw0")


def test_names_that_cannot_be_are_explained(topology: Topology) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        for name, why in [
            ("hw0", "exists already"),
            ("eth0", "exists already"),
            ("a-tunnel-to-bobs", "16 characters"),
            ("ünterführung--", "16 characters"),
            ("", "0 characters"),
            ("hw/0", "refuses the name"),
        ]:
            with pytest.raises(SystemFailureError) as refused:
                open_tun(name, 1400)
            assert why in refused.value.why
        tun.close()


def test_a_persistent_device_of_somebody_else_is_not_taken(topology: Topology) -> None:
    topology.run("alice", ["ip", "tuntap", "add", "dev", "hw0", "mode", "tun"])
    with inside(topology, "alice"), pytest.raises(SystemFailureError, match="exists already"):
        open_tun("hw0", 1400)


def test_no_descriptor_is_lost_when_it_fails(topology: Topology) -> None:
    with inside(topology, "alice"):
        before = os.listdir("/proc/self/fd")  # noqa: PTH208 - counted, not read
        with pytest.raises(SystemFailureError):
            open_tun("eth0", 1400)
        assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
