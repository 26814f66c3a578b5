"""Transport mode: packets keep their own IP header, and eve sees nothing behind it.

With the interface's addresses those stand on the wire; with the hosts' real addresses nothing but
their traffic with each other is touched.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.network import Network
from hushwire.lab.reader import Frame, Kind, holding, read, tally
from hushwire.lab.topology import ALICE, BOB, BRIDGE, EVE, WIRE, Resident, Topology
from hushwire.lab.world import World
from tests.netns.traffic import (
    HOUSEKEEPING,
    MARKER,
    send_ten_megabytes,
    send_udp_of_every_size,
)
from tests.netns.tunnels import Side, both_up, devices, ends, interrupt, ping, sides
from tests.netns.waiting import wait_until

IpAddress = IPv4Address | IPv6Address
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=lambda family: f"IPv{family}")
USES = pytest.mark.parametrize("use", ["own", "real"])


def real_address(resident: Resident, family: int) -> IpAddress:
    return resident.underlay if family == 4 else resident.underlay6


def own_address(resident: Resident, family: int) -> IpAddress:
    return resident.tunnel.ip if family == 4 else resident.tunnel6.ip


def write(side: Side, use: str, family: int, **peer: str | int | Sequence[str] | None) -> None:
    """The interface's addresses ("own") between neighbours, or the hosts' real ones ("real")."""
    there = real_address(side.other, family)
    host = own_address(side.other, family) if use == "own" else there
    network = f"{host}/{host.max_prefixlen}"
    side.write(**{"endpoint": str(there), "networks": [network], "mode": "transport", **peer})
    if use == "real":
        file = side.topology.world.path(side.file)
        lines = [line for line in file.read_text().splitlines() if "address =" not in line]
        file.write_text("\n".join(lines) + "\n")


def hosts(
    topology: Topology, use: str, family: int, *, bob_waits: bool = False, **peer: str
) -> tuple[Side, Side]:
    alice, bob = sides(topology)
    write(alice, use, family, **peer)
    write(bob, use, family, **peer, **({"start": "wait"} if bob_waits else {}))
    return alice, bob


def target(use: str, resident: Resident, family: int) -> IpAddress:
    return own_address(resident, family) if use == "own" else real_address(resident, family)


def rules(network: Network, host: str = "alice") -> str:
    """All rules, and what tables of their own there are."""
    show = "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all"
    said = network.run(host, ["sh", "-c", show]).stdout
    return "\n".join(line for line in said.splitlines() if "lookup" in line or "proto 72" in line)


def protocol_of(frame: Frame) -> int:
    """Of the packet's own header, an IPv6 fragment header passed over."""
    octets = frame.octets[14:]
    if octets[0] >> 4 == 4:
        return octets[9]
    return octets[40] if octets[6] == 44 else octets[6]


@FAMILIES
def test_packets_with_the_interfaces_addresses_leave_under_their_own_header(
    topology: Topology, family: int
) -> None:
    alice, bob = hosts(topology, "own", family, bob_waits=True)
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    assert alice.tunnel()["mode"] == "transport"
    own, other = own_address(ALICE, family), own_address(BOB, family)
    ping(topology, "alice", other, "-I", str(own), "-p", MARKER[:16].hex())
    ping(topology, "bob", own, "-I", str(other), "-s", "9000", "-p", MARKER[:16].hex())
    assert recorder.stop() == 0

    frames = read(recorder.file)
    counts = tally(frames)
    assert {kind for kind, count in counts.items() if count} <= HOUSEKEEPING | {Kind.ESP}
    sealed = [frame for frame in frames if frame.kind is Kind.ESP]
    # Their own header: these addresses are on no device of the wire.
    assert {(frame.source, frame.destination) for frame in sealed} == {
        (str(own), str(other)),
        (str(other), str(own)),
    }
    assert {protocol_of(frame) for frame in sealed} == {50}
    assert not holding(frames, MARKER[:16])
    # A neighbour is asked for as the endpoint: eve reads the inner addresses in no ARP.
    asked = [frame for frame in frames if frame.kind in (Kind.ARP, Kind.NEIGHBOUR)]
    assert not holding(asked, other.packed)


@FAMILIES
@pytest.mark.parametrize("encap", ["esp", "udp"])
def test_between_real_addresses_all_of_the_hosts_traffic_is_sealed_and_no_other(
    topology: Topology, family: int, encap: str
) -> None:
    alice, bob = hosts(topology, "real", family, encap=encap, bob_waits=True)
    third = "192.168.77.3" if family == 4 else "fd00:77::3"
    prefix, nodad = ("24", "") if family == 4 else ("64", " nodad")
    topology.ip(f"address add {third}/{prefix} dev {BRIDGE}{nodad}", host=EVE)
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    own, other = real_address(ALICE, family), real_address(BOB, family)
    assert alice.tunnel()["local"] == [f"{own}/{own.max_prefixlen}"]
    ping(topology, "alice", other, "-p", MARKER[:16].hex())
    ping(topology, "bob", own, "-s", "9000", "-p", MARKER[:16].hex())
    send_ten_megabytes(topology, str(other))
    send_udp_of_every_size(topology, str(other))
    ping(topology, "alice", third)
    send_ten_megabytes(topology, third, to=EVE)
    assert recorder.stop() == 0

    frames = read(recorder.file)
    clear = [frame for frame in frames if frame.kind is Kind.CLEAR]
    assert clear
    assert all(third in (frame.source, frame.destination) for frame in clear)
    sealed = [frame for frame in frames if frame.kind is Kind.ESP]
    assert {frozenset((f.source, f.destination)) for f in sealed} == {
        frozenset((str(own), str(other)))
    }
    assert len(sealed) > 10_000_000 // 1500
    assert {protocol_of(frame) for frame in sealed} == {50 if encap == "esp" else 17}
    kinds = {kind for kind, count in tally(frames).items() if count}
    assert kinds <= HOUSEKEEPING | {Kind.ESP, Kind.CLEAR}
    assert not holding([f for f in frames if f.kind is not Kind.CLEAR], MARKER[:16])


@FAMILIES
@USES
def test_the_largest_udp_datagrams_arrive_in_fragments(
    topology: Topology, use: str, family: int
) -> None:
    alice, bob = hosts(topology, use, family, bob_waits=True)
    both_up(alice, bob, at_once=False)
    # Not the very largest: ESP makes a packet longer, and its length has 16 bits.
    for octets in (1430, 1431, 1432, 1433, 20_000, 65_400):
        ping(topology, "alice", target(use, BOB, family), "-s", str(octets), count=1)
    assert alice.drops("reassembly") == alice.drops("oversized") == 0
    largest = ["ping", "-c", "1", "-W", "1", "-s", "65507", str(target(use, BOB, family))]
    topology.run("alice", largest, check=False)
    assert alice.drops("oversized") == 1


@USES
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
@FAMILIES
def test_rules_and_routes_are_gone_after_the_end(
    topology: Topology, use: str, family: int, sig: signal.Signals
) -> None:
    alice, bob = hosts(topology, use, family)
    before = rules(topology)
    first, second = both_up(alice, bob)
    assert "proto 72" in rules(topology)
    for program in (first, second):
        program.send_signal(sig)
    for program in (first, second):
        ends(program, 0)
    assert rules(topology) == before
    assert devices(topology, "alice") == {"lo", WIRE}
    ping(topology, "alice", real_address(BOB, family))


@USES
def test_what_a_killed_one_leaves_is_cleared_by_the_next_start(
    topology: Topology, use: str
) -> None:
    alice, bob = hosts(topology, use, 4)
    before = rules(topology)
    first, _ = both_up(alice, bob)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert rules(topology) != before
    again = alice.run()
    again.wait_for_line("tunnel up")
    assert rules(topology).count("fwmark") == 1
    ping(topology, "alice", target(use, BOB, 4))
    interrupt(again)
    assert rules(topology) == before


@USES
def test_without_a_tunnel_nothing_leaves_in_clear(topology: Topology, use: str) -> None:
    alice, _ = hosts(topology, use, 4)
    recorder = Recorder(topology)
    alice.run().wait_for_line("knocking")
    wanted = str(target(use, BOB, 4))
    topology.run("alice", ["ping", "-c", "3", "-i", "0.2", "-W", "1", wanted], check=False)
    assert alice.drops("no_sa") >= 3
    recorder.stop()
    frames = read(recorder.file)
    assert not [f for f in frames if f.kind is Kind.CLEAR and f.source == str(ALICE.underlay)]
    # bob's kernel complains about IKE that nobody takes; it quotes nothing else.
    assert {kind for kind, n in tally(frames).items() if n} <= HOUSEKEEPING | {Kind.ICMP_ERROR}


def filter_reverse_paths(topology: Topology, host: str, every: int, wire: int) -> None:
    settings = [f"net.ipv4.conf.{name}.rp_filter={value}"
                for name, value in (("all", 0), ("default", every), (WIRE, wire))]  # fmt: skip
    topology.run(host, ["sysctl", "-qw", *settings])


@USES
@pytest.mark.parametrize(("default", "wire"), [(0, 0), (1, 2), (2, 2)])
def test_loose_reverse_path_filters_let_it_pass_and_the_devices_own_may_be_strict(
    topology: Topology, use: str, default: int, wire: int
) -> None:
    for host in ("alice", "bob"):
        filter_reverse_paths(topology, host, default, wire)
    alice, bob = hosts(topology, use, 4)
    both_up(alice, bob)
    inherited = topology.run("alice", ["sysctl", "-n", "net.ipv4.conf.hw0.rp_filter"]).stdout
    assert inherited.strip() == str(default)
    ping(topology, "alice", target(use, BOB, 4))
    ping(topology, "bob", target(use, ALICE, 4), "-s", "5000")


def test_a_strict_filter_on_the_wire_is_refused_with_its_cure(topology: Topology) -> None:
    alice, bob = hosts(topology, "real", 4)
    filter_reverse_paths(topology, "alice", 1, 1)
    before = rules(topology)
    said = ends(alice.run(), 1)
    assert f"the strict reverse path filter of {WIRE} would drop" in said
    assert f"`sysctl -w net.ipv4.conf.{WIRE}.rp_filter=2`" in said
    assert rules(topology) == before
    # It is the truth: with the cure it works, and without it not even ARP is answered.
    topology.run("alice", ["sysctl", "-qw", f"net.ipv4.conf.{WIRE}.rp_filter=2"])
    both_up(alice, bob)
    ping(topology, "alice", BOB.underlay)
    topology.run("alice", ["sysctl", "-qw", f"net.ipv4.conf.{WIRE}.rp_filter=1"])
    topology.ip(f"neigh flush dev {WIRE}", host="bob")
    lost = topology.run(
        "bob", ["ping", "-c", "2", "-i", "0.2", "-W", "1", str(ALICE.underlay)], check=False
    )
    assert "100% packet loss" in lost.stdout


def test_a_strict_filter_is_told_where_the_interfaces_addresses_are_used(
    topology: Topology,
) -> None:
    alice, bob = hosts(topology, "own", 4)
    filter_reverse_paths(topology, "bob", 1, 1)
    _, second = both_up(alice, bob)
    second.wait_for_line(f"the strict reverse path filter of {WIRE} would drop")


@pytest.mark.parametrize(
    ("for_alice", "for_bob", "said", "answered"),
    [
        (
            "transport",
            "tunnel",
            'bob: the peer will not do transport mode: set mode = "transport" there, '
            'or mode = "tunnel" here.',
            "alice: the peer closed the tunnel.",
        ),
        (
            "tunnel",
            "transport",
            'bob: the peer does transport mode only: set mode = "tunnel" there, '
            'or mode = "transport" here.',
            'alice: the peer will not do transport mode: set mode = "transport" there, '
            'or mode = "tunnel" here.',
        ),
    ],
)
def test_two_modes_do_not_meet_and_both_sides_say_why(
    topology: Topology, for_alice: str, for_bob: str, said: str, answered: str
) -> None:
    alice, bob = sides(topology)
    write(alice, "own", 4, mode=for_alice)
    write(bob, "own", 4, mode=for_bob, start="wait")
    responder = bob.run()
    responder.wait_for_line("Waiting")
    assert said in ends(alice.run("--once"), 5)
    responder.wait_for_line(answered)
    wait_until(lambda: bob.tunnel()["state"] == "waiting", "end of the IKE SA")


@USES
def test_from_another_address_of_ours_the_peer_is_not_reached_in_clear(
    topology: Topology, use: str
) -> None:
    alice, bob = hosts(topology, use, 4, bob_waits=True)
    topology.ip(f"address add 192.168.77.11/24 dev {WIRE}", host="alice")
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    there = str(target(use, BOB, 4))
    lost = topology.run(
        "alice", ["ping", "-c", "1", "-W", "1", "-I", "192.168.77.11", there], check=False
    )
    assert "100% packet loss" in lost.stdout
    assert alice.drops("selector_mismatch_out") == 1
    recorder.stop()
    assert tally(read(recorder.file))[Kind.CLEAR] == 0


def test_a_peer_that_waits_needs_no_endpoint(topology: Topology) -> None:
    alice, bob = sides(topology)
    write(alice, "own", 4)
    write(bob, "own", 4, endpoint=None)
    both_up(alice, bob, at_once=False)
    ping(topology, "bob", ALICE.tunnel.ip)


def test_status_names_the_mode(topology: Topology) -> None:
    alice, bob = hosts(topology, "real", 4)
    first, _ = both_up(alice, bob)
    assert "tunnel up in transport mode, 192.168.77.1/32 <-> 192.168.77.2/32, " in first.output
    text = topology.run("alice", ["hushwire", "status"]).stdout
    assert "hw0: no address, MTU " in text
    assert "mode     transport" in text


# A router between them, which is a NAT where the test says so.

OUTSIDE = "203.0.113"


@pytest.fixture
def routed(world: World) -> Network:
    """alice 192.168.5.5 -- router -- bob 203.0.113.2; bob knows no way to 192.168.5.0/24."""
    network = Network(world)
    network.ip(
        *(f"netns add {name}" for name in ("alice", "router", "bob")),
        f"link add {WIRE} netns alice type veth peer name in netns router",
        f"link add {WIRE} netns bob type veth peer name out netns router",
    )
    for host, *lines in (
        ("alice", f"address add 192.168.5.5/24 dev {WIRE}", f"link set {WIRE} up",
         "route add default via 192.168.5.1"),
        ("router", "address add 192.168.5.1/24 dev in", f"address add {OUTSIDE}.1/24 dev out",
         "link set in up", "link set out up"),
        ("bob", f"address add {OUTSIDE}.2/24 dev {WIRE}", f"link set {WIRE} up"),
    ):  # fmt: skip
        network.ip("link set lo up", *lines, host=host)
    network.run("router", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    return network


def across(network: Network, change: Callable[[Side], None]) -> tuple[Side, Side]:
    both = sides(network)  # type: ignore[arg-type]
    for side in both:
        change(side)
    return both


def test_behind_a_nat_real_addresses_work_with_checksums_made_anew(routed: Network) -> None:
    masquerade = "ip saddr 192.168.5.0/24 oifname out masquerade"
    chain = f"type nat hook postrouting priority 100\n{masquerade}"
    routed.run("router", ["nft", "-f", "-"], text=f"table ip n {{\nchain c {{\n{chain}\n}}\n}}\n")

    def change(side: Side) -> None:
        write(side, "real", 4)
        if side.name == "alice":
            write(side, "real", 4, endpoint=f"{OUTSIDE}.2", networks=[f"{OUTSIDE}.2/32"])
        else:
            write(side, "real", 4, endpoint=None, networks=[f"{OUTSIDE}.1/32"])

    alice, bob = across(routed, change)
    both_up(alice, bob, at_once=False)
    tunnel = bob.tunnel()
    assert (tunnel["encapsulation"], tunnel["mode"]) == ("udp", "transport")
    assert (tunnel["local"], tunnel["remote"]) == ([f"{OUTSIDE}.2/32"], [f"{OUTSIDE}.1/32"])
    assert alice.tunnel()["local"] == ["192.168.5.5/32"]
    routed.run("alice", ["ping", "-c", "3", "-i", "0.2", "-W", "5", f"{OUTSIDE}.2"])
    send_ten_megabytes(routed, f"{OUTSIDE}.2")
    send_udp_of_every_size(routed, f"{OUTSIDE}.2")
    assert bob.tunnel()["packets_in"] > 1472


def test_own_addresses_do_not_pass_a_router_and_that_is_said(routed: Network) -> None:
    routed.ip("route add 192.168.5.0/24 via 203.0.113.1", host="bob")

    def change(side: Side) -> None:
        there = f"{OUTSIDE}.2" if side.name == "alice" else "192.168.5.5"
        write(side, "own", 4, endpoint=there)

    alice, bob = across(routed, change)
    first, _ = both_up(alice, bob)
    said = first.wait_for_line("is behind the router 192.168.5.1, which does not know 10.0.1.2")
    assert 'Use encap = "udp" or mode = "tunnel"' in said
    lost = routed.run("alice", ["ping", "-c", "1", "-W", "1", "10.0.1.2"], check=False)
    assert "100% packet loss" in lost.stdout
    assert alice.drops("send_failed") == 1


def test_the_mark_on_the_sockets_is_what_tells_them_apart(topology: Topology) -> None:
    """An application that sends ESP or IKE itself is not taken for us: it is captured too."""
    alice, bob = hosts(topology, "real", 4)
    both_up(alice, bob)
    before = alice.tunnel()["packets_out"]
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50); "
        f"s.sendto(b'not ours', ('{BOB.underlay}', 0))"
    )
    topology.run("alice", ["python3", "-c", program])
    wait_until(lambda: alice.tunnel()["packets_out"] == before + 1, "captured packet")
