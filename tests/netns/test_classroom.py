"""`hushwire classroom` on two hosts, whole: programs in this kernel, real sockets, a real wire.

What each program does with each packet is tested beside it; here is what two of them do together.
"""

from __future__ import annotations

import json
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from hushwire.lab.classroom import Classroom, command
from hushwire.lab.netcat import Conversation
from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, EVE, WIRE, Resident, Topology
from hushwire.lab.world import World
from tests.netns.ebpf import loads_ebpf
from tests.netns.inside import inside
from tests.netns.waiting import wait_until

pytestmark = [loads_ebpf, pytest.mark.xdist_group("classroom")]  # one pair serves many tests

PORT = 12345
OTHER_PORT = 12346
MTU = 1500
MAGIC = b"HUSHWIRE-LESSON!"
ETHERNET, IPV4_HEADER, IPV6_HEADER, UDP_HEADER = 14, 20, 40, 8
V4 = IP(src=str(ALICE.underlay), dst=str(BOB.underlay))
V6 = IPv6(src=str(ALICE.underlay6), dst=str(BOB.underlay6))


@dataclass
class Line:
    """A socket on each host, connected to each other, and one on eve's side that hears frames."""

    alice: socket.socket
    bob: socket.socket
    wire: socket.socket
    headers: int
    port: int

    def say(self, speaker: Resident, payload: bytes) -> bytes:
        """Send it; returns what the other socket then has. Raises `TimeoutError`."""
        mouth, ear = (self.alice, self.bob) if speaker is ALICE else (self.bob, self.alice)
        mouth.send(payload)
        return ear.recv(65535)

    def overheard(self) -> bytes:
        """The UDP payload of the next frame of the conversation, the key exchange left out."""
        while True:
            frame = self.wire.recv(65535)
            ports = frame[self.headers - UDP_HEADER : self.headers - UDP_HEADER + 4]
            length = int.from_bytes(
                frame[self.headers - UDP_HEADER + 4 : self.headers - UDP_HEADER + 6], "big"
            )
            payload = frame[self.headers : self.headers - UDP_HEADER + length]
            if ports == self.port.to_bytes(2, "big") * 2 and not payload.startswith(MAGIC):
                return payload

    def all_frames(self) -> list[bytes]:
        """Everything that has crossed the wire and was not read yet."""
        self.wire.setblocking(False)
        frames = []
        with suppress(BlockingIOError):
            while True:
                frames.append(self.wire.recv(65535))
        return frames


@contextmanager
def line(topology: Topology, *, ipv6: bool = False, port: int = PORT) -> Iterator[Line]:
    with ExitStack() as stack:
        ends = {}
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        for resident in (ALICE, BOB):
            with inside(topology, resident.name):
                end = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            end.settimeout(20)
            end.bind((_address(resident, ipv6), port))
            ends[resident.name] = end
        ends[ALICE.name].connect((_address(BOB, ipv6), port))
        ends[BOB.name].connect((_address(ALICE, ipv6), port))
        with inside(topology, EVE):
            wire = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
            # eve's end of alice's cable; ETH_P_ALL, so that frames from bob are heard too
            wire.bind((ALICE.name, 3))
        wire.settimeout(20)
        headers = ETHERNET + (IPV6_HEADER if ipv6 else IPV4_HEADER) + UDP_HEADER
        yield Line(ends[ALICE.name], ends[BOB.name], wire, headers, port)


def _address(resident: Resident, ipv6: bool) -> str:
    return str(resident.underlay6 if ipv6 else resident.underlay)


def _offload(topology: Topology, on: bool) -> None:
    for resident in (ALICE, BOB):
        state = "on" if on else "off"
        topology.run(resident.name, ["ethtool", "-K", WIRE, "tx", state])


def _events(both: Classroom, host: str, kind: str) -> list[dict[str, Any]]:
    """Those of one kind that the host's side has told until now."""
    events = [json.loads(line) for line in both.programs[host].lines]
    return [event for event in events if event["event"] == kind]


def _secrets(both: Classroom, host: str) -> list[int]:
    return [event["secret"] for event in _events(both, host, "agreed")]


def _counted(both: Classroom, host: str) -> dict[str, Any]:
    """The last statistics, of one that has ended."""
    last = _events(both, host, "statistics")[-1]
    assert last["final"] is True
    return last


@pytest.fixture
def both(topology: Topology) -> Iterator[Classroom]:
    """Attached on both hosts; checksums are computed by the hosts and verified by the other."""
    _offload(topology, on=False)
    with Classroom(topology, PORT, "--json") as classroom:
        yield classroom


@pytest.fixture(scope="module")
def shared() -> Iterator[Topology]:
    """The same, for tests that leave it as it is."""
    with Topology(World.begin(user=False)) as network:
        _offload(network, on=False)
        with Classroom(network, PORT, "--json"):
            yield network


def test_every_length_passes_both_ways_and_is_counted(topology: Topology, both: Classroom) -> None:
    dice = random.Random(12345)
    counted = {ALICE: [0, 0], BOB: [0, 0]}

    def talk(ipv6: bool, starter: Resident, step: int) -> None:
        other = BOB if starter is ALICE else ALICE
        with line(topology, ipv6=ipv6) as open_line:
            for size in range(
                0, MTU - (IPV6_HEADER if ipv6 else IPV4_HEADER) - UDP_HEADER + 1, step
            ):
                for speaker in (starter, other):
                    payload = dice.randbytes(size)
                    assert open_line.say(speaker, payload) == payload
                    wire = open_line.overheard()
                    keys = {sealed ^ octet for sealed, octet in zip(wire, payload, strict=True)}
                    assert len(keys) == (1 if size else 0)
                    assert 0 not in keys
                    counted[speaker][0] += 1
                    counted[speaker][1] += size

    talk(ipv6=False, starter=ALICE, step=1)
    talk(ipv6=True, starter=BOB, step=1)
    # As a card that computes checksums itself: then the kernel hands over half of one.
    _offload(topology, on=True)
    talk(ipv6=False, starter=BOB, step=97)
    talk(ipv6=True, starter=ALICE, step=97)

    both.stop()
    for resident, other in ((ALICE, BOB), (BOB, ALICE)):
        told = _counted(both, resident.name)
        assert [told["egress"]["messages"], told["egress"]["octets"]] == counted[resident]
        assert [told["ingress"]["messages"], told["ingress"]["octets"]] == counted[other]
        # One secret for each family, whatever has been said under it.
        assert [event["restarted"] for event in _events(both, resident.name, "agreed")] == [
            False
        ] * 2


@pytest.mark.parametrize("size", [MTU - IPV4_HEADER - UDP_HEADER + 1, 65507])
def test_what_needs_fragments_arrives_too(shared: Topology, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    with line(shared) as open_line:
        for speaker in (ALICE, BOB):
            assert open_line.say(speaker, payload) == payload
        frames = open_line.all_frames()
    assert len(frames) > 2 * size / MTU
    for piece in (payload[:8], payload[size // 2 : size // 2 + 8], payload[-8:]):
        assert not any(piece in frame for frame in frames)


def test_two_nc_talk_and_either_may_begin(shared: Topology) -> None:
    talk = Conversation(shared, BOB, ALICE, PORT, ipv6=True)
    assert talk.say(BOB.name, "bob has called") == "bob has called"
    assert talk.say(ALICE.name, "alice answers") == "alice answers"
    talk.hang_up()
    talk = Conversation(shared, ALICE, BOB, PORT, ipv6=False)
    assert talk.say(ALICE.name, "alice has called") == "alice has called"
    assert talk.say(BOB.name, "bob answers") == "bob answers"
    assert talk.heard(BOB.name) == ["alice has called"]
    talk.hang_up()


def test_both_may_begin_at_the_same_moment(topology: Topology, both: Classroom) -> None:
    with line(topology) as open_line:
        open_line.alice.send(b"alice was first")
        open_line.bob.send(b"bob was first")
        assert open_line.bob.recv(100) == b"alice was first"
        assert open_line.alice.recv(100) == b"bob was first"
        assert open_line.say(ALICE, b"so be it") == b"so be it"
        assert open_line.say(BOB, b"so be it") == b"so be it"
    assert _secrets(both, ALICE.name)[-1] == _secrets(both, BOB.name)[-1]


def test_other_ports_and_protocols_are_not_touched(topology: Topology, both: Classroom) -> None:
    text = b"the key is under the mat"
    with line(topology, port=OTHER_PORT) as open_line:
        for speaker in (ALICE, BOB):
            assert open_line.say(speaker, text) == text
            assert open_line.overheard() == text
    with inside(topology, BOB.name):
        listener = socket.create_server((str(BOB.underlay), PORT))
    with inside(topology, ALICE.name):
        caller = socket.create_connection((str(BOB.underlay), PORT), timeout=20)
    with listener, caller, listener.accept()[0] as taker:
        caller.sendall(text)
        assert taker.recv(100) == text
    topology.run(ALICE.name, ["ping", "-c", "1", "-W", "10", "-s", "1400", str(BOB.underlay)])
    both.stop()
    for host in (ALICE.name, BOB.name):
        assert not any(counts["messages"] for counts in _all_counts(_counted(both, host)))


OTHER_FRAMES = [
    V4 / UDP(sport=OTHER_PORT, dport=OTHER_PORT) / Raw(b"another port"),
    IP(src=V4.src, dst=V4.dst, options=[IPOption_NOP()] * 4) / UDP(dport=53) / Raw(b"name"),
    V4 / TCP(sport=PORT, dport=PORT) / Raw(b"another protocol"),
    V6 / IPv6ExtHdrHopByHop() / UDP(sport=OTHER_PORT, dport=OTHER_PORT) / Raw(b"another"),
    IP(src=V4.src, dst=V4.dst, frag=100, proto=17) / Raw(b"of a datagram that nobody has seen"),
    V4 / UDP(sport=PORT, dport=PORT, len=999) / Raw(b"a length that lies"),
    IP(src=V4.src, dst=V4.dst, len=24, proto=17) / Raw(bytes.fromhex("30393039")),
    Raw(b"nothing of IP at all"),
]


def test_frames_that_are_not_ours_cross_byte_for_byte(shared: Topology) -> None:
    header = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02", "type": 0x88B6}
    frames = [bytes(Ether(**header) / packet) for packet in OTHER_FRAMES[-1:]]
    del header["type"]
    frames += [bytes(Ether(**header) / packet) for packet in OTHER_FRAMES[:-1]]
    with inside(shared, ALICE.name):
        mouth = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with mouth, line(shared) as open_line:
        mouth.bind((WIRE, 0))
        for frame in frames:
            mouth.send(frame)
            while (heard := open_line.wire.recv(65535))[:12] != frame[:12]:
                pass
            assert heard == frame


def _all_counts(statistics: dict[str, Any]) -> list[dict[str, int]]:
    outcomes = statistics["outcomes"]
    return [count for direction in outcomes.values() for count in direction.values()]


@pytest.mark.parametrize(
    ("how", "first"), [(signal.SIGTERM, ALICE), (signal.SIGKILL, ALICE), (signal.SIGKILL, BOB)]
)
def test_who_restarts_is_understood_again_and_hears_no_garbage(
    topology: Topology, both: Classroom, how: signal.Signals, first: Resident
) -> None:
    with line(topology) as open_line:
        assert open_line.say(ALICE, b"before") == b"before"
        assert open_line.say(BOB, b"before") == b"before"
        _end(both.programs[BOB.name], how)
        both.programs[BOB.name] = again = _start(topology, BOB)
        again.wait_for_line('"ready"')
        mouth, ear = (
            (open_line.alice, open_line.bob) if first is ALICE else (open_line.bob, open_line.alice)
        )
        ear.settimeout(0.2)
        sent: list[bytes] = []
        heard: list[bytes] = []

        def said_and_heard() -> bool:
            sent.append(b"message %d" % len(sent))
            mouth.send(sent[-1])
            try:
                heard.append(ear.recv(100))
            except TimeoutError:
                return False
            return True

        wait_until(said_and_heard, "message after the restart")
        ear.settimeout(20)
        assert open_line.say(ALICE, b"alice, after") in (*sent, b"alice, after")
        assert open_line.say(BOB, b"bob, after") in (*sent, b"bob, after")
        assert set(heard) <= set(sent)
    wait_until(lambda: len(_secrets(both, ALICE.name)) == 2, "second agreement at alice")
    wait_until(lambda: _secrets(both, BOB.name), "agreement at bob")
    assert _secrets(both, ALICE.name)[-1] == _secrets(both, BOB.name)[-1]


def test_a_second_one_on_the_same_interface_is_refused(shared: Topology) -> None:
    second = shared.run(ALICE.name, command(PORT), check=False)
    assert second.returncode == 2
    (sentence,) = second.stderr.splitlines()
    assert WIRE in sentence
    third = shared.run(ALICE.name, command(OTHER_PORT), check=False)
    assert third.returncode == 2
    with line(shared) as open_line:
        assert open_line.say(ALICE, b"still here") == b"still here"


def test_a_killed_one_leaves_nothing_and_the_next_begins(
    topology: Topology, both: Classroom
) -> None:
    text = b"the key is under the mat"
    with line(topology) as open_line:
        assert open_line.say(ALICE, text) == text
        assert open_line.overheard() != text
        for program in both.programs.values():
            _end(program, signal.SIGKILL)
        # In clear again, at once, both ways: no program is left on either device.
        for speaker in (ALICE, BOB):
            assert open_line.say(speaker, text) == text
            assert open_line.overheard() == text
        for resident in (ALICE, BOB):
            both.programs[resident.name] = _start(topology, resident)
        for program in both.programs.values():
            program.wait_for_line('"ready"')
        assert open_line.say(BOB, text) == text
        assert open_line.overheard() != text


def test_a_wire_that_vanishes_ends_it_with_a_sentence(topology: Topology, both: Classroom) -> None:
    topology.ip(f"link delete {WIRE}", host=ALICE.name)
    said = both.programs[ALICE.name].finish()
    assert both.programs[ALICE.name].returncode == 1
    assert WIRE in said.splitlines()[-1]
    assert "Traceback" not in said


def _start(topology: Topology, resident: Resident) -> Program:
    argv = [*command(PORT), "--json", "--label", resident.name]
    return topology.start(resident.name, argv)


def _end(program: Program, how: signal.Signals) -> None:
    """It, and not only the nsenter before it."""
    program.send_signal(how)
    program.finish()
