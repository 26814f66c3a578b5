"""Rules and tables as the kernel uses them: what a marked socket reaches, and what others do."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from hushwire.system import policy
from hushwire.system.addresses import device_index
from hushwire.system.errors import SystemFailureError
from hushwire.system.mark import MARK, mark
from hushwire.system.reverse_path import is_strict
from hushwire.system.routes import next_hop, source_address
from hushwire.system.tun import open_tun
from tests.netns.inside import inside

FAMILIES = pytest.mark.parametrize(
    ("host", "own", "elsewhere"),
    [
        (BOB.underlay, ALICE.underlay, "192.168.77.3"),
        (BOB.underlay6, ALICE.underlay6, "fd00:77::3"),
    ],
)


def rules(topology: Topology) -> str:
    show = "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all"
    said = topology.run("alice", ["sh", "-c", show]).stdout
    return "\n".join(line for line in said.splitlines() if "12079" in line or "fwmark" in line)


def way(host: object, *, marked: bool) -> tuple[str, str]:
    """The device that a packet would leave by, and the address that it would have."""
    with socket.socket(
        socket.AF_INET6 if ":" in str(host) else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        if marked:
            mark(sock)
        sock.connect((str(host), 9))
        mtu = sock.getsockopt(
            *((socket.IPPROTO_IPV6, 24) if ":" in str(host) else (socket.IPPROTO_IP, 14))
        )
        return {1400: "hw0", 1500: WIRE}[mtu], sock.getsockname()[0]


@FAMILIES
def test_an_applications_packets_to_the_host_are_captured_and_only_those(
    topology: Topology, host: IPv4Address, own: IPv4Address, elsewhere: str
) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        policy.capture(tun.index, host, own)
        policy.capture(tun.index, host, own)  # the second time nothing happens
        assert way(host, marked=False) == ("hw0", str(own))
        assert way(host, marked=True) == (WIRE, str(own))
        assert way(elsewhere, marked=False) == (WIRE, str(own))
        assert source_address(host) == own
        policy.clear(tun.index)
        assert way(host, marked=False) == (WIRE, str(own))
        tun.close()
        assert rules(topology) == ""


@pytest.mark.parametrize(
    ("host", "hop"),
    [("10.0.1.2", BOB.underlay), ("fd00:1::2", BOB.underlay6), ("fd00:1::2", BOB.link_local)],
)
def test_sealed_packets_go_nowhere_until_they_are_led(
    topology: Topology, host: str, hop: IPv6Address
) -> None:
    with inside(topology, "alice"):
        tun = open_tun("hw0", 1400)
        destination = ip_address(host)
        policy.refuse(tun.index, destination)
        with pytest.raises(OSError, match=r"No route|unreachable"):
            way(host, marked=True)
        for _ in range(2):
            policy.lead(tun.index, destination, hop, device_index(WIRE))
        assert way(host, marked=True)[0] == WIRE
        with suppress(OSError):  # only marked packets are led: there is no other route
            assert way(host, marked=False)[0] != WIRE
        policy.clear(tun.index)
        tun.close()
        assert rules(topology) == ""


def test_what_a_killed_process_left_is_found_and_what_runs_is_left_alone(
    topology: Topology,
) -> None:
    with inside(topology, "alice"):
        dead, alive = open_tun("hw0", 1400), open_tun("hw1", 1400)
        for tun, number in ((dead, 2), (alive, 3)):
            policy.capture(tun.index, ip_address(f"192.168.77.{number}"), ALICE.underlay)
            policy.capture(tun.index, ip_address(f"fd00:77::{number}"), ALICE.underlay6)
            policy.refuse(tun.index, ip_address(f"10.0.1.{number}"))
            policy.lead(tun.index, ip_address(f"10.0.1.{number}"), BOB.underlay, device_index(WIRE))
        topology.ip("rule add from 1.2.3.4 lookup 77 protocol 72", host="alice")  # another's
        dead.close()
        assert "10.0.1.2" in rules(topology)
        policy.clear_stale()
        left = rules(topology)
        assert "10.0.1.2" not in left
        assert "10.0.1.3" in left
        assert left.count("fwmark") == 3
        policy.clear(alive.index)
        assert rules(topology) == ""
        assert "1.2.3.4" in topology.run("alice", ["ip", "rule"]).stdout
        alive.close()


def test_the_next_hop_is_the_host_itself_or_its_gateway(topology: Topology) -> None:
    topology.ip("route add 203.0.113.0/24 via 192.168.77.2", host="alice")
    with inside(topology, "alice"):
        assert next_hop(BOB.underlay) == (WIRE, device_index(WIRE), None)
        assert next_hop(BOB.underlay6, WIRE).gateway is None
        assert next_hop(ip_address("203.0.113.7")).gateway == BOB.underlay
        scoped = IPv6Address(f"{BOB.link_local}%{WIRE}")
        assert next_hop(scoped).device == WIRE
        with pytest.raises(SystemFailureError, match="way to 198"):
            next_hop(ip_address("198.51.100.1"))


def test_the_reverse_path_filter_is_read_as_the_kernel_uses_it(topology: Topology) -> None:
    for every, device, strict in ((1, 0, True), (1, 2, False), (0, 1, True), (0, 0, False)):
        topology.run(
            "alice",
            ["sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={every}",
             f"net.ipv4.conf.{WIRE}.rp_filter={device}"],
        )  # fmt: skip
        with inside(topology, "alice"):
            assert is_strict(WIRE) is strict
    with inside(topology, "alice"):
        assert not is_strict("none0")


def test_the_mark_is_the_one_that_is_documented(topology: Topology) -> None:
    assert MARK.to_bytes(4, "big") == b"HWRE"
    with inside(topology, "alice"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        mark(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, 36) == MARK
