"""How the lab's story looks: colours in a terminal, plain text elsewhere, nothing with --json."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hushwire.lab import picture
from hushwire.records import dataclass

_ROW_OCTETS = 16
_TCP = 6
_UDP = 17
_HEADER = "cyan"
READABLE = "bold white on red"
"""The style of what eve can read."""

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

    def __init__(
        self, *, quiet: bool = False, pausing: bool = False, pictures: Path | None = None
    ) -> None:
        """`pausing` waits for Enter at each pause; `pictures` is a folder for SVG pictures."""
        self._pausing = pausing
        self._pictures = pictures
        if pictures is None:
            self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        else:
            nobody = io.StringIO() if quiet else None
            width = picture.WIDTH
            self._console = Console(file=nobody, record=True, highlight=False, width=width)

    def title(self, text: str) -> None:
        """What follows."""
        self._console.print()
        self._console.rule(Text(text, "bold"), align="left", style="dim")

    def say(self, text: str) -> None:
        """A sentence of the teller."""
        self._console.print(Text(text))

    def pause(self) -> None:
        """With `pausing`, wait until somebody presses Enter."""
        if self._pausing:
            self._console.print(Text("\n  ⏎ Enter goes on ", "dim"), end="")
            sys.stdin.readline()

    def picture(self, name: str, title: str) -> None:
        """With `pictures`, keep what was shown since the last picture, as `name`.svg."""
        if self._pictures is not None:
            picture.save(self._console, self._pictures, name, title)

    def table(self, head: Sequence[str | Text], rows: Sequence[Sequence[str | Text]]) -> None:
        """Columns beside each other; the first one names the rows."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for number, name in enumerate(head):
            table.add_column(name, style="dim" if number == 0 else None, no_wrap=number == 0)
        for row in rows:
            table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        self._console.print(table, soft_wrap=False)

    def places(self, rows: Sequence[tuple[str, str, Text]]) -> None:
        """One thing at several places: the host, what shows it there, and how it looks."""
        grid = Table.grid()
        for _ in range(3):
            grid.add_column()
        for host, where, text in rows:
            grid.add_row(_label(host), Text(f"{where:<12}", "dim"), text)
        self._console.print(grid, soft_wrap=False)
        self._console.print()

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
            self._line(host, Text(line))

    def file(self, host: str, name: str, content: str) -> None:
        """A file of the host, whole."""
        for line in [f"--- {name}", *content.splitlines()]:
            self._line(host, _toml(line))

    def _line(self, host: str, text: Text) -> None:
        if self._pictures is None:
            self._console.print(Text.assemble(_label(host), text))
            return
        # A terminal wraps lines, and copies them whole; a picture has to wrap them itself.
        grid = Table.grid()
        grid.add_row(_label(host), text)
        self._console.print(grid)

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
        Part(text, text + len(message), READABLE, "the message, for everybody to read"),
    ]


def sealed_parts(frame: bytes, mode: str) -> list[Part]:
    """Of a frame with ESP over IPv4 or IPv6, UDP or TCP, in tunnel or transport mode."""
    source, destination, protocol, around = _outer_header(frame)
    between, length = "IP header", []
    if protocol == _UDP:
        between = "IP and UDP headers"
        around += 8
    esp = around
    if protocol == _TCP:
        between = "IP and TCP headers"
        around += (frame[around + 12] >> 4) * 4
        esp = around + 2
        length = [Part(around, esp, _HEADER, "length of the ESP packet, and of these two octets")]
    return [
        Part(14, around, _HEADER, f"{between}: from {source} to {destination}, nothing more"),
        *length,
        Part(esp, esp + 8, _SPI, "ESP header: SPI and sequence number"),
        Part(esp + 8, len(frame), _SEALED, f"sealed: {_INSIDE[mode]}, ports and the message"),
    ]


_Address = IPv4Address | IPv6Address


def _outer_header(frame: bytes) -> tuple[_Address, _Address, int, int]:
    """Source, destination, protocol, and where in the frame the IP header ends."""
    if frame[14] >> 4 == 6:
        addresses = IPv6Address(frame[14 + 8 : 14 + 24]), IPv6Address(frame[14 + 24 : 14 + 40])
        return *addresses, frame[14 + 6], 14 + 40
    end = 14 + (frame[14] & 0x0F) * 4
    addresses4 = IPv4Address(frame[14 + 12 : 14 + 16]), IPv4Address(frame[14 + 16 : 14 + 20])
    return *addresses4, frame[14 + 9], end


def exchange_parts(frame: bytes, exchange: bytes) -> list[Part]:
    """Of a frame that holds a packet of the classroom's key exchange, 32 octets."""
    start = frame.index(exchange)
    offered = exchange[17] == 1
    whose = "those of the message that waits" if offered else "those of the offer, turned round"
    return [
        Part(14, start, _HEADER, f"IP and UDP headers: {whose}"),
        Part(start, start + 16, _HEADER, "the name of the protocol"),
        Part(start + 16, start + 18, _HEADER, "version, and offer (1) or answer (2)"),
        Part(start + 18, start + 20, _SPI, "p = 23 and g = 5"),
        Part(start + 20, start + 24, READABLE, f"g^x mod p = {exchange[23]}, for all to read"),
        Part(start + 24, start + 32, _HEADER, "which exchange this is, and which it answers"),
    ]


def message_parts(frame: bytes, payload: bytes) -> list[Part]:
    """Of a frame with a UDP payload that somebody has made unreadable."""
    start = len(frame) - len(payload) if frame.endswith(payload) else frame.index(payload)
    return [
        Part(14, start, _HEADER, "IP and UDP headers: who talks with whom, and on which port"),
        Part(start, start + len(payload), _SPI, "the message, every octet XOR the secret"),
    ]


def printable(octets: bytes) -> str:
    """As tcpdump -A shows them: a dot for what is no printed character of ASCII."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in octets)


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
        letters.append(printable(bytes([octet])), style)
    return Text.assemble((f"  {start:04x}  ", "dim"), numbers, "  ", letters)
