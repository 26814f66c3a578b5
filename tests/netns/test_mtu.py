"""No black hole: whatever the path takes, wherever it takes less, whoever filters ICMP."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hushwire.esp.pmtu import FINE_ENOUGH
from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, TUNNEL, WIRE, Resident, Topology
from hushwire.lab.world import World
from tests.netns.forgery import too_big
from tests.netns.routed import FAR, NEAR, Routed
from tests.netns.tunnels import Side, both_up, ping, sides
from tests.netns.waiting import wait_until

_LONG = "HUSHWIRE_LONG"
_MTU_TALK = Path(__file__).with_name("mtu_talk.py")
_TALK = [sys.executable, "-m", "hushwire.lab.talk"]
_BETWEEN = range(576, 9001, 97) if os.environ.get(_LONG) else ()

# (every link, outer family, encapsulation): each family and each encapsulation at each size.
LINKS = [
    (mtu, outer, "udp" if (index + outer // 2) % 2 else "esp")
    for index, mtu in enumerate([576, 1280, 1400, 1492, 1500, 9000, *_BETWEEN])
    for outer in (4, 6)
    if outer == 4 or mtu >= 1280
]
# (the link in the middle, outer family, encapsulation, ICMP filtered), links of 1500 at the ends.
MIDDLES = [
    (576, 4, "udp", False),
    (576, 4, "esp", True),
    (1400, 4, "esp", False),
    (1400, 4, "udp", True),
    (1280, 6, "esp", False),
    (1280, 6, "udp", True),
    (1400, 6, "udp", False),
    (1400, 6, "esp", True),
    *((mtu, 6, "udp", True) for mtu in _BETWEEN if 1280 < mtu < 1500),
    *((mtu, 4, "esp", True) for mtu in _BETWEEN if mtu < 1500),
]


@dataclass
class Tunnel:
    network: Topology
    alice: Side
    bob: Side
    programs: tuple[Program, Program]

    def mtu(self, side: Side | None = None) -> int:
        """What the kernel has on the TUN device."""
        host = (side or self.alice).name
        (link,) = json.loads(self.network.run(host, ["ip", "-j", "link", "show", TUNNEL]).stdout)
        return int(link["mtu"])


@contextmanager
def tunnel(network: Topology, outer: int, encap: str, **peer: str) -> Iterator[Tunnel]:
    alice, bob = sides(network)
    for side in (alice, bob):
        endpoint = side.other.underlay if outer == 4 else side.other.underlay6
        start = "up" if side is alice else "wait"
        side.write(encap=encap, endpoint=str(endpoint), start=start, **peer)
    yield Tunnel(network, alice, bob, both_up(alice, bob, at_once=False))


def everything_passes(network: Topology, sizes: list[int]) -> None:
    """UDP of every size, with and without DF, ping, and TCP both ways, in both inner families."""
    for target, back in ((BOB.tunnel.ip, ALICE.tunnel.ip), (BOB.tunnel6.ip, ALICE.tunnel6.ip)):
        echo = network.start("bob", [sys.executable, _MTU_TALK, "echo", str(target)])
        echo.wait_for_line("ready")
        for kind in ("free", "df"):
            ask = [sys.executable, str(_MTU_TALK), "ask", str(target), kind]
            lost = network.run("alice", [*ask, *map(str, sizes)], seconds=240).stdout.split()
            assert not lost, f"UDP to {target}, {kind}: {lost} vanish"
        echo.stop()
        ping(network, "alice", target, "-s", "56")
        ping(network, "alice", target, "-M", "dont", "-s", "3000")
        for sender, taker, address in (("alice", "bob", target), ("bob", "alice", back)):
            _send_two_megabytes(network, sender, taker, str(address))


@pytest.mark.parametrize(("mtu", "outer", "encap"), LINKS)
def test_every_size_passes_on_links_of_any_mtu(
    world: World, mtu: int, outer: int, encap: str
) -> None:
    with (
        Routed(world, edge=mtu, middle=mtu) as network,
        tunnel(network, outer, encap) as up,
    ):
        everything_passes(network, _sizes(mtu))
        wait_until(lambda: up.alice.tunnel()["path_mtu"] == mtu, "path MTU")
        # The kernel's own packets of exactly this size are one packet each on the wire.
        overhead = {4: 20, 6: 40}[outer] + (8 if encap == "udp" else 0) + 8 + 8 + 16 + 2
        assert up.mtu() == max(1280, mtu - overhead - (mtu - overhead + 2) % 4)


@pytest.mark.parametrize(("middle", "outer", "encap", "filtered"), MIDDLES)
def test_every_size_passes_where_the_path_takes_less_than_the_links_at_its_ends(
    world: World, middle: int, outer: int, encap: str, filtered: bool
) -> None:
    with (
        Routed(world, edge=1500, middle=middle, filtered=filtered) as network,
        tunnel(network, outer, encap) as up,
    ):
        everything_passes(network, _sizes(middle))
        least = middle - FINE_ENOUGH if filtered else middle - 1
        for side in (up.alice, up.bob):
            wait_until(partial(_knows_at_most, side, middle), "path MTU")
            assert side.tunnel()["path_mtu"] > least
        # Now that it is known, the same again without fragments of what fits.
        everything_passes(network, _sizes(middle)[:12])


@pytest.mark.parametrize("outer", [4, 6])
def test_a_path_that_begins_to_take_less_is_noticed_by_icmp_and_no_transfer_stalls(
    world: World, outer: int
) -> None:
    with (
        Routed(world, edge=1500, middle=1500) as network,
        tunnel(network, outer, "udp") as up,
    ):
        wait_until(lambda: up.alice.tunnel()["path_mtu"] == 1500, "path MTU")
        for router, device in ((NEAR, FAR), (FAR, NEAR)):
            network.ip(f"link set {device} mtu 1300", host=router)
        for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
            _send_two_megabytes(network, "alice", "bob", str(target))
        if outer == 6:  # of IPv4 the routers make fragments, so nobody complains
            wait_until(lambda: up.alice.tunnel()["path_mtu"] == 1300, "path MTU")


def test_the_mtu_of_the_device_is_exact_once_encapsulation_and_suite_are_chosen(
    topology: Topology,
) -> None:
    with tunnel(topology, 4, "auto") as up:
        # At first it had to do for UDP and for the suite that adds most.
        first = re.search(r"MTU (\d+), \w+ engine", up.programs[0].output)
        assert first is not None
        assert int(first[1]) < 1446
        wait_until(lambda: up.mtu() == 1446, "MTU for ESP as protocol 50")
        assert up.alice.status()["mtu"] == 1446


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("encap", ["esp", "udp"])
def test_forged_errors_are_ignored_and_counted(topology: Topology, outer: int, encap: str) -> None:
    with tunnel(topology, outer, encap) as up:
        wait_until(lambda: up.alice.tunnel()["path_mtu"] == 1500, "path MTU")
        spi = int(up.alice.tunnel()["spi_out"], 16).to_bytes(4, "big")
        other_spi = bytes(4 * [spi[0] ^ 1])
        natt = (4500).to_bytes(2, "big") * 2 + bytes(4)
        ours, theirs = _ends(ALICE, outer), _ends(BOB, outer)
        stranger = "192.168.77.9" if outer == 4 else "fd00:77::9"
        wrong_family = natt + spi if encap == "esp" else spi
        right = spi if encap == "esp" else natt + spi
        protocol = {"esp": 50, "udp": 17}[encap]
        forged = [
            (theirs, 1400, right.replace(spi, other_spi), protocol),  # another SPI
            (theirs, 1400, right[:8] if encap == "udp" else spi[:3], protocol),  # no SPI at all
            (theirs, 1400, wrong_family, 67 - protocol),  # the other encapsulation
            (theirs, 1400, right, 6),  # TCP
            (stranger, 1400, right, protocol),  # another peer
            (theirs, 500 if outer == 4 else 1279, right, protocol),  # absurdly small
            (theirs, 1500, right, protocol),  # not smaller at all
            (theirs, 65535, right, protocol),
            (theirs, 1400, natt + bytes(4) + bytes(28), 17),  # a probe, but none of ours
        ]
        before = up.alice.status()["icmp_ignored"]
        for peer, mtu, quoted, number in forged:
            topology.run("bob", too_big(ours, peer, mtu, quoted, number))
        wait_until(
            lambda: up.alice.status()["icmp_ignored"] == before + len(forged), "errors counted"
        )
        assert up.alice.tunnel()["path_mtu"] == 1500
        everything_passes(topology, [1000, 1450])
        # With the right SPI it is believed, until a probe of the old size has come back.
        changes = up.programs[0].output.count("now.")
        topology.run("bob", too_big(ours, theirs, 1400, right, protocol))
        wait_until(lambda: up.programs[0].output.count("now.") == changes + 2, "down and up")
        assert up.alice.tunnel()["path_mtu"] == 1500


def test_lans_behind_gateways_need_no_clamp(world: World) -> None:
    """A forwarded connection learns what fits from its SYNs, though nobody hears any ICMP."""
    with Routed(world, edge=1500, middle=1400) as network:
        _lan(network, "carol", ALICE, "10.1.0")
        _lan(network, "dave", BOB, "10.2.0")
        alice, bob = sides(network)
        for side, here, there in ((alice, "10.1.0", "10.2.0"), (bob, "10.2.0", "10.1.0")):
            side.write(networks=[f"{there}.0/24"], local_networks=[f"{here}.0/24"])
        both_up(alice, bob)
        wait_until(lambda: alice.tunnel()["path_mtu"] == 1400, "path MTU")
        wait_until(lambda: bob.tunnel()["path_mtu"] == 1400, "path MTU")
        for host in ("alice", "bob"):
            network.run(host, ["nft", "-f", "-"], text=_DEAF_LAN)
        # Two routers, and the tunnel between them is no third one (RFC 4301 §5.1.2.1).
        ping(network, "carol", "10.2.0.2", "-t", "3")
        done = network.run(
            "carol", ["ping", "-c", "1", "-W", "1", "-t", "2", "10.2.0.2"], check=False
        )
        assert "100% packet loss" in done.stdout
        _send_two_megabytes(network, "carol", "dave", "10.2.0.2")
        _send_two_megabytes(network, "dave", "carol", "10.1.0.2")


_DEAF_LAN = """
table inet deaf {
  chain forward { type filter hook forward priority 0; icmp type destination-unreachable drop; }
  chain output { type filter hook output priority 0;
    oifname "lan" icmp type destination-unreachable drop
  }
}
"""


def _lan(network: Topology, name: str, gateway: Resident, net: str) -> None:
    network.ip(
        f"netns add {name}",
        f"link add lan netns {gateway.name} type veth peer name {WIRE} netns {name}",
    )
    network.ip(f"address add {net}.1/24 dev lan", "link set lan up", host=gateway.name)
    network.run(gateway.name, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    network.ip(
        "link set lo up",
        f"address add {net}.2/24 dev {WIRE}",
        f"link set {WIRE} up",
        f"route add default via {net}.1",
        host=name,
    )


def _knows_at_most(side: Side, mtu: int) -> bool:
    return int(side.tunnel()["path_mtu"]) <= mtu


def _ends(resident: Resident, outer: int) -> str:
    return str(resident.underlay if outer == 4 else resident.underlay6)


def _sizes(mtu: int) -> list[int]:
    """UDP payloads on both sides of every boundary: what fits, the link, the least, and giants."""
    edges = {mtu, mtu - 38, mtu - 54, mtu - 62, mtu - 82, 576, 1280, 1500}
    near = {edge - headers + step for edge in edges for headers in (28, 48) for step in (-1, 0, 1)}
    return sorted({size for size in near | {1, 4000, 9000, 20000, 60000} if size > 0})


def _send_two_megabytes(network: Topology, sender: str, taker: str, address: str) -> None:
    taking = network.start(taker, [*_TALK, "take", address, "7001"])
    taking.wait_for_line("ready")
    given = network.run(sender, [*_TALK, "give", address, "7001", "2000000"], seconds=120).stdout
    taken = taking.finish(120).splitlines()[-1]
    for key in ("octets", "sha256"):
        assert json.loads(given)[key] == json.loads(taken)[key]
