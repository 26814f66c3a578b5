"""Act 1 of the lesson: eBPF on both hosts, Diffie-Hellman with p = 23, XOR with one octet."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from hushwire.lab import attack, classroom, reader
from hushwire.lab.attack import Heard
from hushwire.lab.classroom import Classroom
from hushwire.lab.conversation import LINES, Message, Stage
from hushwire.lab.eve import Recorder
from hushwire.lab.network import LabError, Program
from hushwire.lab.overheard import overheard
from hushwire.lab.reader import Frame
from hushwire.lab.screen import exchange_parts, message_parts, printable
from hushwire.lab.topology import EVE, WIRE

BEGIN, END = "act 1: hushwire classroom on both hosts", "act 1 is over"
"""eve's bookmarks around it."""


class FirstAct:
    """Played once. `programs` are those that run, for when it ends badly."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.programs: list[tuple[str, Program]] = []
        self.said: list[Message] = []
        self.facts: dict[str, Any] = {}

    def play(self, recorder: Recorder) -> None:
        """All of it. Raises `LabError`."""
        show, network, port = self._stage.screen, self._stage.network, self._stage.port
        recorder.bookmark(BEGIN)
        show.title("The classroom, act 1: Diffie-Hellman with p = 23, and XOR")
        show.say(
            "One command on each host attaches two programs to the wire's device, in the kernel:\n"
            "one at egress, one at ingress. They agree on a secret and XOR every octet with it.\n"
        )
        for host in classroom.HOSTS:
            # As a network card sends them; veth leaves the checksums to nobody.
            network.run(host, ["ethtool", "-K", WIRE, "tx", "off"])
        with Classroom(network, port) as both:
            self.programs = list(both.programs.items())
            for host in classroom.HOSTS:
                show.command(host, "sudo " + " ".join(classroom.command(port)))
                show.output(host, both.news(host))
            show.pause()
            self._talk(both)
            both.stop()
            self._count(both)
            last_words = {host: both.news(host) for host in classroom.HOSTS}
        self.programs = []
        recorder.bookmark(END)
        show.picture("conversation", "hushwire lab classroom: two nc, unchanged")
        show.pause()
        self._show_wire(reader.since(reader.read(recorder.file), BEGIN))
        show.title("Ctrl-C on both sides: what the programs have done and counted")
        for host, text in last_words.items():
            show.output(host, text)
        show.picture("counted", "hushwire lab classroom: Ctrl-C on both sides")
        show.pause()
        self.facts["messages"] = [message.facts() for message in self.said]

    def _talk(self, both: Classroom) -> None:
        self.said = self._stage.talk()
        for message in self.said:
            for direction, host in (("egress", message.speaker), ("ingress", message.hearer)):
                message.traced[direction] = both.traced(host, direction, message.typed)
        self.facts["key_exchange_in_trace_pipe"] = both.traced_exchange()

    def _count(self, both: Classroom) -> None:
        """Statistics, and whether they are of what was said."""
        statistics = {host: both.counted(host) for host in classroom.HOSTS}
        self.facts["statistics"] = statistics
        self.facts["counted_what_was_said"] = all(
            statistics[host] == {"egress": _count_of(host), "ingress": _count_of(other)}
            for host, other in (classroom.HOSTS, reversed(classroom.HOSTS))
        )

    def _show_wire(self, frames: list[Frame]) -> None:
        show = self._stage.screen
        exchange, messages = self._overheard(frames)
        for message, heard in zip(self.said, messages, strict=True):
            message.wire = heard.payload
        self._show_places()
        show.picture("places", "hushwire lab classroom: one message in five places")
        show.pause()
        self._show_exchange(frames, exchange, messages[0])
        show.picture("exchange", "hushwire lab classroom: the key exchange on the wire")
        show.pause()
        self.facts["key_exchange"] = [heard.payload.hex() for heard in exchange]

    def _overheard(self, frames: list[Frame]) -> tuple[list[Heard], list[Heard]]:
        """Packets of the key exchange, and those of the conversation. Raises `LabError`."""
        exchange: list[Heard] = []
        messages: list[Heard] = []
        for heard in overheard(frames, self._stage.port):
            known = attack.public_value(heard.payload) is not None
            (exchange if known else messages).append(heard)
        if not exchange or len(messages) != len(LINES):
            raise LabError(
                f"eve has {len(exchange)} packets of the key exchange and {len(messages)} "
                f"messages; {len(LINES)} messages were said"
            )
        return exchange, messages

    def _show_places(self) -> None:
        show = self._stage.screen
        show.title("The same messages in five places")
        for message in self.said:
            show.places(
                [
                    (message.speaker, "types", Text(message.typed)),
                    (message.speaker, "trace_pipe", Text(message.traced["egress"])),
                    (EVE, "tcpdump", Text(printable(message.wire), "yellow")),
                    (message.hearer, "trace_pipe", Text(message.traced["ingress"])),
                    (message.hearer, "reads", Text(message.read)),
                ]
            )

    def _show_exchange(self, frames: list[Frame], exchange: list[Heard], message: Heard) -> None:
        show = self._stage.screen
        traced = self.facts["key_exchange_in_trace_pipe"]
        octets = {frame.number: frame.octets for frame in frames}
        show.title("The key exchange, in packets of its own")
        show.places([(line.split()[1], "trace_pipe", Text(line)) for line in traced])
        show.say("What eve has of it:")
        for heard in exchange:
            source, destination = (
                self._stage.names[heard.source],
                self._stage.names[heard.destination],
            )
            show.say(f"\n{source} to {destination}:")
            show.frame(octets[heard.number], exchange_parts(octets[heard.number], heard.payload))
        show.say(f"\nand the first message, “{LINES[0][1]}”:")
        show.frame(octets[message.number], message_parts(octets[message.number], message.payload))


def _count_of(speaker: str) -> dict[str, int]:
    said = [f"{text}\n" for who, text in LINES if who == speaker]
    return {"messages": len(said), "octets": len("".join(said))}
