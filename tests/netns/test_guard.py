"""Nothing in clear: eve records while everything goes wrong, and finds nothing to read."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from hushwire.lab.network import Program
from hushwire.lab.reader import Kind, holding
from hushwire.lab.topology import ALICE, BOB, TUNNEL, WIRE, Topology
from hushwire.lab.world import FILES, World
from tests.netns import chatter
from tests.netns.etc import own_etc
from tests.netns.inside import inside
from tests.netns.tunnels import Side, both_up, ends, interrupt, ping, sides
from tests.netns.waiting import wait_readable, wait_until
from tests.netns.watched import (
    dropped,
    flap,
    guards,
    kill,
    lead_everything_to_the_wire,
    lead_past_the_tunnel,
    watching,
)

_WIDE = ["10.0.1.0/24", "fd00:1::/64"]  # so that a route can be more specific


def _wait_until_more_dropped(topology: Topology) -> None:
    """The guard has had work: without it the application would have been heard."""
    before = dropped(topology)
    wait_until(lambda: dropped(topology) > before + 20, "packets that the guard drops")


def test_nothing_leaves_while_a_silent_peer_is_asked(topology: Topology) -> None:
    alice, _ = sides(topology)
    alice.write(networks=_WIDE)
    lead_everything_to_the_wire(topology)
    alice.run().wait_for_line("knocking")
    with watching(topology) as watch:
        wait_until(lambda: alice.drops("no_sa") > 20, "packets without a tunnel")
        lead_past_the_tunnel(topology)
        _wait_until_more_dropped(topology)
    watch.assert_nothing_in_clear()


def test_nothing_leaves_when_it_is_killed_under_traffic_and_until_it_is_back(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    with watching(topology) as watch:
        for _ in range(3):
            kill(program)
            _wait_until_more_dropped(topology)
            program = alice.run()
            program.wait_for_line("tunnel up")
            ping(topology, "alice", BOB.tunnel.ip)
    watch.assert_nothing_in_clear()
    assert watch.sealed > 0


def test_without_the_guard_eve_would_hear_it(topology: Topology) -> None:
    """The same as above: proof that these tests can fail."""
    alice, bob = sides(topology)
    alice.interface["guard"] = False
    alice.write()
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    with watching(topology, str(BOB.tunnel.ip)) as watch:
        kill(program)
        topology.run("alice", ["ping", "-c", "3", "-i", "0.2", str(BOB.tunnel.ip)], check=False)
    assert guards(topology) == []
    assert len(watch.clear) > 20


def test_nothing_leaves_by_routes_that_lead_past_the_tunnel_while_it_is_up(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    alice.write(networks=_WIDE)
    both_up(alice, bob)
    with watching(topology) as watch:
        lead_everything_to_the_wire(topology)
        lead_past_the_tunnel(topology)
        _wait_until_more_dropped(topology)
        lead_past_the_tunnel(topology, "del")
        ping(topology, "alice", BOB.tunnel.ip)
    watch.assert_nothing_in_clear()
    assert watch.sealed > 0


def test_nothing_leaves_when_the_wire_goes_down_and_up(topology: Topology) -> None:
    alice, bob = sides(topology)
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    with watching(topology) as watch:
        for _ in range(3):
            flap(topology)
            lead_everything_to_the_wire(topology)
            ping(topology, "alice", BOB.tunnel.ip)
        kill(program)
        for _ in range(3):
            flap(topology)
            lead_everything_to_the_wire(topology)
            _wait_until_more_dropped(topology)
    watch.assert_nothing_in_clear()


def _lan(topology: Topology) -> str:
    """A host behind alice, 10.9.0.5, whose gateway she is; its name."""
    topology.ip("netns add lan", "link add eth0 netns lan type veth peer name eth1 netns alice")
    topology.ip("address add 10.9.0.1/24 dev eth1", "link set eth1 up", host="alice")
    topology.ip(
        "link set lo up",
        "address add 10.9.0.5/24 dev eth0",
        "link set eth0 up",
        "route add default via 10.9.0.1",
        host="lan",
    )
    topology.run("alice", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    return "lan"


def test_a_lan_behind_the_host_is_guarded_too(topology: Topology) -> None:
    alice, bob = sides(topology)
    lan = _lan(topology)
    alice.write(local_networks=["10.9.0.0/24"], networks=[f"{BOB.tunnel.ip}/32"])
    bob.write(networks=["10.9.0.0/24"], local_networks=[f"{BOB.tunnel.ip}/32"])
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    ping(topology, lan, BOB.tunnel.ip)
    with watching(topology, str(BOB.tunnel.ip), host=lan) as watch:
        kill(program)
        _wait_until_more_dropped(topology)
        alice.run().wait_for_line("tunnel up")
        topology.ip(f"route add {BOB.tunnel.ip} via {BOB.underlay} metric 1", host="alice")
        topology.ip(f"route del {BOB.tunnel.ip} dev {TUNNEL}", host="alice")
        _wait_until_more_dropped(topology)
    watch.assert_nothing_in_clear()


def test_with_everything_in_the_tunnel_a_lan_behind_the_host_is_reached(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    lan = _lan(topology)
    alice.write(endpoint=None, local_networks=["10.9.0.0/24"], networks=["0.0.0.0/0"])
    bob.write(networks=["10.9.0.0/24"], local_networks=["0.0.0.0/0"])
    both_up(alice, bob)
    topology.ip("address add 203.0.113.7/32 dev lo", host="bob")
    with watching(topology, "203.0.113.8", host=lan) as watch:
        ping(topology, lan, "203.0.113.7")
    watch.assert_nothing_in_clear()


def test_a_tunnel_for_everything_may_be_inside_tcp(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.interface["tcp_port"] = 4501
    alice.write(endpoint=None, networks=["0.0.0.0/0"], encap="tcp")
    bob.write(networks=["10.0.1.1/32"], local_networks=["0.0.0.0/0"], encap="tcp", tcp_port=4501)
    program, _ = both_up(alice, bob)
    with watching(topology, "192.168.77.9") as watch:
        ping(topology, "alice", BOB.tunnel.ip)
        kill(program)
        _wait_until_more_dropped(topology)
    assert not holding(watch.frames, chatter.TEXT)


def _full_tunnel(topology: Topology, **interface: str) -> tuple[Side, Program]:
    """All of alice's IPv4, and nothing of her IPv6, through bob."""
    alice, bob = sides(topology)
    alice.interface.update(interface)
    alice.write(endpoint=None, networks=["0.0.0.0/0"])
    bob.write(networks=["10.0.1.1/32"], local_networks=["0.0.0.0/0"])
    return alice, both_up(alice, bob)[0]


def test_ipv6_does_not_lead_around_a_tunnel_for_all_of_ipv4(topology: Topology) -> None:
    _, program = _full_tunnel(topology)
    with watching(topology, str(BOB.underlay6), "fd00:77::9") as watch:
        ping(topology, "alice", BOB.tunnel.ip)
        _wait_until_more_dropped(topology)
        kill(program)
        _wait_until_more_dropped(topology)
    watch.assert_nothing_in_clear()
    topology.run("alice", ["hushwire", "down", TUNNEL])
    ping(topology, "alice", BOB.underlay6)


def test_ipv6_may_be_allowed_beside_a_tunnel_for_all_of_ipv4(topology: Topology) -> None:
    _, program = _full_tunnel(topology, ipv6="allow")
    ping(topology, "alice", BOB.underlay6)
    with watching(topology, str(BOB.underlay), "192.168.77.9") as watch:
        ping(topology, "alice", BOB.underlay)
        kill(program)
        _wait_until_more_dropped(topology)
    watch.assert_nothing_in_clear()
    assert watch.sealed
    ping(topology, "alice", BOB.underlay6)


def test_ipv6_may_be_blocked_beside_any_tunnel(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.interface["ipv6"] = "block"
    alice.write()
    both_up(alice, bob)
    ping(topology, "alice", BOB.tunnel6.ip)
    done = topology.run(
        "alice", ["ping", "-c", "1", "-W", "1", BOB.underlay6.exploded], check=False
    )
    assert "100% packet loss" in done.stdout
    ping(topology, "alice", BOB.underlay)


_NAME_SERVER = """
import socket
from scapy.layers.dns import DNS, DNSRR
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("192.168.77.2", 53))
print("ready", flush=True)
while True:
    data, client = server.recvfrom(2048)
    asked = DNS(data)
    name = asked.qd[0].qname if isinstance(asked.qd, list) else asked.qd.qname
    answer = DNSRR(rrname=name, rdata="192.168.77.2")
    kind = asked.qd[0].qtype if isinstance(asked.qd, list) else asked.qd.qtype
    found = [answer] if kind == 1 else []
    server.sendto(bytes(DNS(id=asked.id, qr=1, rd=1, ra=1, qd=asked.qd, an=found)), client)
"""


def _name_server(topology: Topology) -> None:
    """bob's, who tells his own address for every name, and alice asks no other."""
    etc = own_etc(topology)
    (etc.parent / "resolv.conf").unlink(missing_ok=True)
    (etc.parent / "resolv.conf").write_text(f"nameserver {BOB.underlay}\n")
    script = FILES / "name_server.py"
    topology.world.path(script).write_text(_NAME_SERVER)
    topology.start("bob", [sys.executable, script]).wait_for_line("ready")


def test_a_tunnel_for_everything_finds_a_peer_known_by_its_name_again(topology: Topology) -> None:
    _name_server(topology)
    alice, bob = sides(topology)
    alice.write(endpoint="bob.example", networks=["0.0.0.0/0"])
    bob.write(networks=["10.0.1.1/32"], local_networks=["0.0.0.0/0"], start="wait")
    program, _ = both_up(alice, bob)
    kill(program)
    alice.run().wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)


def test_the_endpoints_name_is_asked_for_outside_and_no_other(topology: Topology) -> None:
    _name_server(topology)
    ask = "import socket; print(socket.gethostbyname('bob.example'))"
    assert topology.run("alice", [sys.executable, "-c", ask]).stdout.strip() == str(BOB.underlay)

    _, program = _full_tunnel(topology)
    kill(program)
    assert topology.run("alice", [sys.executable, "-c", ask], check=False).returncode != 0
    lookup = (
        "import asyncio; from hushwire.daemon.peers import resolve; "
        "print(asyncio.run(resolve('bob.example')))"
    )
    with watching(topology, str(BOB.underlay)) as watch:
        found = topology.run("alice", [sys.executable, "-c", lookup]).stdout.strip()
    assert found == str(BOB.underlay)
    # The question and its answer are what eve may read.
    assert {(f.source, b"bob\x07example" in f.octets) for f in watch.clear} == {
        (str(ALICE.underlay), True),
        (str(BOB.underlay), True),
    }


def test_what_eve_forges_in_clear_does_not_reach_an_application(topology: Topology) -> None:
    alice, bob = sides(topology)
    both_up(alice, bob)
    (link,) = json.loads(topology.run("bob", ["ip", "-json", "link", "show", WIRE]).stdout)
    with inside(topology, "bob"), socket.socket(type=socket.SOCK_DGRAM) as application:
        application.bind(("0.0.0.0", 7000))
        with inside(topology, "eve"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as eve:
            eve.bind(("bob", 0))
            for target in (BOB.tunnel.ip, BOB.underlay):
                forged = IP(src=str(ALICE.tunnel.ip), dst=str(target)) / UDP(dport=7000) / b"forged"
                eve.send(bytes(Ether(dst=link["address"], src="02:00:00:00:00:01") / forged))
        with inside(topology, "alice"), socket.socket(type=socket.SOCK_DGRAM) as friend:
            friend.sendto(b"real", (str(BOB.tunnel.ip), 7000))
        wait_readable(application)
        assert application.recv(100) == b"real"
    assert bob.status()["guard"]["dropped_in"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_orderly_end_of_run_takes_the_guard_away(
    topology: Topology, number: signal.Signals
) -> None:
    alice, bob = sides(topology)
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    assert guards(topology) == [TUNNEL]
    program.send_signal(number)
    ends(program, 0)
    assert guards(topology) == []
    with watching(topology, str(BOB.tunnel.ip)) as watch:
        topology.run("alice", ["ping", "-c", "3", "-i", "0.2", str(BOB.tunnel.ip)], check=False)
    assert watch.clear


def test_a_run_that_takes_over_a_guard_takes_it_away_in_the_end(topology: Topology) -> None:
    alice, bob = sides(topology)
    program, _ = both_up(alice, bob)
    kill(program)
    assert guards(topology) == [TUNNEL]
    again = alice.run()
    again.wait_for_line("tunnel up")
    interrupt(again)
    assert guards(topology) == []


def test_a_service_keeps_its_guard_when_it_ends(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    program = alice.run("--keep-guard")
    program.wait_for_line("tunnel up")
    said = interrupt(program)
    assert f"the guard stays, so nothing leaves in clear. `hushwire down {TUNNEL}`" in said
    assert guards(topology) == [TUNNEL]


def test_a_run_that_fails_before_its_tunnel_was_up_leaves_guards_as_they_were(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    program, _ = both_up(alice, bob)
    kill(program)
    before = topology.run("alice", ["nft", "list", "ruleset"]).stdout
    alice.write(networks=["10.0.7.0/24"])
    with inside(topology, "alice"), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 500))
        assert "another program listens there already" in ends(alice.run(), 1)
        assert topology.run("alice", ["nft", "list", "ruleset"]).stdout == before
        topology.run("alice", ["hushwire", "down", TUNNEL])
        ends(alice.run(), 1)
    assert guards(topology) == []


def test_a_second_run_does_not_touch_the_guard_of_the_first(topology: Topology) -> None:
    alice, _ = sides(topology)
    alice.run().wait_for_line("knocking")
    ends(alice.run(), 1)
    assert guards(topology) == [TUNNEL]


def test_one_attempt_that_fails_leaves_none_but_one_that_was_up_does(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(esp=["aes256gcm16"])
    bob.write(esp=["chacha20poly1305"])
    refusing = bob.run()  # and asks as well: whoever answers first, the reason is the same
    ends(alice.run("--once"), 5)
    assert guards(topology) == []
    interrupt(refusing)
    alice.write()
    bob.write(start="wait")
    peer = bob.run()
    program = alice.run("--once")
    program.wait_for_line("tunnel up")
    interrupt(peer)
    assert f"`hushwire down {TUNNEL}` removes it" in ends(program, 1)
    assert guards(topology) == [TUNNEL]


def test_a_guard_that_is_flushed_away_is_put_back(topology: Topology) -> None:
    alice, bob = sides(topology)
    program, _ = both_up(alice, bob)
    rules = topology.run("alice", ["nft", "list", "ruleset"]).stdout
    for command in ("flush ruleset", f"flush chain inet hushwire_{TUNNEL} outward"):
        said = len(program.lines)
        topology.run("alice", ["nft", command])
        program.wait_for_line("removed the guard; it is up again", after=said)
        assert topology.run("alice", ["nft", "list", "ruleset"]).stdout == rules
    said = len(program.lines)
    topology.run("alice", ["nft", "add table inet mine"])
    topology.run("alice", ["nft", "delete table inet mine"])
    assert alice.status()["guard"]["dropped_out"] == 0
    interrupt(program)
    assert program.lines[said:] == ["bob: tunnel closed, and the peer knows."]
    assert guards(topology) == []


def test_status_shows_the_guard_and_explains_a_stale_one(topology: Topology) -> None:
    alice, bob = sides(topology)
    lead_everything_to_the_wire(topology)
    program, _ = both_up(alice, bob)
    networks = [f"{BOB.tunnel.ip}/32", f"{BOB.tunnel6.ip}/128"]
    assert alice.status()["guard"] == {"networks": networks, "dropped_out": 0, "dropped_in": 0}
    assert f"guard: {', '.join(networks)}; 0 packets kept" in _status(topology)
    kill(program)
    topology.run("alice", ["ping", "-c", "1", "-W", "1", str(BOB.tunnel.ip)], check=False)
    facts = alice.status()
    assert (facts["state"], facts["guard"]["dropped_out"]) == ("dead", 1)
    text = _status(topology)
    assert f"{TUNNEL}: no hushwire runs it, and its guard stands" in text
    assert f"hushwire down {TUNNEL} " in text
    topology.run("alice", ["hushwire", "down", TUNNEL])
    assert "No interface is up" in _status(topology)


def _status(topology: Topology) -> str:
    return topology.run("alice", ["hushwire", "status"]).stdout


def test_without_nft_it_does_not_run_unless_told_to(topology: Topology) -> None:
    alice, bob = sides(topology)
    for place in ("/usr/sbin/nft", "/usr/local/sbin/nft", "/sbin/nft"):
        if Path(place).exists():
            topology.run(None, ["mount", "--bind", "/dev/null", Path(place).resolve()])
    said = ends(alice.run(), 1)
    assert "the program nft is not installed. `sudo apt install nftables`" in said
    assert "guard = false in [interface]" in said
    for side in (alice, bob):
        side.interface["guard"] = False
        side.write()
    both_up(alice, bob)
    ping(topology, "alice", BOB.tunnel.ip)
    assert "guard: none" in _status(topology)


def test_it_works_where_we_are_root_of_a_user_namespace_only() -> None:
    with World.begin(user=True) as world, Topology(world) as topology:
        alice, bob = sides(topology)
        lead_everything_to_the_wire(topology)
        program, _ = both_up(alice, bob)
        with watching(topology) as watch:
            ping(topology, "alice", BOB.tunnel.ip)
            kill(program)
            _wait_until_more_dropped(topology)
        watch.assert_nothing_in_clear()
        kinds = {frame.kind for frame in watch.frames}
        assert Kind.ESP in kinds
