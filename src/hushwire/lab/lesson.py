"""`hushwire lab classroom`: one conversation twice past eve, under an octet of XOR and under ESP."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from hushwire.lab import attack, breaking, reader, screen, tunnel
from hushwire.lab.eve import Recorder
from hushwire.lab.netcat import Conversation
from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.overheard import overheard
from hushwire.lab.reader import Frame, Kind
from hushwire.lab.screen import READABLE, Screen, printable
from hushwire.lab.topology import ALICE, BOB, EVE, WIRE
from hushwire.lab.world import need


LINES = (
    (ALICE.name, "Hello bob. Who listens to us?"),
    (BOB.name, "Anyone. But all is enciphered."),
    (ALICE.name, "Noon. The key is under the mat."),
    (BOB.name, "I shall be there. Tell no one."),
)
"""Who says what, in both acts; short enough for a line of trace_pipe to hold all of it."""

READY = "Ctrl-C ends it"
"""`hushwire classroom` says this when its programs are attached."""

_MARK_FIRST = "act 1: hushwire classroom on both hosts"
_MARK_SECOND = "act 2: hushwire run on both hosts"
_MARK_SEALED = "the same conversation through the tunnel"
_MARK_DONE = "all has been said"

_PATIENCE_SECONDS = 30.0
_SHOWN_OCTETS = 12


class Lesson:
    """Told once. `facts` grows as it goes, for --json."""

    def __init__(self, network: Network, screen: Screen, port: int, *, ipv6: bool) -> None:
        self._network = network
        self._screen = screen
        self._port = port
        self._ipv6 = ipv6
        self._programs: list[tuple[str, str, Program]] = []
        self._names = {
            str(resident.underlay6 if ipv6 else resident.underlay): resident.name
            for resident in (ALICE, BOB)
        }
        self.facts: dict[str, Any] = {
            "port": port,
            "family": "ipv6" if ipv6 else "ipv4",
            "said": [{"speaker": speaker, "text": line} for speaker, line in LINES],
        }

    def tell(self, pcap: Path | None) -> bool:
        """All of it; returns whether every promise was kept.

        Raises `LabError`, `SystemFailureError` if a program is missing.
        """
        need("ethtool", "ethtool")
        recorder = Recorder(self._network)
        try:
            recorder.bookmark(_MARK_FIRST)
            heard = self._first_act(recorder)
            self._eve_at_work(recorder)
            self._second_act(recorder)
            recorder.bookmark(_MARK_DONE)
            self.facts["frames_missed_by_eve"] = recorder.stop()
        finally:
            if pcap is not None:
                shutil.copyfile(recorder.file, pcap)
                self.facts["pcap"] = str(pcap)
        return self._compare(recorder.file)

    def show_daemons(self) -> None:
        """What the programs on both sides have said, when the story ends badly."""
        for host, command, program in self._programs:
            self._screen.command(host, command)
            self._screen.output(host, program.output)
            self.facts.setdefault(f"{host}_said", []).extend(program.lines)
