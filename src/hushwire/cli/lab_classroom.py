"""`hushwire lab classroom` and `hushwire lab break`: the lesson, and eve's part of it alone."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hushwire.cli.classroom import PORT
from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode
from hushwire.system.errors import NotPermittedError

if TYPE_CHECKING:
    from hushwire.lab.lesson import Lesson
    from hushwire.lab.network import Network
    from hushwire.lab.screen import Screen

_PORTS_OF_IKE = (500, 4500)

CLASSROOM = """\
One conversation by two `nc`, twice past eve. First eBPF programs on both hosts agree on a
secret by Diffie-Hellman with p = 23 and g = 5 and XOR every octet with it, and eve reads all
of it from her recording alone. Then the same two commands, in a tunnel of IKEv2 and ESP.

  sudo hushwire lab classroom
  sudo hushwire lab classroom --pause               Enter goes on; for a class
  sudo hushwire lab classroom --ipv6 --pcap eve.pcap
  sudo hushwire lab classroom --json | jq .eve

Programs in the kernel need root. On two real hosts: `hushwire classroom --interface eth0`.
Exit code 0 if everything arrived and eve could read the first act and nothing of the second.
"""
BREAK = """\
What eve does with a recording of `hushwire classroom`: the public values, the private
exponents behind them, the secret, and what was said. It needs nothing but the file.

  sudo tcpdump -i eth0 -w eve.pcap udp port 12345      anywhere between the two hosts
  hushwire lab break eve.pcap
  hushwire lab break eve.pcap --json | jq .sessions

Exit code 0 if something could be read, else 1.
"""


def add_options(classroom: argparse.ArgumentParser, breaking: argparse.ArgumentParser) -> None:
    """Of both verbs."""
    _add_port(classroom)
    classroom.add_argument("--ipv6", action="store_true", help="the same over IPv6")
    classroom.add_argument("--pause", action="store_true", help="wait for Enter between the steps")
    classroom.add_argument("--pcap", metavar="FILE", type=Path, help="keep what eve has recorded")
    classroom.add_argument(
        "--svg", metavar="DIR", type=Path, help="keep what is shown, as pictures, in this folder"
    )
    classroom.add_argument(
        "--if-possible", action="store_true", help="where it is not, say why, and that is no error"
    )
    classroom.add_argument("--json", action="store_true", help="only the facts, as one JSON object")
    breaking.add_argument("file", metavar="FILE", type=Path, help="a recording, as of tcpdump -w")
    _add_port(breaking)
    breaking.add_argument("--json", action="store_true", help="only the facts, as one JSON object")
    breaking.set_defaults(run=_break)


def check_host() -> None:
    """Raises `NotPermittedError` or `SystemFailureError`, with the cure, where it cannot be."""
    from hushwire.system.core import core, may_not_load

    core()
    if lacks := may_not_load():
        if os.geteuid() != 0:
            lacks = [
                "programs in the kernel (eBPF) need root; `sudo hushwire lab classroom` works."
            ]
        raise NotPermittedError(lacks)


def make(arguments: argparse.Namespace, network: Network, screen: Screen) -> Lesson:
    """The story that the arguments ask for."""
    from hushwire.lab.lesson import Lesson

    if arguments.port in _PORTS_OF_IKE:
        raise UsageError(
            f"UDP port {arguments.port} is IKE's own, which act 2 needs. Any other will do."
        )
    return Lesson(network, screen, arguments.port, ipv6=arguments.ipv6)


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", metavar="N", type=_port, default=PORT, help=f"UDP port; default: {PORT}"
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no UDP port, 1 to 65535')
    return int(text)


def _break(arguments: argparse.Namespace) -> int:
    from hushwire.lab import breaking, reader
    from hushwire.lab.screen import Screen

    try:
        frames = reader.read(arguments.file)
    except ValueError as error:
        raise UsageError(f"{arguments.file} is no recording: {error}") from error
    broken = breaking.work(frames, arguments.port)
    if arguments.json:
        print(json.dumps({"sessions": breaking.facts(broken)}, indent=2))
    elif broken:
        breaking.show(Screen(), broken, {})
    else:
        print(f"hushwire: {arguments.file} has nothing from or to UDP port {arguments.port}.")
    return ExitCode.FINE if any(found.secret is not None for found in broken) else ExitCode.FAILED
