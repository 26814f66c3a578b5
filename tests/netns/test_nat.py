"""Several hosts behind one NAT, and a NAT that forgets them."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2 import Conntrack

from hushwire.lab.network import Network
from hushwire.lab.topology import ALICE, BOB, WIRE, Resident
from hushwire.lab.world import World
from tests.netns.inside import inside
from tests.netns.tunnels import Side, interrupt, ping
from tests.netns.waiting import wait_until

OUTSIDE = "203.0.113.2"
CAROL = Resident(
    "carol",
    ALICE.underlay + 2,
    ALICE.underlay6 + 2,
    ALICE.link_local + 2,
    ALICE.tunnel + 2,
    ALICE.tunnel6 + 2,
)
GUESTS = (ALICE, CAROL)
MAPPING = "oifname out masquerade fully-random"


@pytest.fixture
def natted(world: World) -> Network:
    """alice and carol -- NAT -- bob 203.0.113.2, who knows no way to 192.168.5.0/24."""
    network = Network(world)
    network.ip(*(f"netns add {name}" for name in ("alice", "carol", "router", "bob")))
    network.ip("link set lo up", "link add lan type bridge", "link set lan up", host="router")
    network.ip("address add 192.168.5.1/24 dev lan", host="router")
    for number, guest in enumerate(GUESTS):
        network.ip(
            f"link add {WIRE} netns {guest.name} type veth peer name in{number} netns router"
        )
        network.ip(f"link set in{number} up master lan", host="router")
        network.ip(
            "link set lo up",
            f"address add 192.168.5.{5 + number}/24 dev {WIRE}",
            f"link set {WIRE} up",
            "route add default via 192.168.5.1",
            host=guest.name,
        )
    network.ip(f"link add {WIRE} netns bob type veth peer name out netns router")
    network.ip("address add 203.0.113.1/24 dev out", "link set out up", host="router")
    network.ip(
        "link set lo up", f"address add {OUTSIDE}/24 dev {WIRE}", f"link set {WIRE} up", host="bob"
    )
    network.run("router", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    chain = f"chain c {{\ntype nat hook postrouting priority 100\n{MAPPING}\n}}"
    network.run("router", ["nft", "-f", "-"], text=f"table ip n {{\n{chain}\n}}\n")
    return network


def test_two_hosts_behind_one_nat_go_on_when_it_has_forgotten_them(natted: Network) -> None:
    guests, bob = _sides(natted)
    programs = [bob.run()]
    programs[0].wait_for_line("Listening")
    programs += [guest.run() for guest in guests]
    for program in programs[1:]:
        program.wait_for_line("tunnel up")
    first = _peers(bob)
    assert {peer["encapsulation"] for peer in first.values()} == {"udp"}
    assert {_host(peer) for peer in first.values()} == {"203.0.113.1"}
    assert first["alice"]["remote_endpoint"] != first["carol"]["remote_endpoint"]
    _all_reach_all(natted)
    for _ in range(2):
        before = _peers(bob)
        with inside(natted, "router"), Conntrack() as table:
            table.flush()
        # ESP from there is enough: bob follows it, each to its own place (RFC 7296 §2.23).
        _all_reach_all(natted)
        wait_until(lambda: _moved(before, _peers(bob)), "new endpoints")  # noqa: B023
    assert {name: peer["ike_spi"] for name, peer in _peers(bob).items()} == {
        name: peer["ike_spi"] for name, peer in first.items()
    }
    for program in programs:
        interrupt(program)


def _sides(network: Network) -> tuple[list[Side], Side]:
    keys = {}
    sides = {}
    for me in (*GUESTS, BOB):
        side = Side(network, me, BOB)  # type: ignore[arg-type]
        sides[me.name] = side
        folder = side.file.parent
        network.world.path(folder).mkdir(mode=0o700)
        made = network.run(me.name, ["hushwire", "genkey", "-o", folder / f"{me.name}.key"])
        keys[me.name] = made.stdout.strip()
    guests = [sides[guest.name] for guest in GUESTS]
    for guest in guests:
        guest.write(endpoint=OUTSIDE, public_key=keys["bob"])
    bob = sides["bob"]
    bob.write(endpoint=None, networks=[f"{ALICE.tunnel.ip}/32"], public_key=keys["alice"])
    file = network.world.path(bob.file)
    others = f'[peer.carol]\npublic_key = "{keys["carol"]}"\nnetworks = ["{CAROL.tunnel.ip}/32"]\n'
    file.write_text(file.read_text().replace("[peer.bob]", "[peer.alice]") + others)
    return guests, bob


def _peers(bob: Side) -> dict[str, dict[str, Any]]:
    return {peer["name"]: peer for peer in bob.status()["peers"]}


def _host(peer: dict[str, Any]) -> str:
    return str(peer["remote_endpoint"]).rpartition(":")[0]


def _moved(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> bool:
    return all(
        after[name]["remote_endpoint"] != it["remote_endpoint"] for name, it in before.items()
    )


def _all_reach_all(network: Network) -> None:
    for guest in GUESTS:
        ping(network, guest.name, BOB.tunnel.ip)  # type: ignore[arg-type]
        ping(network, "bob", guest.tunnel.ip)  # type: ignore[arg-type]
