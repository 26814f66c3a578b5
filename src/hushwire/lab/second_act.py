"""Act 2 of the lesson: the same conversation in a tunnel of IKEv2 and ESP."""

from __future__ import annotations

import json
from typing import Any

from hushwire.lab import reader, tunnel
from hushwire.lab.conversation import Message, Stage
from hushwire.lab.eve import Recorder
from hushwire.lab.network import LabError, Program
from hushwire.lab.reader import Frame, Kind
from hushwire.lab.screen import sealed_parts
from hushwire.lab.topology import ALICE

BEGIN, END = "act 2: hushwire run on both hosts", "act 2 is over"
"""eve's bookmarks around it."""

_UP = "the tunnel is up"


class SecondAct:
    """Played once. `programs` are those that run, for when it ends badly."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.programs: list[tuple[str, Program]] = []
        self.said: list[Message] = []
        self.facts: dict[str, Any] = {}

    def play(self, recorder: Recorder) -> None:
        """All of it; the tunnel stays. Raises `LabError`."""
        show = self._stage.screen
        recorder.bookmark(BEGIN)
        show.title("The classroom, act 2: the same two commands, in a tunnel of IKEv2 and ESP")
        self._tunnel()
        show.picture("tunnel", "hushwire lab classroom: act 2")
        show.pause()
        recorder.bookmark(_UP)
        self.said = self._stage.talk()
        recorder.bookmark(END)
        frames = reader.since(reader.read(recorder.file), _UP)
        packets = [frame for frame in frames if frame.kind is Kind.ESP]
        for message in self.said:
            packet = self._packet_of(message, packets)
            packets.remove(packet)
            message.wire = packet.octets
        first = self.said[0]
        show.say(f"\nWhat eve sees of “{first.typed}”:")
        show.frame(first.wire, sealed_parts(first.wire, "tunnel"))
        show.picture("sealed", "hushwire lab classroom: eve has ESP")
        show.pause()
        self.facts["messages"] = [message.facts() for message in self.said]
        self._suites()

    def _tunnel(self) -> None:
        """Between the addresses of the wire, so that both `nc` stay as they are."""
        show, network = self._stage.screen, self._stage.network
        for end in tunnel.configure_same_addresses(network, ipv6=self._stage.ipv6):
            host = end.resident.name
            show.command(host, f"hushwire genkey -o {host}.key")
            show.file(host, end.file.name, end.text)
            show.command(host, f"sudo hushwire run {end.file.name}")
            self.programs.append((host, tunnel.run(network, end)))
        for _, daemon in self.programs:
            daemon.wait_for_line(tunnel.UP)
        for host, daemon in self.programs:
            show.output(host, daemon.output)

    def _packet_of(self, message: Message, packets: list[Frame]) -> Frame:
        """The first ESP packet from its speaker. Raises `LabError`."""
        for packet in packets:
            if self._stage.names.get(packet.source) == message.speaker:
                return packet
        raise LabError(f"“{message.typed}” arrived, but eve saw no ESP packet of it")

    def _suites(self) -> None:
        argv = ["hushwire", "status", "--json"]
        status = json.loads(self._stage.network.run(ALICE.name, argv).stdout)
        (peer,) = status[0]["peers"]
        self.facts["suite"] = {"ike": peer["ike_suite"], "esp": peer["esp_suite"]}
        self.facts["status"] = status
