"""What `run` says: sentences for a person, or one JSON object a line for a script."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from hushwire.explain.certificates import CertificateRefused
from hushwire.explain.outcome import (
    EncapsulationConflict,
    Event,
    Failure,
    ModeConflict,
    NoProposal,
    PeerMisbehaved,
    PeerNotAuthenticated,
    SelectorsUnacceptable,
    UnknownPeer,
)
from hushwire.explain.sentences import tell

_STRANGERS_CAUSE = (
    CertificateRefused,
    EncapsulationConflict,
    ModeConflict,
    NoProposal,
    PeerMisbehaved,
    PeerNotAuthenticated,
    SelectorsUnacceptable,
    UnknownPeer,
)
_WINDOW_SECONDS = 60.0
_MOST_IN_WINDOW = 20


class Journal:
    """Writes at once. What strangers can cause is said once a minute, and counted beyond that.

    Without this limit anybody could fill the disk that a log goes to.
    """

    def __init__(self, out: TextIO | None = None, *, as_json: bool = False) -> None:
        self._out = out or sys.stdout
        self._json = as_json
        self._clock = self._out.isatty() and not as_json
        self._window_began = 0.0
        self._said: set[str] = set()
        self._kept_back = 0
        self.listener: Callable[[str], None] | None = None
        """Gets every sentence too."""

    def event(self, event: Event) -> None:
        """A protocol event."""
        sentence = tell(event)
        if isinstance(event, _STRANGERS_CAUSE) and self._too_often(sentence):
            self._kept_back += 1
            return
        facts: dict[str, object] = {"event": type(event).__name__, **asdict(event)}
        if isinstance(event, Failure):
            facts["cause"] = event.cause.value
        self._write(sentence, facts)

    def say(self, sentence: str, **facts: object) -> None:
        """Anything else worth a sentence; `facts` are what a script reads of it."""
        self._write(sentence, {"event": "Note", **facts})

    def _too_often(self, sentence: str) -> bool:
        now = time.monotonic()
        if now - self._window_began > _WINDOW_SECONDS:
            if self._kept_back:
                self.say(f"{self._kept_back} more refusals in the last minute.")
            self._window_began, self._kept_back = now, 0
            self._said.clear()
        if sentence in self._said or len(self._said) >= _MOST_IN_WINDOW:
            return True
        self._said.add(sentence)
        return False

    def _write(self, sentence: str, facts: dict[str, object]) -> None:
        if self._json:
            line = json.dumps({**facts, "sentence": sentence}, default=str)
        else:
            line = (time.strftime("%H:%M:%S  ") if self._clock else "") + sentence
        print(line, file=self._out, flush=True)
        if self.listener is not None:
            self.listener(sentence)
