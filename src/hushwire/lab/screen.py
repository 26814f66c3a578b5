"""How the lab's story looks: colours in a terminal, plain text elsewhere, nothing with --json."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from rich.console import Console
from rich.text import Text

_ROW_OCTETS = 16
_TCP = 6
_UDP = 17
_HEADER = "cyan"
_READABLE = "bold white on red"
_SPI = "yellow"
_SEALED = "green"
_LABELS = {"alice": "bold magenta", "bob": "bold blue", "eve": "bold red"}
_INSIDE = {"tunnel": "inner addresses", "transport": "the protocol"}
_LABEL_WIDTH = max(map(len, _LABELS))


@dataclass(frozen=True, slots=True)
class Part:
    """Octets from `start` to before `end` of a frame, and what eve can say about them."""

    start: int
    end: int
    style: str
    meaning: str


class Screen:
    """Tells; decides nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """What follows."""
        self._console.print()
        self._console.rule(Text(text, "bold"), align="left", style="dim")

    def say(self, text: str) -> None:
        """A sentence of the teller."""
        self._console.print(Text(text))

    def good(self, text: str) -> None:
        """A fact to be glad of."""
        self._console.print(Text.assemble(("✔ ", "bold green"), text))

    def bad(self, text: str) -> None:
        """A fact that must not be."""
        self._console.print(Text.assemble(("✘ ", "bold red"), text))

    def command(self, host: str, command: str) -> None:
        """What one would type on the host."""
        self._console.print(Text.assemble(_label(host), ("$ ", "dim"), (command, "bold")))

    def output(self, host: str, text: str) -> None:
        """What a program says there."""
        for line in text.splitlines():
            self._console.print(Text.assemble(_label(host), line))

    def file(self, host: str, name: str, content: str) -> None:
        """A file of the host, whole."""
        for line in [f"--- {name}", *content.splitlines()]:
            self._console.print(Text.assemble(_label(host), _toml(line)))

    def frame(self, octets: bytes, parts: list[Part]) -> None:
        """A frame as eve sees it, and what each part of it tells her."""
        for start in range(0, len(octets), _ROW_OCTETS):
            self._console.print(_row(octets, start, parts))
        for part in parts:
            where = f"{part.start:04x}-{part.end - 1:04x}"
            self._console.print(Text(f"  {where}  {part.meaning}", part.style))


def clear_parts(frame: bytes, message: bytes) -> list[Part]:
    """Of a frame with a UDP datagram over IPv4 that holds `message`."""
    text = frame.index(message)
    return [
        Part(14, text, _HEADER, "IP and UDP headers: who talks with whom, and on which port"),
        Part(text, text + len(message), _READABLE, "the message, for everybody to read"),
    ]


def sealed_parts(frame: bytes, mode: str) -> list[Part]:
    """Of a frame with ESP over IPv4, UDP or TCP, in tunnel or transport mode."""
    around = 14 + (frame[14] & 0x0F) * 4
    between, length = "IP header", []
    if frame[14 + 9] == _UDP:
        between = "IP and UDP headers"
        around += 8
    esp = around
    if frame[14 + 9] == _TCP:
        between = "IP and TCP headers"
        around += (frame[around + 12] >> 4) * 4
        esp = around + 2
        length = [Part(around, esp, _HEADER, "length of the ESP packet, and of these two octets")]
    source = IPv4Address(frame[14 + 12 : 14 + 16])
    destination = IPv4Address(frame[14 + 16 : 14 + 20])
    return [
        Part(14, around, _HEADER, f"{between}: from {source} to {destination}, nothing more"),
        *length,
        Part(esp, esp + 8, _SPI, "ESP header: SPI and sequence number"),
        Part(esp + 8, len(frame), _SEALED, f"sealed: {_INSIDE[mode]}, ports and the message"),
    ]


def _label(host: str) -> Text:
    return Text(f"{host:>{_LABEL_WIDTH}} │ ", _LABELS[host])


def _toml(line: str) -> Text:
    """A line of a file: its names stand out."""
    text = Text(line)
    text.highlight_regex(r"^\[.*\]$|^---.*$", "bold")
    text.highlight_regex(r"^\w+(?= =)", "cyan")
    return text


def _row(octets: bytes, start: int, parts: list[Part]) -> Text:
    numbers, letters = Text(), Text()
    for position in range(start, start + _ROW_OCTETS):
        if position >= len(octets):
            numbers.append("   ")
            continue
        octet = octets[position]
        style = next((part.style for part in parts if part.start <= position < part.end), "dim")
        numbers.append(f"{octet:02x}", style).append(" ")
        letters.append(chr(octet) if 0x20 <= octet < 0x7F else ".", style)
    return Text.assemble((f"  {start:04x}  ", "dim"), numbers, "  ", letters)
