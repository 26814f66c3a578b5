"""IKE and ESP inside TCP (RFC 9329) between two hosts, and what the network does to it."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from hushwire.lab.eve import Recorder
from hushwire.lab.network import Program
from hushwire.lab.reader import Kind, holding, read, tally
from hushwire.lab.topology import ALICE, BOB, BRIDGE, EVE, WIRE, Topology
from tests.cli.command import hushwire
from tests.netns.test_transport import real_address
from tests.netns.test_transport import write as write_transport
from tests.netns.traffic import MARKER, send_ten_megabytes, send_udp_of_every_size
from tests.netns.tunnels import Side, both_up, ends, ping, sides
from tests.netns.waiting import wait_until

STRANGERS = Path(__file__).with_name("tcp_strangers.py")
TALK = [sys.executable, "-m", "hushwire.lab.talk"]
NO_UDP = "udp dport { 500, 4500 } drop; udp sport { 500, 4500 } drop; ip protocol esp drop"


def tcp_pair(topology: Topology, encap: str = "tcp", *, dpd: str = "20s") -> tuple[Side, Side]:
    alice, bob = sides(topology)
    alice.write(encap=encap, dpd=dpd)
    return alice, bob.write(encap=encap, start="wait", dpd=dpd)


def filter_at_eve(topology: Topology, rules: str) -> None:
    """What eve's bridge does not let through."""
    filter_at(topology, EVE, "bridge", "forward", rules)


def filter_at(topology: Topology, host: str, family: str, hook: str, rules: str) -> None:
    chain = f"type filter hook {hook} priority 0; {rules};"
    text = f"table {family} wall {{\n chain wall {{\n {chain}\n }}\n }}\n"
    topology.run(host, ["nft", "-f", "-"], text=text)


def connections(topology: Topology, host: str, port: int = 4500) -> list[str]:
    """Those of the host's with this port at either end, as ss shows them.

    In every state but the two in which only the kernel remembers one.
    """
    said = topology.run(host, ["ss", "-Htna", f"( sport = :{port} or dport = :{port} )"]).stdout
    return [line for line in said.splitlines() if not line.startswith(("LISTEN", "TIME-WAIT"))]


def originated(topology: Topology, port: int = 4500) -> str:
    """The local port of alice's connection."""
    every = connections(topology, ALICE.name, port)
    (line,) = [line for line in every if line.startswith("ESTAB")]
    return line.split()[3].rpartition(":")[2]


def steady_ping(topology: Topology) -> Program:
    return topology.start(ALICE.name, ["ping", "-i", "0.1", "-D", "-n", str(BOB.tunnel.ip)])


def goes_on(program: Program) -> None:
    """Wait for five pings more that come back."""
    for _ in range(5):
        program.wait_for_line("bytes from", after=len(program.lines))


def test_status_and_sentences_say_that_it_is_tcp(topology: Topology) -> None:
    alice, bob = tcp_pair(topology)
    programs = both_up(alice, bob, at_once=False)
    assert "knocking at 192.168.77.2 (IKE_SA_INIT inside TCP, port 4500)" in programs[0].output
    for program in programs:
        assert "(ESP in TCP)" in program.output
    said = topology.run(ALICE.name, ["hushwire", "status"]).stdout
    assert "in TCP" in said
    assert "192.168.77.2:4500" in said


def test_another_port_can_be_agreed_on(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.interface["tcp_port"] = 443
    alice.write(encap="tcp", tcp_port=443)
    bob.write(encap="tcp", start="wait")
    _, second = both_up(alice, bob, at_once=False)
    assert "on TCP 443 and for ESP" in second.output
    ping(topology, ALICE.name, BOB.tunnel.ip)
    assert connections(topology, ALICE.name, 443)
    assert not connections(topology, ALICE.name, 4500)


def test_both_may_connect_at_the_same_moment(topology: Topology) -> None:
    alice, bob = sides(topology)
    for side in (alice, bob):
        side.write(encap="tcp")
    both_up(alice, bob)

    def one_connection() -> bool:
        a, b = alice.tunnel(), bob.tunnel()
        up = a["state"] == b["state"] == "up" and a["ike_spi"] == b["ike_spi"]
        # Whoever closed the other one first remembers it for a while: that is how TCP ends.
        every = connections(topology, ALICE.name)
        return up and len([line for line in every if not line.startswith("TIME-WAIT")]) == 1

    wait_until(one_connection, "one tunnel in one connection")
    ping(topology, ALICE.name, BOB.tunnel.ip)


def test_an_orderly_end_closes_the_connection_and_a_new_run_connects_again(
    topology: Topology,
) -> None:
    alice, bob = tcp_pair(topology)
    first, second = both_up(alice, bob, at_once=False)
    first.terminate()
    assert "bob: tunnel closed, and the peer knows." in ends(first, 0)
    second.wait_for_line("alice: the peer closed the tunnel.")
    alice.run().wait_for_line("tunnel up")
    ping(topology, ALICE.name, BOB.tunnel.ip)


@pytest.mark.parametrize("how", ["reset", "reset of one end", "silence"])
def test_a_lost_connection_is_replaced_and_the_tunnel_goes_on(topology: Topology, how: str) -> None:
    alice, bob = tcp_pair(topology, dpd="5s")
    first, second = both_up(alice, bob, at_once=False)
    before = alice.tunnel()
    pinging = steady_ping(topology)
    goes_on(pinging)
    port = originated(topology)
    if how == "reset":
        topology.run(ALICE.name, ["ss", "-K", "-tn", f"sport = :{port}"])
    elif how == "reset of one end":
        # Only alice's end hears of it: bob's stays, until he hears from her by another one.
        rules = f"tcp sport {port} reject with tcp reset"
        filter_at(topology, BOB.name, "inet", "input", rules)
    else:
        filter_at_eve(topology, f"tcp sport {port} drop; tcp dport {port} drop")
    first.wait_for_line("the TCP connection to 192.168.77.2 is lost", seconds=60)
    first.wait_for_line("connected to 192.168.77.2 again; the tunnel goes on.")
    goes_on(pinging)
    assert originated(topology) != port
    after = alice.tunnel()
    for key in ("ike_spi", "spi_in", "spi_out"):
        assert after[key] == before[key]
    assert after["ike_spi"] == bob.tunnel()["ike_spi"]
    assert after["local_endpoint"] == bob.tunnel()["remote_endpoint"]
    assert first.output.count("tunnel up") == second.output.count("tunnel up") == 1
    wait_until(
        lambda: len(connections(topology, BOB.name)) == 1, "end of the old connection", seconds=90
    )


def test_the_peer_gets_through_again_by_itself_without_traffic_of_ours(
    topology: Topology,
) -> None:
    """Only bob sends: without a word from alice he would go on into the lost connection."""
    alice, bob = tcp_pair(topology)
    both_up(alice, bob, at_once=False)
    ear = topology.start(ALICE.name, [*TALK, "hear", str(ALICE.tunnel.ip), "7000"])
    ear.wait_for_line("ready")
    port = originated(topology)
    topology.run(ALICE.name, ["ss", "-K", "-tn", f"sport = :{port}"])
    wait_until(lambda: bob.tunnel()["remote_endpoint"] == alice.tunnel()["local_endpoint"], "move")
    topology.run(BOB.name, [*TALK, "say", str(ALICE.tunnel.ip), "7000", "still there?"])
    assert "still there?" in ear.finish()


def test_a_transfer_survives_its_connection(topology: Topology) -> None:
    alice, bob = tcp_pair(topology)
    first, _ = both_up(alice, bob, at_once=False)
    where = [str(BOB.tunnel.ip), "7001"]
    taker = topology.start(BOB.name, [*TALK, "take", *where])
    taker.wait_for_line("ready")
    giver = topology.start(ALICE.name, [*TALK, "give", *where, "10000000"])
    for lost in range(1, 4):
        seen = alice.tunnel()["packets_out"]
        wait_until(
            lambda seen=seen: (
                giver.poll() is not None  # type: ignore[misc]
                or alice.tunnel()["packets_out"] > seen + 500
            ),
            "part of the transfer",
        )
        topology.run(ALICE.name, ["ss", "-K", "-tn", "dport = :4500"])
        wait_until(lambda lost=lost: first.output.count("again; the") == lost, "reconnection")  # type: ignore[misc]
    given = json.loads(giver.finish().splitlines()[-1])
    taken = json.loads(taker.finish().splitlines()[-1])
    assert taken["octets"] == 10_000_000
    assert given["sha256"] == taken["sha256"]
    assert first.output.count("tunnel up") == 1


@pytest.mark.parametrize(("port", "family"), [(4500, 4), (443, 6)])
def test_transport_mode_on_the_real_addresses_inside_tcp_with_the_guard_up(
    topology: Topology, port: int, family: int
) -> None:
    """The connection runs between the very addresses that the guard protects."""
    alice, bob = sides(topology)
    bob.interface["tcp_port"] = port
    for side in (alice, bob):
        start = "up" if side is alice else "wait"
        write_transport(side, "real", family, encap="tcp", tcp_port=port, start=start)
    recorder = Recorder(topology)
    first, _ = both_up(alice, bob, at_once=False)
    assert "guard up" in first.output
    target = real_address(BOB, family)
    ping(topology, ALICE.name, target, "-p", MARKER[:16].hex())
    send_ten_megabytes(topology, str(target))
    send_udp_of_every_size(topology, str(target))
    local = originated(topology, port)
    topology.run(ALICE.name, ["ss", "-K", "-tn", f"sport = :{local}"])
    first.wait_for_line("the tunnel goes on.")
    ping(topology, ALICE.name, target)
    recorder.stop()
    frames = read(recorder.file)
    assert not holding(frames, MARKER[:16])
    if port == 4500:  # where the reader looks
        assert {kind for kind, count in tally(frames).items() if count} <= {
            Kind.TCP, Kind.ARP, Kind.NEIGHBOUR,
        }  # fmt: skip


def test_quick_works_inside_tcp_too(topology: Topology) -> None:
    programs = []
    for me, other in ((ALICE, BOB), (BOB, ALICE)):
        line = ["hushwire", "quick", WIRE, "-dst", str(other.underlay), "-key", "256"]
        line += ["-tun", "asa0", "--address", str(me.tunnel), "--encap", "tcp"]
        programs.append(topology.start(me.name, line))
    for program in programs:
        assert "(ESP in TCP)" in program.wait_for_line("tunnel up")
    ping(topology, ALICE.name, BOB.tunnel.ip)


def test_a_peer_that_was_killed_comes_back(topology: Topology) -> None:
    alice, bob = tcp_pair(topology, dpd="5s")
    first, second = both_up(alice, bob, at_once=False)
    second.send_signal(signal.SIGKILL)
    second.wait()
    bob.run().wait_for_line("Listening")
    # alice connects again; the new bob does not know her IKE SA, so it ends, and a new one begins.
    first.wait_for_line("trying again", seconds=90)
    first.wait_for_line("tunnel up", seconds=90, after=len(first.lines))
    ping(topology, ALICE.name, BOB.tunnel.ip)


def test_auto_falls_back_to_tcp_where_udp_is_filtered(topology: Topology) -> None:
    alice, bob = tcp_pair(topology, "auto")
    filter_at_eve(topology, NO_UDP)
    recorder = Recorder(topology)
    first, _ = both_up(alice, bob, at_once=False)
    assert first.output.index("to UDP port 500") < first.output.index("inside TCP, port 4500")
    assert alice.tunnel()["encapsulation"] == bob.tunnel()["encapsulation"] == "tcp"
    for target in (BOB.tunnel.ip, BOB.tunnel6.ip):
        ping(topology, ALICE.name, target)
    assert recorder.stop() == 0
    counts = {kind for kind, count in tally(read(recorder.file)).items() if count}
    assert counts <= {Kind.TCP, Kind.IKE, Kind.ARP, Kind.NEIGHBOUR}


def test_auto_stays_with_udp_where_it_is_answered(topology: Topology) -> None:
    alice, bob = tcp_pair(topology, "auto")
    both_up(alice, bob, at_once=False)
    assert alice.tunnel()["encapsulation"] == "esp"
    assert not connections(topology, ALICE.name)


def test_a_peer_reached_by_neither_exits_with_6_and_says_what_was_tried(
    topology: Topology,
) -> None:
    alice, bob = tcp_pair(topology, "auto")
    filter_at_eve(topology, f"{NO_UDP}; tcp dport 4500 drop")
    bob.run().wait_for_line("Listening")
    said = ends(alice.run("--once"), 6)
    assert "no answer from 192.168.77.2 to 6 IKE_SA_INIT messages in 32 seconds." in said
    assert "Inside TCP, which was tried as well: connection timed out." in said


def test_tcp_that_is_refused_exits_with_6_and_says_so(topology: Topology) -> None:
    alice, _ = tcp_pair(topology)
    said = ends(alice.run("--once"), 6)
    assert "bob: no TCP connection to 192.168.77.2, port 4500: connection refused." in said


def test_without_tcp_in_the_file_nobody_listens(topology: Topology) -> None:
    _, bob = tcp_pair(topology, "esp")
    bob.run().wait_for_line("Listening on UDP 500 and 4500 and for ESP.")
    assert "4500" not in topology.run(BOB.name, ["ss", "-Htln"]).stdout


def test_a_port_in_use_is_explained(topology: Topology) -> None:
    _, bob = tcp_pair(topology)
    taker = topology.start(BOB.name, [*TALK, "take", "0.0.0.0", "4500"])
    taker.wait_for_line("ready")
    said = ends(bob.run(), 1)
    assert "TCP port 4500 (IPv4): another program listens there already" in said
    assert "tcp_port" in said


def flood(topology: Topology, count: int, sources: int) -> Program:
    """eve, with addresses of her own, at bob's door."""
    addresses = [f"192.168.77.{100 + number}" for number in range(sources)]
    topology.ip(*(f"address add {ip}/24 dev {BRIDGE}" for ip in addresses), host=EVE)
    argv: list[str | Path] = [
        sys.executable,
        STRANGERS,
        str(BOB.underlay),
        "4500",
        str(count),
        *addresses,
    ]
    return topology.start(EVE, argv)


@pytest.mark.parametrize("sources", [1, 100])
def test_ten_thousand_connections_of_strangers_are_bounded_and_honest_peers_are_served(
    topology: Topology, sources: int
) -> None:
    alice, bob = tcp_pair(topology)
    second = bob.run()
    second.wait_for_line("Listening")
    strangers = flood(topology, 10_000, sources)
    alice.run().wait_for_line("tunnel up")
    ping(topology, ALICE.name, BOB.tunnel.ip)
    assert_bounded(topology, sources)
    assert int(strangers.wait_for_line("opened", seconds=200).split()[1]) > 5000
    assert_bounded(topology, sources)
    ping(topology, ALICE.name, BOB.tunnel.ip)
    assert alice.tunnel()["state"] == bob.tunnel()["state"] == "up"
    assert second.poll() is None
    # Time alone clears them away.
    wait_until(lambda: open_at_bob(topology) == 1, "end of the strangers", seconds=90)


def open_at_bob(topology: Topology) -> int:
    held = [line for line in connections(topology, BOB.name) if line.startswith(("ESTAB", "CLOSE"))]
    return len(held)


def assert_bounded(topology: Topology, sources: int) -> None:
    # Those in the kernel's queue, not accepted yet, come on top: at most its length, 128.
    assert open_at_bob(topology) <= min(256, 8 * sources) + 1 + 129


def test_open_files_that_run_out_stop_nobody_for_long(topology: Topology) -> None:
    alice, bob = tcp_pair(topology)
    limited: list[str | Path] = ["prlimit", "--nofile=60", "hushwire", "run", bob.file]
    second = topology.start(BOB.name, limited)
    second.wait_for_line("Listening")
    strangers = flood(topology, 200, 100)
    second.wait_for_line("A TCP connection cannot be accepted now: too many open files. Trying")
    strangers.stop()
    alice.run().wait_for_line("tunnel up", seconds=60)
    ping(topology, ALICE.name, BOB.tunnel.ip)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_tshark_finds_the_ike_sa_and_both_esp_sas_in_the_stream(
    topology: Topology, tmp_path: Path
) -> None:
    """tshark puts the stream together; its frames, as RFC 3948 would send them, are IKE and ESP."""
    alice, bob = tcp_pair(topology)
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    ping(topology, ALICE.name, BOB.tunnel.ip, "-p", "deadbeef")
    tunnel = alice.tunnel()
    recorder.stop()
    frames = read(recorder.file)
    assert not holding(frames, bytes.fromhex("deadbeef") * 4)
    assert {kind for kind, count in tally(frames).items() if count} <= {
        Kind.TCP, Kind.ARP, Kind.NEIGHBOUR,
    }  # fmt: skip
    capture = tmp_path / "eve.pcap"
    capture.write_bytes(recorder.file.read_bytes())
    there, back = _follow(capture)
    assert there.startswith(b"IKETCP")
    messages = _frames(there[6:]) + _frames(back)
    datagrams = tmp_path / "datagrams.pcap"
    around = Ether() / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=4500, dport=4500)
    wrpcap(str(datagrams), [around / Raw(message) for message in messages])
    seen = {
        tuple(line.split("\t"))
        for line in _tshark(
            datagrams, "-T", "fields", "-e", "isakmp.exchangetype", "-e", "esp.spi"
        ).splitlines()
    }
    assert seen == {
        ("34", ""), ("43", ""), ("35", ""), ("", tunnel["spi_in"]), ("", tunnel["spi_out"]),
    }  # fmt: skip
    told = hushwire("explain", str(capture)).stdout
    for said in ("IKE_AUTH request 2", f"SPI {tunnel['spi_in']}, TCP 4500: 3 packets",
                 f"SPI {tunnel['spi_out']}, TCP 4500: 3 packets"):  # fmt: skip
        assert said in told
    assert "not read" not in told


def _follow(capture: Path) -> tuple[bytes, bytes]:
    """Both halves of the first connection, put together by tshark."""
    said = _tshark(capture, "-q", "-z", "follow,tcp,raw,0").splitlines()
    begin = next(index for index, line in enumerate(said) if line.startswith("Node 1")) + 1
    halves = ["", ""]
    for line in said[begin:]:
        if not line.startswith("="):
            halves[line.startswith("\t")] += line.strip()
    return bytes.fromhex(halves[0]), bytes.fromhex(halves[1])


def _frames(octets: bytes) -> list[bytes]:
    messages = []
    while octets:
        (length,) = struct.unpack_from("!H", octets)
        assert 2 < length <= len(octets)
        messages.append(octets[2:length])
        octets = octets[length:]
    return messages


def _tshark(capture: Path, *options: str) -> str:
    argv = ["tshark", "-n", "-r", str(capture), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
