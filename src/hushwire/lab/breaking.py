"""eve at work on a recording: every way of hers, how long it took, and what was said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from hushwire.lab import attack
from hushwire.lab.attack import Heard, Session
from hushwire.lab.overheard import overheard
from hushwire.lab.reader import Frame
from hushwire.lab.screen import READABLE, Screen, printable
from hushwire.lab.topology import EVE
from hushwire.records import dataclass

_SHOWN_OCTETS = 60


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the secret: its name, what it found, and the seconds that it took."""

    name: str
    secret: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A session that eve has been at."""

    session: Session
    ways: list[Way]

    @property
    def secret(self) -> int | None:
        """The first that a way has found; the surest way comes first."""
        return next((way.secret for way in self.ways if way.secret is not None), None)

    def said(self) -> list[tuple[Heard, bytes]]:
        """Each message with its plaintext; none without a secret."""
        if self.secret is None:
            return []
        return [(heard, attack.decipher(heard.payload, self.secret)) for heard in self._messages]

    @property
    def _messages(self) -> list[Heard]:
        return self.session.messages


def work(frames: Sequence[Frame], port: int) -> list[Broken]:
    """On all that went from or to the UDP port."""
    return [_broken(session) for session in attack.sessions(overheard(frames, port))]


def facts(broken: Sequence[Broken]) -> list[dict[str, Any]]:
    """For --json: one object for each session."""
    return [
        {
            "public_values": found.session.publics,
            "private_exponents": {
                address: attack.discrete_logarithms(value)
                for address, value in found.session.publics.items()
            },
            "secret": found.secret,
            "ways": {
                way.name: {"secret": way.secret, "milliseconds": round(way.seconds * 1000, 3)}
                for way in found.ways
            },
            "said": [
                {
                    "frame": heard.number,
                    "source": heard.source,
                    "destination": heard.destination,
                    "sealed": heard.payload.hex(),
                    "text": text.decode(errors="replace"),
                }
                for heard, text in found.said()
            ],
        }
        for found in broken
    ]


def show(screen: Screen, broken: Sequence[Broken], names: dict[str, str]) -> None:
    """Tell what eve has found; `names` are of addresses that she knows."""
    for found in broken:
        _show_ways(screen, found, names)
        if not found.said():
            continue
        screen.say("\nWhat she reads:")
        screen.table(
            ["from", "on the wire", "said"],
            [
                [
                    names.get(heard.source, heard.source),
                    _short(heard.payload),
                    Text(_short(text.removesuffix(b"\n")), READABLE),
                ]
                for heard, text in found.said()
            ],
        )


def _short(octets: bytes) -> str:
    shown = printable(octets[:_SHOWN_OCTETS])
    return shown if len(octets) <= _SHOWN_OCTETS else f"{shown}…"


def _broken(session: Session) -> Broken:
    payloads = [heard.payload for heard in session.messages]
    ways: list[tuple[str, Callable[[], int | None]]] = [
        ("brute_force", lambda: session.secret),
        ("known_plaintext", lambda: attack.secret_by_ending(payloads)),
        ("letter_statistics", lambda: attack.secret_by_letters(payloads)),
    ]
    return Broken(session, [_timed(name, way) for name, way in ways])


def _timed(name: str, way: Callable[[], int | None]) -> Way:
    begun = time.perf_counter()
    secret = way()
    return Way(name, secret, time.perf_counter() - begun)


_HOW = {
    "brute_force": "she tries 22 exponents",
    "known_plaintext": "a typed line ends with the octet 0a",
    "letter_statistics": "of 256 keys, one makes English",
}


def _show_ways(screen: Screen, found: Broken, names: dict[str, str]) -> None:
    for address, value in found.session.publics.items():
        who = names.get(address, address)
        exponents = attack.discrete_logarithms(value)
        found_x = f"for x = {exponents[0]}" if exponents else "for no x"
        screen.output(EVE, f"{who} has sent {value}, and 5^x mod 23 = {value} {found_x}")
    for way in found.ways:
        secret = "no secret" if way.secret is None else f"the secret is {way.secret}"
        name = way.name.replace("_", " ")
        took = f"{way.seconds * 1000:.3f} ms"
        screen.output(EVE, f"{name:<17} {_HOW[way.name]:<35} {secret:<17} {took:>9}")
