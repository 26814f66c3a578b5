from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, holding, read, tally
from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from hushwire.lab.world import World
from hushwire.system import guard, stream
from hushwire.system.errors import SystemFailureError
from hushwire.system.guard import Plan
from hushwire.system.mark import mark
from tests.netns.inside import inside
from tests.netns.waiting import wait_readable, wait_until

_SECRET = b"the key is under the mat"
_END = b"that was all"


def plan(
    *networks: str, own: str = "10.0.1.1/32", local: tuple[str, ...] = (), name: str = "hw0"
) -> Plan:
    return Plan(
        name,
        tuple(map(ip_network, networks)),
        (ip_network(own),),
        tuple(map(ip_network, local)),
    )


def _udp(family: int = socket.AF_INET, port: int = 0, *, marked: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if marked:
        mark(sock)
    sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", port))
    return sock


def _gets_out(sock: socket.socket, target: tuple[str, int]) -> bool:
    """Whether the guard lets one datagram leave; it tells the sender at once if not."""
    try:
        sock.sendto(_SECRET, target)
    except PermissionError:
        return False
    return True


def test_what_is_protected_leaves_by_no_other_device(topology: Topology) -> None:
    with inside(topology, "alice"), _udp() as sock, _udp(socket.AF_INET6) as sock6:
        targets = [(sock, (str(BOB.underlay), 7)), (sock6, (str(BOB.underlay6), 7))]
        assert [_gets_out(*pair) for pair in targets] == [True, True]
        guard.install(plan(f"{BOB.underlay}/32", f"{BOB.underlay6}/128"))
        assert [_gets_out(*pair) for pair in targets] == [False, False]
        assert _gets_out(sock, ("192.168.77.3", 7))
        assert [(one.dropped_out, one.dropped_in) for one in guard.standing()] == [(2, 0)]
        assert guard.remove("hw0")
        assert [_gets_out(*pair) for pair in targets] == [True, True]
        assert not guard.remove("hw0")


def test_our_own_address_is_not_looked_for_outside_when_the_device_is_gone(
    topology: Topology,
) -> None:
    topology.ip("route add default via 192.168.77.2", host="alice")
    with inside(topology, "alice"), _udp() as sock:
        guard.install(plan("10.0.1.2/32"))
        assert not _gets_out(sock, ("10.0.1.1", 7))
        topology.ip("address add 10.0.1.1/32 dev lo", host="alice")
        assert _gets_out(sock, ("10.0.1.1", 7))


@pytest.mark.parametrize("port", [500, 4500])
def test_only_marked_sockets_are_the_tunnels_outside(topology: Topology, port: int) -> None:
    target = (str(BOB.underlay), port)
    with inside(topology, "alice"):
        guard.install(plan("0.0.0.0/0"))
        with _udp(port=port, marked=True) as ours:
            assert _gets_out(ours, target)
        with _udp(port=port) as rogue:
            assert not _gets_out(rogue, target)
        with _udp(marked=True) as elsewhere:
            assert not _gets_out(elsewhere, target)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as raw:
            assert not _gets_out(raw, (target[0], 0))
            mark(raw)
            assert _gets_out(raw, (target[0], 0))


def test_the_tunnels_outside_may_be_inside_tcp(topology: Topology) -> None:
    everything = replace(plan("0.0.0.0/0"), tcp_port=4501, tcp_ports=(4501,))
    for host in ("alice", "bob"):
        with inside(topology, host):
            guard.install(everything)
    with inside(topology, "bob"):
        listener = stream.open_listener(socket.AF_INET, 4501)
    with inside(topology, "alice"):
        ours, rogue = stream.open_stream(BOB.underlay), socket.socket()
        rogue.setblocking(False)
    with listener, ours, rogue:
        for sock in (rogue, ours):
            sock.connect_ex((str(BOB.underlay), 4501))
        wait_readable(listener)
        accepted = stream.accept(listener)
        assert accepted is not None
        with accepted[0] as theirs:
            for sender, receiver in ((ours, theirs), (theirs, ours)):
                sender.send(_SECRET)
                wait_readable(receiver)
                assert receiver.recv(100) == _SECRET
        assert stream.accept(listener) is None
        with inside(topology, "alice"):
            assert guard.standing()[0].dropped_out >= 1


def test_an_ordinary_program_cannot_set_the_mark(topology: Topology) -> None:
    script = "import socket; from hushwire.system.mark import mark; mark(socket.socket())"
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", script]
    done = topology.run("alice", bare, check=False)
    assert "PermissionError" in done.stderr


def test_a_host_keeps_getting_its_address_and_only_where_everything_is_protected(
    topology: Topology,
) -> None:
    target = (str(BOB.underlay), 67)
    with inside(topology, "alice"), _udp(port=68) as client, _udp() as other:
        guard.install(plan("0.0.0.0/0"))
        assert _gets_out(client, target)
        assert not _gets_out(client, (target[0], 53))
        assert not _gets_out(other, target)
        guard.install(plan("192.168.77.0/24"))
        assert not _gets_out(client, target)


def test_neighbours_are_found_with_everything_protected(topology: Topology) -> None:
    with inside(topology, "alice"):
        guard.install(plan("::/0", own="fd00:1::1/128"))
        with _udp(socket.AF_INET6, 4500, marked=True) as ours:
            assert _gets_out(ours, (str(BOB.underlay6), 4500))

    def found() -> bool:
        shown = topology.run("alice", ["ip", "-6", "neighbour", "show", str(BOB.underlay6)]).stdout
        return "lladdr" in shown

    wait_until(found, "answer to a neighbour solicitation")


def test_the_longest_prefix_keeps_local_networks_reachable(topology: Topology) -> None:
    topology.ip("address add 10.9.0.1/16 dev eth0", host="alice")
    everything = plan("0.0.0.0/0", "10.9.5.0/24", local=("10.9.0.0/16",))
    with inside(topology, "alice"), _udp() as sock:
        guard.install(everything)
        assert _gets_out(sock, ("10.9.0.7", 7))
        assert not _gets_out(sock, ("10.9.5.7", 7))
        assert not _gets_out(sock, (str(BOB.underlay), 7))
        # A gateway to everywhere protects its one peer all the same.
        guard.install(plan("10.9.0.7/32", local=("0.0.0.0/0",)))
        assert not _gets_out(sock, ("10.9.0.7", 7))
        assert _gets_out(sock, ("10.9.5.7", 7))
        # Of the same prefix on both sides the protected one counts.
        guard.install(plan("10.9.0.0/16", local=("10.9.0.0/16",)))
        assert not _gets_out(sock, ("10.9.0.7", 7))


def test_it_is_told_as_it_was_installed(topology: Topology) -> None:
    networks = ("10.0.1.0/24", "10.0.2.0/24", "10.7.0.1/32", "fd00::/64", "fd01::1/128")
    with inside(topology, "alice"):
        assert guard.standing() == []
        guard.install(plan("0.0.0.0/0", "::/0", name="a-b.c_d"))
        guard.install(plan(*networks))
        assert [one.name for one in guard.standing()] == ["a-b.c_d", "hw0"]
        first, second = (set(map(ip_network, one.networks)) for one in guard.standing())
        assert first == {IPv4Network("0.0.0.0/0"), IPv6Network("::/0")}
        assert second == set(map(ip_network, networks))


def test_another_takes_its_place_and_it_can_be_put_back(topology: Topology) -> None:
    target, other = (str(BOB.underlay), 7), ("192.168.77.3", 7)
    with inside(topology, "alice"), _udp() as sock:
        assert guard.saved("hw0") is None
        guard.install(plan(f"{BOB.underlay}/32"))
        assert not _gets_out(sock, target)
        before = guard.saved("hw0")
        assert before is not None
        guard.install(plan("192.168.77.3/32"))
        assert _gets_out(sock, target)
        assert not _gets_out(sock, other)
        guard.restore(before, "hw0")
        assert not _gets_out(sock, target)
        assert _gets_out(sock, other)
        # The counts go on.
        assert [one.dropped_out for one in guard.standing()] == [3]


def test_nothing_slips_through_while_another_takes_its_place(topology: Topology) -> None:
    recorder = Recorder(topology)
    done = threading.Event()
    let_through: list[bool] = []

    def flood() -> None:
        while not done.is_set():
            let_through.extend(_gets_out(sock, (str(BOB.underlay), 7)) for _ in range(100))

    with inside(topology, "alice"), _udp() as sock:
        first = plan(f"{BOB.underlay}/32", "10.0.1.2/32")
        guard.install(first)
        sender = threading.Thread(target=flood)
        sender.start()
        try:
            for number in range(50):
                guard.install(first if number % 2 else plan("192.168.77.0/24"))
        finally:
            done.set()
            sender.join()
    assert len(let_through) > 1000
    assert not any(let_through)
    recorder.stop()
    assert not holding(read(recorder.file), _SECRET)


def _mac(topology: Topology, host: str) -> str:
    (link,) = json.loads(topology.run(host, ["ip", "-json", "link", "show", WIRE]).stdout)
    return str(link["address"])


def _inject(topology: Topology, packet: Packet) -> None:
    """eve sends a packet of her own to bob."""
    frame = Ether(dst=_mac(topology, "bob"), src=_mac(topology, "alice")) / packet
    with inside(topology, "eve"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("bob", 0))
        sock.send(bytes(frame))


def _heard(topology: Topology, sock: socket.socket, *packets: Packet) -> list[bytes]:
    """What an application of bob's hears of the packets, in order."""
    last = IP(src="192.168.77.9", dst=str(BOB.underlay)) / UDP(sport=7, dport=7000) / _END
    for packet in (*packets, last):
        _inject(topology, packet)
    heard: list[bytes] = []
    while not heard or heard[-1] != _END:
        wait_readable(sock)
        heard.append(sock.recv(2048))
    return heard[:-1]


def test_what_comes_unsealed_from_a_protected_network_is_refused(topology: Topology) -> None:
    def forged(source: object) -> Packet:
        return IP(src=str(source), dst=str(BOB.underlay)) / UDP(sport=7, dport=7000) / _SECRET

    with inside(topology, "bob"), _udp(port=7000) as application:
        assert _heard(topology, application, forged("10.0.1.1")) == [_SECRET]
        guard.install(plan("10.0.1.1/32", own="10.0.1.2/32"))
        assert _heard(topology, application, forged("10.0.1.1"), forged("10.0.1.3")) == [_SECRET]
        assert [one.dropped_in for one in guard.standing()] == [1]
        whole = IP(src="10.0.1.1", dst=str(BOB.underlay)) / UDP(dport=7000) / (_SECRET * 100)
        assert _heard(topology, application, *fragment(whole, 800)) == []
        guard.remove("hw0")
        assert _heard(topology, application, forged("10.0.1.1")) == [_SECRET]


def test_the_tunnels_outside_comes_in_from_a_protected_network(topology: Topology) -> None:
    with (
        inside(topology, "bob"),
        _udp(port=7000) as application,
        _udp(port=4500, marked=True) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as esp,
    ):
        guard.install(plan(f"{ALICE.underlay}/32", own="10.0.1.2/32"))
        outer = IP(src=str(ALICE.underlay), dst=str(BOB.underlay))
        assert _heard(topology, application, outer / UDP(sport=4500, dport=7000) / _SECRET) == []
        _inject(topology, outer / UDP(sport=60000, dport=4500) / b"sealed")
        wait_readable(ours)
        assert ours.recv(100) == b"sealed"
        _inject(topology, IP(src=str(ALICE.underlay), dst=str(BOB.underlay), proto=50) / _SECRET)
        wait_readable(esp)
        assert esp.recv(100).endswith(_SECRET)
        # Larger than the wire takes, so in fragments, of which only the first has ports.
        large = bytes(3000)
        with inside(topology, "alice"), _udp() as alice:
            alice.sendto(large, (str(BOB.underlay), 4500))
        wait_readable(ours)
        assert ours.recv(4000) == large


def _error(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_errors_are_let_in_that_are_about_the_tunnels_outside(topology: Topology) -> None:
    with inside(topology, "bob"), _udp(port=7000) as application, _udp(port=4500) as ours:
        ours.connect((str(ALICE.underlay), 4500))
        application.connect((str(ALICE.underlay), 7000))
        mark(ours)
        guard.install(plan("192.168.77.0/24", own="10.0.1.2/32"))
        for port in (7000, 4500):
            about = IP(src=str(BOB.underlay), dst=str(ALICE.underlay)) / UDP(sport=port, dport=port)
            outer = IP(src=str(ALICE.underlay), dst=str(BOB.underlay))
            _inject(topology, outer / ICMP(type=3, code=3) / bytes(about))
        wait_until(lambda: _error(ours) == errno.ECONNREFUSED, "ICMP error")
        assert _error(application) == 0


def test_an_ordinary_users_namespace_can_have_one() -> None:
    with World.begin(user=True) as world, Topology(world) as network:
        script = (
            "from ipaddress import ip_network as n\n"
            "from hushwire.system import guard\n"
            "guard.install(guard.Plan('hw0', (n('10.0.1.2/32'),), (n('10.0.1.1/32'),), ()))\n"
            "print(guard.standing()[0].networks)"
        )
        assert "10.0.1.2/32" in network.run("alice", [sys.executable, "-c", script]).stdout


def test_where_nft_is_missing_that_is_said(topology: Topology) -> None:
    nft = subprocess.run(["which", "nft"], capture_output=True, text=True).stdout.strip()
    topology.run(None, ["mount", "--bind", "/dev/null", Path(nft or "/usr/sbin/nft").resolve()])
    script = (
        "from hushwire.system import guard, nft\n"
        "from hushwire.system.errors import SystemFailureError\n"
        "print(guard.standing(), guard.is_standing('hw0'))\n"
        "try: nft.apply('')\n"
        "except SystemFailureError as error: print(error)\n"
    )
    said = topology.run("alice", [sys.executable, "-c", script]).stdout
    assert said.splitlines()[0] == "[] False"
    assert "the program nft is not installed" in said


def test_what_nft_refuses_is_told(topology: Topology) -> None:
    with inside(topology, "alice"), pytest.raises(SystemFailureError, match="nft refuses"):
        guard.install(Plan("hw 0", (IPv4Network(IPv4Address("10.0.1.2")),), (), ()))


def test_its_counts_tell_what_would_have_leaked(topology: Topology) -> None:
    recorder = Recorder(topology)
    with inside(topology, "alice"):
        guard.install(plan(f"{BOB.underlay}/32"))
    topology.run(
        "alice", ["ping", "-c", "3", "-i", "0.2", "-W", "1", BOB.underlay.exploded], check=False
    )
    with inside(topology, "alice"):
        assert [one.dropped_out for one in guard.standing()] == [3]
    recorder.stop()
    assert tally(read(recorder.file))[Kind.CLEAR] == 0
