"""`hushwire classroom` on two hosts: conversations, restarts, and everything that can go wrong."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from hushwire.classroom.programs import Programs
from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from hushwire.system import clsact, interface
from hushwire.system.core import may_not_load, why_missing
from tests.classroom.lesson import PORT, begin, final, said, talkers
from tests.netns.inside import inside

pytestmark = pytest.mark.xdist_group("ebpf")
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(autouse=True)
def can_load() -> None:
    if lacks := [why_missing()] if why_missing() else may_not_load():
        pytest.skip(lacks[0])


@VERSIONS
@pytest.mark.parametrize("starter", ["alice", "bob"])
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


def test_both_may_begin_at_the_same_moment(topology: Topology) -> None:
    begin(topology, "alice")
    begin(topology, "bob")
    with talkers(topology) as (alice, bob):
        for number in range(20):
            alice.send(b"from alice %d" % number)
            bob.send(b"from bob %d" % number)
        assert [bob.receive() for _ in range(20)] == [b"from alice %d" % n for n in range(20)]
        assert [alice.receive() for _ in range(20)] == [b"from bob %d" % n for n in range(20)]


@pytest.mark.parametrize("restarted", ["alice", "bob"])
@pytest.mark.parametrize("speaker", ["alice", "bob"])
def test_after_a_restart_nobody_gets_garbage(
    topology: Topology, restarted: str, speaker: str
) -> None:
    programs = {name: begin(topology, name) for name in ("alice", "bob")}
    with talkers(topology) as (alice, bob):
        alice.send(b"before")
        assert bob.receive() == b"before"
        programs[restarted].stop()
        programs[restarted] = begin(topology, restarted)
        here, there = (alice, bob) if speaker == "alice" else (bob, alice)
        if speaker != restarted:
            # It has the old key yet, and loses what it sends until it is asked for a new one.
            here.send(b"lost")
            programs[restarted].wait_for_line('"event": "unreadable"')
            programs[restarted].wait_for_line('"event": "agreed"')
        here.send(b"after")
        assert there.receive() == b"after"
        there.send(b"and back")
        assert here.receive() == b"and back"


def test_messages_without_an_answer_are_given_up_with_a_sentence(topology: Topology) -> None:
    one = begin(topology, "alice")
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
    assert other.wait_for_line("hushwire bob ingress").endswith('= %d"}' % offered(one))
    other.wait_for_line(": tagged")
    assert final(one)["exchange"]["answers_in"] == 1
    assert final(other)["ingress"] == {"messages": 1, "octets": 6}


def mac(topology: Topology, host: str) -> str:
    """The Ethernet address of its interface."""
    (link,) = json.loads(topology.run(host, ["ip", "-j", "link", "show", WIRE]).stdout)
    return str(link["address"])


def offered(program: Program) -> int:
    """Its public value."""
    program.wait_for_line('"event": "agreed"')
    return int(said(program, "agreed")[0]["our_public"])


def test_two_on_one_interface_are_refused(topology: Topology) -> None:
    one = begin(topology, "alice")
    done = topology.run("alice", ["hushwire", "classroom", "--interface", WIRE], check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "hushwire: interface eth0: another `hushwire classroom` runs on it. "
        "One is enough; end the other one first (Ctrl-C).\n"
    )
    assert one.poll() is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--interface", "nowhere"], "interface nowhere: no interface has this name"),
        (["--interface", "lo"], "interface lo: there is nobody between its two ends"),
        (["--interface", WIRE, "--port", "0"], "0 is no UDP port"),
        (["--interface", WIRE, "--label", "two words"], "--label wants one word"),
        (["--interface", WIRE, "--label", "a" * 16], "at most 15"),
        ([], "required: --interface"),
    ],
)
def test_wrong_usage_is_said(topology: Topology, options: list[str], text: str) -> None:
    done = topology.run("alice", ["hushwire", "classroom", *options], check=False)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interface_that_vanishes_is_said(topology: Topology) -> None:
    one = begin(topology, "alice")
    topology.ip(f"link delete {WIRE}", host="alice")
    output = one.finish()
    assert one.returncode == 1
    assert "hushwire: interface eth0: it has vanished, and the programs with it." in output
    assert "Traceback" not in output


def kill(program: Program) -> None:
    """SIGKILL, and wait until it is gone."""
    program.send_signal(signal.SIGKILL)
    program.finish()


def test_sigkill_leaves_nothing_attached(topology: Topology) -> None:
    one = begin(topology, "alice")
    with talkers(topology) as (alice, bob):
        kill(one)
        alice.send(b"in clear")
        assert bob.receive() == b"in clear"
    begin(topology, "alice")


def test_tc_is_the_way_where_there_is_no_tcx_and_leftovers_are_found(topology: Topology) -> None:
    with inside(topology, "alice"):
        index = interface.index_of(WIRE)
        programs = Programs("alice", PORT)
        programs.attach(WIRE, index, hook="clsact")
        assert programs.attached == "clsact"
    other = begin(topology, "bob")
    with talkers(topology) as (alice, bob):
        # The programs alone: bob begins, alice answers in the kernel.
        bob.send(b"by tc")
        assert alice.receive() == b"by tc"
        findings = json.loads(
            topology.run("alice", ["hushwire", "doctor", "--json"], check=False).stdout
        )
        (cure,) = [one["cure"] for one in findings if one["about"] == f"interface {WIRE}"]
        assert cure == f"sudo hushwire classroom --interface {WIRE} --clean"
        topology.run("alice", cure.removeprefix("sudo ").split())
        with inside(topology, "alice"):
            assert clsact.leftovers() == []
            programs.attach(WIRE, index, hook="clsact")
            assert clsact.leftovers() == [WIRE]
            # As if it had been killed: the next start clears the filters away.
            again = Programs("alice", PORT)
            again.attach(WIRE, index)
            assert again.attached == "tcx"
            assert clsact.leftovers() == []
            again.close()
        done = topology.run("alice", ["tc", "qdisc", "show", "dev", WIRE])
        assert "clsact" not in done.stdout
        alice.send(b"x")
    assert final(other)["egress"] == {"messages": 1, "octets": 5}


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
