"""`hushwire classroom` on two hosts: conversations, restarts, and everything that can go wrong."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from hushwire.classroom.exchange import Kind, parse, xor
from hushwire.lab.topology import ALICE, BOB, EVE, WIRE, Topology
from hushwire.system.core import may_not_load, why_no_ebpf
from tests.bpf.hosts import assert_checksums, payload_of
from tests.classroom.lesson import PORT, begin, begin_with, final, said, talkers
from tests.netns.inside import inside


@pytest.fixture(autouse=True)
def can_load() -> None:
    if lacks := [why_no_ebpf()] if why_no_ebpf() else may_not_load():
        pytest.skip(lacks[0])


@pytest.mark.parametrize(("version", "starter"), [(4, "alice"), (6, "bob")])
def test_a_conversation_of_every_size_arrives_whole_and_is_counted(
    topology: Topology, version: int, starter: str
) -> None:
    one, other = begin(topology, "alice"), begin(topology, "bob")
    sizes = [*range(70), 500, 1400, 1452, 1472, 1473, 2000, 9000]
    messages = [os.urandom(size) for size in sizes]
    with talkers(topology, version) as pair:
        here, there = pair if starter == "alice" else pair[::-1]
        # At once, while there is no key yet: none may be lost, none may overtake another.
        for message in messages:
            here.send(message)
        assert [there.receive() for _ in messages] == messages
        for message in messages:
            there.send(message)
            assert here.receive() == message
    total = {"messages": len(messages), "octets": sum(sizes)}
    facts = {program.title: final(program) for program in (one, other)}
    for told in facts.values():
        assert told["egress"] == told["ingress"] == total
        assert told["held"]["given_up"] == told["held"]["waiting"] == 0
        assert told["outcomes"]["ingress"]["unreadable"]["messages"] == 0
    assert sum(told["held"]["sent"] for told in facts.values()) > 0
    (secret,) = {peer["secret"] for told in facts.values() for peer in told["peers"]}
    assert 1 <= secret <= 22


def test_messages_without_an_answer_are_given_up_with_a_sentence(topology: Topology) -> None:
    one = begin_with(topology, "alice", "patience=0.7")
    with talkers(topology) as (alice, bob):
        for _ in range(3):
            alice.send(b"is anybody there?")
        one.wait_for_line('"event": "given_up"')
        # bob has no programs yet, so the questions came to the application.
        assert bob.receive().startswith(b"HUSHWIRE-LESSON!")
        (event,) = said(one, "given_up")
        assert (event["remote"], event["messages"]) == (str(BOB.underlay), 3)
        begin(topology, "bob")
        while not bob.nothing_comes():
            pass
        alice.send(b"now?")
        assert bob.receive() == b"now?"
    told = final(one)
    assert told["held"] == {"waiting": 0, "sent": 1, "given_up": 3}
    assert told["egress"] == {"messages": 1, "octets": 4}


def test_other_ports_are_as_if_nothing_were_there(topology: Topology) -> None:
    one = begin(topology, "alice", "--port", "4000")
    with talkers(topology) as (alice, bob):
        alice.send(b"in clear")
        assert bob.receive() == b"in clear"
    assert final(one)["egress"] == {"messages": 0, "octets": 0}


@pytest.mark.parametrize("version", [4, 6])
def test_checksums_that_were_left_to_the_network_card_come_out_right(
    topology: Topology, version: int
) -> None:
    """alice's kernel leaves them half made (CHECKSUM_PARTIAL), and so is her OFFER; bob's, which
    turns it round, must complete what the programs have mended."""
    topology.run("alice", ["ethtool", "-K", WIRE, "tx", "on"])
    topology.run("bob", ["ethtool", "-K", WIRE, "tx", "off"])
    with inside(topology, EVE):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    with wire, talkers(topology, version) as (alice, bob):
        wire.bind(("bob", 3))
        wire.settimeout(30)
        one, _ = begin(topology, "alice"), begin(topology, "bob")
        alice.send(b"odd")
        assert bob.receive() == b"odd"
        bob.send(b"and back")
        assert alice.receive() == b"and back"
        payloads: list[bytes] = []
        while len(payloads) < 2:
            frame, (_, _, direction, *_) = wire.recvfrom(65536)
            if direction != socket.PACKET_OUTGOING and UDP in Ether(frame):
                assert_checksums(frame)
                payloads.append(payload_of(frame))
    (agreed,) = said(one, "agreed")
    answer = parse(payloads[0])
    assert answer is not None
    assert (answer.kind, answer.public) == (Kind.ANSWER, agreed["their_public"])
    assert xor(payloads[1], agreed["secret"]) == b"and back"


def test_messages_under_a_vlan_tag(topology: Topology) -> None:
    """This kernel may have no VLAN devices, so the tagged frame is made by hand."""
    one, other = begin(topology, "alice", "--trace"), begin(topology, "bob", "--trace")
    frame = Ether(src=mac(topology, "alice"), dst=mac(topology, "bob")) / Dot1Q(vlan=5)
    frame /= IP(src=str(ALICE.underlay), dst=str(BOB.underlay)) / UDP(sport=PORT, dport=PORT)
    with inside(topology, "alice"):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock:
        sock.bind((WIRE, 0))
        sock.send(bytes(frame / Raw(b"tagged")))
    other.wait_for_line(": tagged")
    assert final(one)["exchange"]["answers_in"] == 1
    assert final(other)["ingress"] == {"messages": 1, "octets": 6}


def mac(topology: Topology, host: str) -> str:
    """The Ethernet address of its interface."""
    (link,) = json.loads(topology.run(host, ["ip", "-j", "link", "show", WIRE]).stdout)
    return str(link["address"])


def test_wrong_usage_is_said(topology: Topology) -> None:
    for options, text in (
        (["--interface", "nowhere"], "interface nowhere: no interface has this name"),
        (["--interface", "lo"], "interface lo: there is nobody between its two ends"),
        (["--interface", WIRE, "--port", "0"], "0 is no UDP port"),
        (["--interface", WIRE, "--label", "two words"], "--label wants one word"),
        (["--interface", WIRE, "--label", "a" * 16], "at most 15"),
        ([], "required: --interface"),
    ):
        done = topology.run("alice", ["hushwire", "classroom", *options], check=False)
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def findings(topology: Topology, about: str) -> list[dict[str, str]]:
    """What alice's doctor says about it."""
    done = topology.run("alice", ["hushwire", "doctor", "--json"], check=False)
    return [finding for finding in json.loads(done.stdout) if finding["about"] == about]


def test_where_there_is_no_tcx_tc_is_the_way_and_leftovers_are_found(topology: Topology) -> None:
    one = begin_with(topology, "alice", "hook='clsact'")
    other = begin(topology, "bob")
    assert said(one, "ready")[0]["attached"] == "clsact"
    with talkers(topology) as (alice, bob):
        alice.send(b"by tc")
        assert bob.receive() == b"by tc"
        bob.send(b"and back")
        assert alice.receive() == b"and back"
    assert findings(topology, f"interface {WIRE}") == []  # it runs
    one.send_signal(signal.SIGKILL)
    one.finish()
    (finding,) = findings(topology, f"interface {WIRE}")
    assert finding["verdict"] == "problem"
    assert finding["cure"] == f"sudo hushwire classroom --interface {WIRE} --clean"
    topology.run("alice", finding["cure"].removeprefix("sudo ").split())
    assert findings(topology, f"interface {WIRE}") == []
    assert "clsact" not in qdiscs(topology)

    # The next start clears them away as well, and an orderly end leaves nothing.
    one = begin_with(topology, "alice", "hook='clsact'")
    one.send_signal(signal.SIGKILL)
    one.finish()
    one = begin(topology, "alice")
    assert said(one, "ready")[0]["attached"] == "tcx"
    assert "clsact" not in qdiscs(topology)
    one.stop()
    one = begin_with(topology, "alice", "hook='clsact'")
    final(one)
    assert "clsact" not in qdiscs(topology)
    assert final(other)["egress"] == {"messages": 1, "octets": 8}


def qdiscs(topology: Topology) -> str:
    return topology.run("alice", ["tc", "qdisc", "show", "dev", WIRE]).stdout


def test_what_goes_through_is_printed_to_trace_pipe(topology: Topology) -> None:
    # Both read at the same time, and each gets its own lines, all of them.
    one, other = begin(topology, "alice", "--trace"), begin(topology, "bob", "--trace")
    with talkers(topology) as (alice, bob):
        alice.send(b"hello\tbob")
        assert bob.receive() == b"hello\tbob"
    with talkers(topology, 6) as (alice, bob):
        alice.send(b"six")
        assert bob.receive() == b"six"
    a, b = ALICE.underlay, BOB.underlay
    for program, host, direction in ((one, "alice", "egress"), (other, "bob", "ingress")):
        line = program.wait_for_line(f"hushwire {host} {direction} {a}:{PORT} > {b}:{PORT} 9")
        assert line.rstrip('"}').endswith(": hello.bob")
        program.wait_for_line("0077:0000:0000:0000:0000:0000:0002.12345 3 octets XOR")
    for program, text in (
        (one, f"alice egress {b} OFFER A = "),
        (other, f"bob ingress {a} OFFER B = "),
        (other, f"bob egress {a} ANSWER A = "),
        (one, f"alice ingress {b} ANSWER B = "),
        (one, f"alice ingress {b} secret = "),
        (other, f"bob ingress {a} secret = "),
    ):
        program.wait_for_line(f"hushwire {text}")
    assert not any("hushwire bob" in line["line"] for line in said(one, "trace"))
