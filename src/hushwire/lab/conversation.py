"""What alice and bob say in the lesson, the same in both acts, and where it was on its way."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from hushwire.lab.netcat import Conversation
from hushwire.lab.network import Network
from hushwire.lab.screen import Screen
from hushwire.lab.topology import ALICE, BOB
from hushwire.records import dataclass

LINES = (
    (ALICE.name, "Hello bob. Who listens to us?"),
    (BOB.name, "Anyone. But all is enciphered."),
    (ALICE.name, "Noon. My key is under the mat."),
    (BOB.name, "I shall be there. Tell no one."),
)
"""Who says what; short enough for a line of trace_pipe to hold all of it."""


@dataclass(slots=True)
class Message:
    """One line, and what it was at each place on its way."""

    speaker: str
    typed: str
    read: str
    traced: dict[str, str] = field(default_factory=dict)
    """Of each direction, the line of trace_pipe."""
    wire: bytes = b""
    """As eve has it: in act 1 the UDP payload, in act 2 the whole frame."""

    @property
    def hearer(self) -> str:
        return BOB.name if self.speaker == ALICE.name else ALICE.name

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return {
            "speaker": self.speaker,
            "typed": self.typed,
            "read": self.read,
            "trace_pipe": self.traced,
            "wire": self.wire.hex(),
        }


@dataclass(frozen=True, slots=True)
class Stage:
    """Where both acts are played."""

    network: Network
    screen: Screen
    port: int
    ipv6: bool

    @property
    def names(self) -> dict[str, str]:
        """Whose an address is."""
        return {
            str(resident.underlay6 if self.ipv6 else resident.underlay): resident.name
            for resident in (ALICE, BOB)
        }

    def talk(self) -> list[Message]:
        """All of `LINES`, by two `nc`, on the screen as on theirs. Raises `LabError`."""
        line = Conversation(self.network, ALICE, BOB, self.port, ipv6=self.ipv6)
        try:
            self.screen.say("")
            for host, command in line.commands.items():
                self.screen.command(host, " ".join(command))
            said = []
            for speaker, text in LINES:
                self.screen.output(speaker, text)
                message = Message(speaker, text, line.say(speaker, text))
                self.screen.output(message.hearer, f"  {message.read}")
                said.append(message)
        finally:
            line.hang_up()
        return said
