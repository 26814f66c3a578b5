"""`hushwire lab`: alice, eve and bob on this machine."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from hushwire.cli import lab_classroom
from hushwire.cli.exit_code import ExitCode
from hushwire.system.errors import NotPermittedError, SystemFailureError

if TYPE_CHECKING:
    from hushwire.lab.lesson import Lesson
    from hushwire.lab.screen import Screen
    from hushwire.lab.story import Story
    from hushwire.lab.topology import Topology

_HELP = """\
Three hosts on this machine: alice and bob, and eve between them, who records every
frame. They live in network namespaces of their own; this host's network stays as it is,
and all of it vanishes at the end. No root is needed where the kernel lets users make
namespaces and open /dev/net/tun.

  hushwire lab demo                      the story, in ten seconds
  hushwire lab demo --pcap eve.pcap      and what eve has, for Wireshark
  hushwire lab demo --encap udp          the same with ESP in UDP, as behind a NAT
  hushwire lab demo --mode transport     packets keep their own IP header
  hushwire lab demo --encap tcp          the same inside TCP, where UDP does not get through

  sudo hushwire lab classroom            how not to do it: eBPF, p = 23, XOR, and eve reads
  hushwire lab break eve.pcap            what she does with a recording

  hushwire lab up                        a lab that stays, the tunnel up
  hushwire lab shell alice               a shell on alice (or bob, or eve)
  hushwire lab shell eve -- tcpdump -ni br0
  hushwire lab down
"""
_DEMO = """\
alice sends bob a message past eve, in clear. Then both make a key pair, write a file of
ten lines and say `hushwire run`; the same message, ten pings and 10 MB go through the
tunnel, and eve's packets are counted by an independent reader.

  hushwire lab demo
  hushwire lab demo --encap udp --pcap eve.pcap
  hushwire lab demo --json | jq .frames

Exit code 0 if eve could read nothing and everything arrived, else 1.
"""
_SHELL = """\
A shell on one of the lab's hosts, or one command.

  hushwire lab shell alice
  hushwire lab shell alice -- ping -c 3 10.0.1.2
  hushwire lab shell bob -- hushwire status
  hushwire lab shell eve -- tcpdump -ni br0 -X
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(subparsers, "lab", _HELP)
    verbs = parser.add_subparsers(metavar="demo|classroom|break|up|shell|down", required=True)

    demo = _verb(verbs, "demo", _DEMO)
    _add_variant(demo)
    demo.add_argument("--pcap", metavar="FILE", type=Path, help="keep what eve has recorded")
    demo.add_argument("--json", action="store_true", help="only the facts, as one JSON object")
    demo.set_defaults(run=_demo)

    lesson = _verb(verbs, "classroom", lab_classroom.CLASSROOM)
    lab_classroom.add_options(lesson, _verb(verbs, "break", lab_classroom.BREAK))
    lesson.set_defaults(run=_classroom)

    up = _verb(verbs, "up", "Make a lab that stays, with the tunnel between alice and bob up.")
    _add_variant(up)
    up.set_defaults(run=_up)

    shell = _verb(verbs, "shell", _SHELL)
    shell.add_argument("host", choices=("alice", "eve", "bob"))
    shell.add_argument(
        "command", metavar="-- CMD", nargs=argparse.REMAINDER, help="default: a shell"
    )
    shell.set_defaults(run=_shell)

    down = _verb(verbs, "down", "End the lab, and everything in it.")
    down.set_defaults(run=_down)


def _verb(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_variant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=("tunnel", "transport"),
        default="tunnel",
        help="a packet inside another, or a packet under its own IP header; default: tunnel",
    )
    parser.add_argument(
        "--encap",
        choices=("auto", "esp", "udp", "tcp"),
        default="auto",
        help="what carries ESP: IP protocol 50, UDP port 4500 or TCP; default: as they agree",
    )


def _demo(arguments: argparse.Namespace) -> int:
    from hushwire.lab.screen import Screen
    from hushwire.lab.story import Story

    return _tell(
        "demo",
        arguments,
        Screen(quiet=arguments.json),
        lambda network, screen: Story(network, screen, arguments.encap, arguments.mode),
    )


def _classroom(arguments: argparse.Namespace) -> int:
    from hushwire.lab.screen import Screen

    try:
        lab_classroom.check_host()
    except (NotPermittedError, SystemFailureError) as error:
        if not arguments.if_possible:
            raise
        print(f"\nThe second act, `make classroom`, is left out here: {error}")
        return ExitCode.FINE
    if arguments.svg is not None:
        arguments.svg.mkdir(parents=True, exist_ok=True)
    screen = Screen(quiet=arguments.json, pausing=arguments.pause, pictures=arguments.svg)
    return _tell("classroom", arguments, screen, partial(lab_classroom.make, arguments))


def _tell(
    verb: str,
    arguments: argparse.Namespace,
    screen: Screen,
    make: Callable[[Topology, Screen], Story | Lesson],
) -> int:
    signal.signal(signal.SIGTERM, _end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the story's signs, in a terminal without UTF-8
    if arguments.pcap is not None:
        arguments.pcap.open("wb").close()
    try:
        facts = _told(verb, arguments.pcap, screen, make)
    except (KeyboardInterrupt, SystemExit):
        screen.say("\nStopped. Nothing is left behind.")
        raise
    if arguments.json:
        print(json.dumps(facts, indent=2))
    return ExitCode.FINE if facts["fine"] else ExitCode.FAILED


def _told(
    verb: str, pcap: Path | None, screen: Screen, make: Callable[[Topology, Screen], Story | Lesson]
) -> dict[str, Any]:
    from hushwire.lab.network import LabError
    from hushwire.lab.topology import Topology
    from hushwire.lab.world import World

    # eBPF knows no root of a user namespace, so where that is asked for there is none.
    user = False if verb == "classroom" else None
    with _knowing_the_cure(verb), Topology(World.begin(user=user)) as network:
        story = make(network, screen)
        try:
            story.facts["fine"] = story.tell(pcap)
        except LabError as error:
            story.facts["fine"] = False
            story.facts["error"] = str(error)
            screen.title("This went wrong")
            screen.bad(str(error))
            story.show_daemons()
    return story.facts


def _up(arguments: argparse.Namespace) -> int:
    from hushwire.lab import keep

    signal.signal(signal.SIGTERM, _end)
    with _knowing_the_cure("up"):
        return _print(lambda: keep.up(arguments.encap, arguments.mode))


def _shell(arguments: argparse.Namespace) -> int:
    from hushwire.lab import keep

    command = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    return _print(lambda: keep.shell(arguments.host, command))


def _down(_: argparse.Namespace) -> int:
    from hushwire.lab import keep

    return _print(keep.down)


def _print(act: Callable[[], str]) -> int:
    from hushwire.lab.network import LabError

    try:
        print(act())
    except LabError as error:
        print(f"hushwire: {error}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.FINE


@contextmanager
def _knowing_the_cure(verb: str) -> Iterator[None]:
    try:
        yield
    except NotPermittedError as error:
        if os.geteuid() == 0:
            raise
        cure = f"`sudo hushwire lab {verb}` works"
        raise NotPermittedError([f"{what}; {cure}." for what in error.missing]) from error


def _end(number: int, _: FrameType | None) -> NoReturn:
    """SIGTERM ends the lab as orderly as Ctrl-C."""
    sys.exit(128 + number)
