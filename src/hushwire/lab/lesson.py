"""`hushwire lab classroom`: one conversation twice past eve, by an octet of XOR and by ESP."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from hushwire.lab import attack, breaking, classroom, reader, tunnel
from hushwire.lab.attack import Heard
from hushwire.lab.classroom import Classroom
from hushwire.lab.eve import Recorder
from hushwire.lab.netcat import Conversation
from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.overheard import overheard
from hushwire.lab.reader import Frame, Kind
from hushwire.lab.screen import (
    READABLE,
    Screen,
    exchange_parts,
    message_parts,
    printable,
    sealed_parts,
)
from hushwire.lab.topology import ALICE, BOB, EVE, WIRE
from hushwire.lab.world import need

LINES = (
    (ALICE.name, "Hello bob. Who listens to us?"),
    (BOB.name, "Anyone. But all is enciphered."),
    (ALICE.name, "Noon. My key is under the mat."),
    (BOB.name, "I shall be there. Tell no one."),
)
"""Who says what, in both acts; short enough for a line of trace_pipe to hold all of it."""

_MARK_FIRST = "act 1: hushwire classroom on both hosts"
_MARK_SECOND = "act 2: hushwire run on both hosts"
_MARK_SEALED = "the same conversation through the tunnel"
_MARK_DONE = "all has been said"

_HEX_OCTETS = 8


@dataclass(slots=True)
class _Message:
    """One line, and what it was at each place on its way."""

    speaker: str
    typed: str
    read: str
    traced: dict[str, str] = field(default_factory=dict)
    wire: bytes = b""

    def facts(self) -> dict[str, Any]:
        return {
            "speaker": self.speaker,
            "typed": self.typed,
            "read": self.read,
            "trace_pipe": self.traced,
            "wire": self.wire.hex(),
        }


class Lesson:
    """Told once. `facts` grows as it goes, for --json."""

    def __init__(self, network: Network, screen: Screen, port: int, *, ipv6: bool) -> None:
        self._network = network
        self._screen = screen
        self._port = port
        self._ipv6 = ipv6
        self._names = {
            str(resident.underlay6 if ipv6 else resident.underlay): resident.name
            for resident in (ALICE, BOB)
        }
        self._programs: list[tuple[str, Program]] = []
        self.facts: dict[str, Any] = {"port": port, "family": "ipv6" if ipv6 else "ipv4"}

    def tell(self, pcap: Path | None) -> bool:
        """All of it; returns whether every promise was kept.

        Raises `LabError`, `SystemFailureError` if something is missing.
        """
        need("ethtool", "ethtool")
        recorder = Recorder(self._network)
        try:
            recorder.bookmark(_MARK_FIRST)
            first = self._first_act(recorder)
            self._eve_at_work(recorder)
            second = self._second_act(recorder)
            recorder.bookmark(_MARK_DONE)
            self.facts["frames_missed_by_eve"] = recorder.stop()
        finally:
            if pcap is not None:
                shutil.copyfile(recorder.file, pcap)
                self.facts["pcap"] = str(pcap)
        return self._compare(reader.read(recorder.file), first, second)

    def show_daemons(self) -> None:
        """What the programs on both sides have said, when the story ends badly."""
        for host, program in self._programs:
            self._screen.command(host, program.title)
            self._screen.output(host, program.output)
            self.facts.setdefault(f"{host}_said", []).extend(program.lines)

    def _first_act(self, recorder: Recorder) -> list[_Message]:
        show = self._screen
        show.title("Act 1: Diffie-Hellman with p = 23, and XOR")
        show.say(
            "One command on each host attaches two programs to the wire's device, in the kernel:\n"
            "one at egress, one at ingress. They agree on a secret and XOR every octet with it.\n"
        )
        for host in classroom.HOSTS:
            # As a network card sends them; veth leaves the checksums to nobody.
            self._network.run(host, ["ethtool", "-K", WIRE, "tx", "off"])
        with Classroom(self._network, self._port) as both:
            self._programs = list(both.programs.items())
            for host in classroom.HOSTS:
                show.command(host, "sudo " + " ".join(classroom.command(self._port)))
                show.output(host, both.news(host))
            show.pause()
            said = self._talk()
            for message in said:
                ends = (("egress", message.speaker), ("ingress", self._other(message.speaker)))
                for direction, host in ends:
                    message.traced[direction] = both.traced(host, direction, message.typed)
            traced = both.traced_exchange()
            both.stop()
            statistics = {host: both.counted(host) for host in classroom.HOSTS}
            ends_said = {host: both.news(host) for host in classroom.HOSTS}
        self._programs = []
        recorder.bookmark(_MARK_SECOND)
        frames = reader.since(reader.read(recorder.file), _MARK_FIRST)
        exchange, messages = self._overheard(frames)
        for message, heard in zip(said, messages, strict=True):
            message.wire = heard.payload
        show.picture("conversation", "hushwire lab classroom: two nc, unchanged")
        show.pause()
        self._show_places(said)
        show.picture("places", "hushwire lab classroom: one message in five places")
        show.pause()
        self._show_exchange(frames, exchange, messages[0], traced)
        show.picture("exchange", "hushwire lab classroom: the key exchange on the wire")
        show.pause()
        show.title("Ctrl-C on both sides: what the programs have done and counted")
        for host, text in ends_said.items():
            show.output(host, text)
        show.picture("counted", "hushwire lab classroom: Ctrl-C on both sides")
        show.pause()
        self.facts["act1"] = {
            "messages": [message.facts() for message in said],
            "key_exchange": [heard.payload.hex() for heard in exchange],
            "key_exchange_in_trace_pipe": traced,
            "statistics": statistics,
        }
        return said

    def _talk(self) -> list[_Message]:
        """The conversation, by two `nc`, on the screen as on theirs."""
        show = self._screen
        line = Conversation(self._network, ALICE, BOB, self._port, ipv6=self._ipv6)
        try:
            show.say("")
            for host, command in line.commands.items():
                show.command(host, " ".join(command))
            said = []
            for speaker, text in LINES:
                show.output(speaker, text)
                read = line.say(speaker, text)
                show.output(self._other(speaker), f"  {read}")
                said.append(_Message(speaker, text, read))
        finally:
            line.hang_up()
        return said

    def _other(self, name: str) -> str:
        return BOB.name if name == ALICE.name else ALICE.name

    def _overheard(self, frames: list[Frame]) -> tuple[list[Heard], list[Heard]]:
        """Packets of the key exchange, and those of the conversation. Raises `LabError`."""
        exchange: list[Heard] = []
        messages: list[Heard] = []
        for heard in overheard(frames, self._port):
            known = attack.public_value(heard.payload) is not None
            (exchange if known else messages).append(heard)
        if not exchange or len(messages) != len(LINES):
            raise LabError(
                f"eve has {len(exchange)} packets of the key exchange and {len(messages)} "
                f"messages; {len(LINES)} messages were said"
            )
        return exchange, messages

    def _show_places(self, said: list[_Message]) -> None:
        show = self._screen
        show.title("The same messages in five places")
        for message in said:
            other = self._other(message.speaker)
            show.places(
                [
                    (message.speaker, "types", Text(message.typed)),
                    (message.speaker, "trace_pipe", Text(message.traced["egress"])),
                    (EVE, "tcpdump", Text(printable(message.wire), "yellow")),
                    (other, "trace_pipe", Text(message.traced["ingress"])),
                    (other, "reads", Text(message.read)),
                ]
            )

    def _show_exchange(
        self, frames: list[Frame], exchange: list[Heard], message: Heard, traced: list[str]
    ) -> None:
        show = self._screen
        octets = {frame.number: frame.octets for frame in frames}
        show.title("The key exchange, in packets of its own")
        show.places([(line.split()[1], "trace_pipe", Text(line)) for line in traced])
        show.say("What eve has of it:")
        for heard in exchange:
            source, destination = self._names[heard.source], self._names[heard.destination]
            show.say(f"\n{source} to {destination}:")
            show.frame(octets[heard.number], exchange_parts(octets[heard.number], heard.payload))
        show.say(f"\nand the first message, “{LINES[0][1]}”:")
        show.frame(octets[message.number], message_parts(octets[message.number], message.payload))

    def _eve_at_work(self, recorder: Recorder) -> None:
        show = self._screen
        show.title("eve, with nothing but her recording")
        frames = reader.since(reader.read(recorder.file), _MARK_FIRST)
        broken = breaking.work(frames, self._port)
        breaking.show(show, broken, self._names)
        self.facts["eve"] = breaking.facts(broken)
        show.picture("attack", "hushwire lab break eve.pcap")
        show.pause()

    def _second_act(self, recorder: Recorder) -> list[_Message]:
        show = self._screen
        show.title("Act 2: the same two commands, in a tunnel of IKEv2 and ESP")
        for end in tunnel.configure_same_addresses(self._network, ipv6=self._ipv6):
            host = end.resident.name
            show.command(host, f"hushwire genkey -o {host}.key")
            show.file(host, end.file.name, end.text)
            show.command(host, f"sudo hushwire run {end.file.name}")
            self._programs.append((host, tunnel.run(self._network, end)))
        for _, daemon in self._programs:
            daemon.wait_for_line(tunnel.UP)
        for host, daemon in self._programs:
            show.output(host, daemon.output)
        show.picture("tunnel", "hushwire lab classroom: act 2")
        show.pause()
        recorder.bookmark(_MARK_SEALED)
        said = self._talk()
        recorder.bookmark(_MARK_DONE)
        frames = reader.since(reader.read(recorder.file), _MARK_SEALED)
        packets = [frame for frame in frames if frame.kind is Kind.ESP]
        for message in said:
            packet = self._packet_of(message, packets)
            packets.remove(packet)
            message.wire = packet.octets
        show.say(f"\nWhat eve sees of “{LINES[0][1]}”:")
        show.frame(said[0].wire, sealed_parts(said[0].wire, "tunnel"))
        show.picture("sealed", "hushwire lab classroom: eve has ESP")
        show.pause()
        status = json.loads(self._network.run(ALICE.name, ["hushwire", "status", "--json"]).stdout)
        (peer,) = status[0]["peers"]
        self.facts["act2"] = {
            "messages": [message.facts() for message in said],
            "suite": {"ike": peer["ike_suite"], "esp": peer["esp_suite"]},
            "status": status,
        }
        return said

    def _packet_of(self, message: _Message, packets: list[Frame]) -> Frame:
        """The first ESP packet from its speaker. Raises `LabError`."""
        for packet in packets:
            if self._names.get(packet.source) == message.speaker:
                return packet
        raise LabError(f"“{message.typed}” arrived, but eve saw no ESP packet of it")

    def _compare(self, frames: list[Frame], first: list[_Message], second: list[_Message]) -> bool:
        """Both acts side by side, and the promises."""
        show = self._screen
        acts = (
            reader.until(reader.since(frames, _MARK_FIRST), _MARK_SECOND),
            reader.since(frames, _MARK_SECOND),
        )
        broken = [breaking.work(act, self._port) for act in acts]
        readable = [sum(self._carries(frame) for frame in act) for act in acts]
        counts = [reader.tally(act) for act in acts]
        self.facts["compared"] = [
            {
                "sessions_broken": len([each for each in work if each.secret is not None]),
                "frames_with_a_message_under_any_key": count,
                "frames": {str(kind): number for kind, number in tally.items()},
            }
            for work, count, tally in zip(broken, readable, counts, strict=True)
        ]
        show.title("The two acts, side by side")
        suite = self.facts["act2"]["suite"]
        show.table(
            ["", "Act 1", "Act 2"],
            [
                ["commands", "the two nc", "the same two nc"],
                ["protected by", "XOR with one octet", suite["esp"]],
                ["key exchange", "g = 5, p = 23, nobody proved", suite["ike"]],
                *(row for pair in zip(first, second, strict=True) for row in self._rows(*pair)),
            ],
        )
        return self._verdict(broken, readable, counts[1], first + second)

    def _rows(self, one: _Message, two: _Message) -> list[list[str | Text]]:
        """A message in both acts: typed, as eve has it, as she reads it, and as it arrives."""
        deciphered = next(
            said["text"].rstrip("\n")
            for found in self.facts["eve"]
            for said in found["said"]
            if bytes.fromhex(said["sealed"]) == one.wire
        )
        sealed = "… " + two.wire[-_HEX_OCTETS:].hex(" ")
        return [
            ["", "", ""],
            [f"{one.speaker} types", one.typed, two.typed],
            ["eve has", Text(printable(one.wire), "yellow"), Text(sealed, "green")],
            ["eve reads", Text(deciphered, READABLE), "–"],
            [f"{self._other(one.speaker)} reads", one.read, two.read],
        ]

    def _carries(self, frame: Frame) -> bool:
        """Whether a message is in it, in clear or XOR any octet at all."""
        return any(attack.holds_under_any_key(frame.octets, text.encode()) for _, text in LINES)

    def _verdict(
        self,
        broken: list[list[breaking.Broken]],
        readable: list[int],
        second: dict[Kind, int],
        messages: list[_Message],
    ) -> bool:
        arrived = sum(message.read == message.typed for message in messages)
        spoken = [text for found in broken[0] for _, text in found.said()]
        statistics = self.facts["act1"]["statistics"]
        promises = [
            (arrived == len(messages), f"{arrived} of {len(messages)} messages arrived as typed"),
            (
                all(self._counted(statistics[host], host) for host in classroom.HOSTS),
                "in act 1 the programs have counted what was said, message by message",
            ),
            (
                spoken == [f"{text}\n".encode() for _, text in LINES],
                "act 1: eve has the secret, and reads every word",
            ),
            (
                readable[1] == 0 and not broken[1],
                f"act 2: {readable[1]} packets in which a key of one octet finds a word",
            ),
            (second[Kind.CLEAR] == 0, f"act 2: {second[Kind.CLEAR]} packets in clear"),
        ]
        self._screen.say("")
        for kept, sentence in promises:
            (self._screen.good if kept else self._screen.bad)(sentence)
        self._screen.picture("side-by-side", "hushwire lab classroom: both acts")
        return all(kept for kept, _ in promises)

    def _counted(self, statistics: dict[str, Any], host: str) -> bool:
        said: dict[str, list[str]] = {"egress": [], "ingress": []}
        for speaker, text in LINES:
            said["egress" if speaker == host else "ingress"].append(f"{text}\n")
        return all(
            statistics[direction] == {"messages": len(texts), "octets": len("".join(texts))}
            for direction, texts in said.items()
        )
