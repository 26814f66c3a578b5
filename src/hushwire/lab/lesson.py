"""`hushwire lab classroom`: one conversation twice past eve, by an octet of XOR and by ESP."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.text import Text

from hushwire.lab import attack, breaking, first_act, reader, second_act
from hushwire.lab.conversation import LINES, Message, Stage
from hushwire.lab.eve import Recorder
from hushwire.lab.first_act import FirstAct
from hushwire.lab.network import Network
from hushwire.lab.reader import Frame, Kind
from hushwire.lab.screen import READABLE, Screen, printable
from hushwire.lab.second_act import SecondAct
from hushwire.lab.world import need

_HEX_OCTETS = 8


class Lesson:
    """Told once. `facts` grows as it goes, for --json."""

    def __init__(self, network: Network, screen: Screen, port: int, *, ipv6: bool) -> None:
        self._screen = screen
        self._stage = stage = Stage(network, screen, port, ipv6)
        self._first, self._second = FirstAct(stage), SecondAct(stage)
        self.facts: dict[str, Any] = {
            "port": port,
            "family": "ipv6" if ipv6 else "ipv4",
            "act1": self._first.facts,
            "act2": self._second.facts,
        }

    def tell(self, pcap: Path | None) -> bool:
        """All of it; returns whether every promise was kept.

        Raises `LabError`, `SystemFailureError` if something is missing.
        """
        need("ethtool", "ethtool")
        recorder = Recorder(self._stage.network)
        try:
            self._first.play(recorder)
            self._eve_at_work(recorder)
            self._second.play(recorder)
            self.facts["frames_missed_by_eve"] = recorder.stop()
        finally:
            if pcap is not None:
                shutil.copyfile(recorder.file, pcap)
                self.facts["pcap"] = str(pcap)
        return self._compare(reader.read(recorder.file))

    def show_daemons(self) -> None:
        """What the programs on both sides have said, when the story ends badly."""
        for host, program in self._first.programs + self._second.programs:
            self._screen.command(host, program.title)
            self._screen.output(host, program.output)
            self.facts.setdefault(f"{host}_said", []).extend(program.lines)

    def _eve_at_work(self, recorder: Recorder) -> None:
        show = self._screen
        show.title("eve, with nothing but her recording")
        frames = reader.since(reader.read(recorder.file), first_act.BEGIN)
        broken = breaking.work(frames, self._stage.port)
        breaking.show(show, broken, self._stage.names)
        self.facts["eve"] = breaking.facts(broken)
        show.picture("attack", "hushwire lab break eve.pcap")
        show.pause()

    def _compare(self, frames: list[Frame]) -> bool:
        """Both acts side by side, and the promises."""
        show = self._screen
        acts = [
            reader.until(reader.since(frames, act.BEGIN), act.END)
            for act in (first_act, second_act)
        ]
        broken = [breaking.work(act, self._stage.port) for act in acts]
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
        suite = self._second.facts["suite"]
        show.table(
            ["", "Act 1", "Act 2"],
            [
                ["commands", "the two nc", "the same two nc"],
                ["protected by", "XOR with one octet", suite["esp"]],
                ["key exchange", "g = 5, p = 23, nobody proved", suite["ike"]],
                *(
                    row
                    for one, two in zip(self._first.said, self._second.said, strict=True)
                    for row in self._rows(one, two)
                ),
            ],
        )
        return self._verdict(broken, readable, counts[1])

    def _rows(self, one: Message, two: Message) -> list[list[str | Text]]:
        """A message in both acts: typed, as eve has it, as she reads it, and as it arrives."""
        texts = {
            said["sealed"]: said["text"] for found in self.facts["eve"] for said in found["said"]
        }
        deciphered = texts.get(one.wire.hex(), "–").rstrip("\n")
        sealed = "… " + two.wire[-_HEX_OCTETS:].hex(" ")
        return [
            ["", "", ""],
            [f"{one.speaker} types", one.typed, two.typed],
            ["eve has", Text(printable(one.wire), "yellow"), Text(sealed, "green")],
            ["eve reads", Text(deciphered, READABLE), "–"],
            [f"{one.hearer} reads", one.read, two.read],
        ]

    def _carries(self, frame: Frame) -> bool:
        """Whether a message is in it, in clear or XOR any octet at all."""
        return any(attack.holds_under_any_key(frame.octets, text.encode()) for _, text in LINES)

    def _verdict(
        self, broken: list[list[breaking.Broken]], readable: list[int], second: dict[Kind, int]
    ) -> bool:
        messages = self._first.said + self._second.said
        arrived = sum(message.read == message.typed for message in messages)
        spoken = [text for found in broken[0] for _, text in found.said()]
        promises = [
            (arrived == len(messages), f"{arrived} of {len(messages)} messages arrived as typed"),
            (
                self._first.facts["counted_what_was_said"],
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
