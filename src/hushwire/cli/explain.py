"""`hushwire explain`: how the last attempts went, message by message, and why they ended."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode
from hushwire.cli.interface import interface_name

_HELP = """\
How the last attempts to make a tunnel went: every message with its payloads, the
points where it was decided, what went wrong, and the line to change on each side.

  sudo hushwire explain                every peer in short
  sudo hushwire explain hw0            the last attempt with each peer of hw0
  sudo hushwire explain bob            the last attempt with bob
  sudo hushwire explain hw0 --last 4   more of them (four are kept for each peer)
  sudo hushwire explain hw0 --json     for a script

It works while hushwire runs or tries, and after `run --once` has failed.

  hushwire explain FILE.pcap           a capture of any two peers: IKE and ESP
  hushwire explain FILE.pcap --keys DIR    the same with what is inside; DIR holds
                                       Wireshark's tables, as hushwire keys writes them
"""
_CAPTURES = (".pcap", ".pcapng", ".cap")
_STRANGERS = "strangers"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "explain", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="an interface, its .toml file, a peer; a capture"
    )
    parser.add_argument("--json", action="store_true", help="the same facts as a JSON list")
    parser.add_argument(
        "--last", metavar="N", type=_count, help="so many attempts with each peer; default: 1"
    )
    parser.add_argument(
        "--keys", metavar="DIR", action="append", type=Path, default=[],
        help="for a capture: the tables, or the folder that they are in",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.name is not None and arguments.name.endswith(_CAPTURES):
        from hushwire.cli.explain_capture import explain

        return explain(Path(arguments.name), arguments.keys, as_json=arguments.json)
    if arguments.keys:
        raise UsageError("--keys goes with a capture: hushwire explain FILE.pcap --keys DIR")
    every, peer = _asked(arguments.name)
    attempts = [
        (facts, attempt)
        for facts in every
        for attempt in _last(facts["attempts"], arguments.last or 1)
        if peer is None or attempt["peer"] == peer
    ]
    if arguments.json:
        print(json.dumps([a | {"interface": f["interface"]} for f, a in attempts], indent=2))
        return ExitCode.FINE
    for facts in every:
        if "ended" in facts:
            print(_how_it_ended(facts))
    if arguments.name is None and arguments.last is None:
        print("\n".join(line for facts in every for line in _in_short(facts)))
    else:
        print("\n\n".join(_in_full(attempt) for _, attempt in attempts) or _nothing(every))
    return ExitCode.FINE


def _asked(name: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """What the daemons tell, and the one peer that is meant."""
    from hushwire.daemon import control, telling

    running = control.answering()
    if name is None:
        if not running:
            raise UsageError(
                "no interface is up or trying in this network namespace. "
                "Start one: sudo hushwire run FILE.toml"
            )
        return [control.ask(one, "explain") for one in running], None
    interface = interface_name(name)
    if interface in running:
        return [control.ask(interface, "explain")], None
    if (facts := telling.left_behind(interface)) is not None:
        return [facts], None
    every = [control.ask(one, "explain") for one in running]
    with_peer = [facts for facts in every if interface in facts["peers"]]  # type: ignore[operator]
    if with_peer:
        return with_peer, interface
    return [control.ask(interface, "explain")], None  # which says what is wrong


def _last(attempts: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The newest of each peer, of strangers too; the oldest first."""
    peers: dict[str, list[dict[str, Any]]] = {}
    for attempt in attempts:
        peers.setdefault(attempt["peer"], []).append(attempt)
    return [attempt for of_peer in peers.values() for attempt in of_peer[-count:]]


def _in_short(facts: dict[str, Any]) -> list[str]:
    lines = [f"{facts['interface']}, {facts['file']}:"]
    for peer in facts["peers"]:
        of_peer = [attempt for attempt in facts["attempts"] if attempt["peer"] == peer]
        lines.append(f"  {peer}: {_came_of(of_peer[-1]) if of_peer else 'nothing tried yet'}")
    strangers = [attempt for attempt in facts["attempts"] if not attempt["peer"]]
    for attempt in strangers[-1:]:
        lines.append(
            f"  {len(strangers)} from {_STRANGERS}, the last from {attempt['address']}: "
            f"{_came_of(attempt)}"
        )
    lines.append(f"  hushwire explain {facts['interface']} tells more, message by message.")
    return lines


def _in_full(attempt: dict[str, Any]) -> str:
    who = attempt["peer"] or f"a stranger at {attempt['address']}"
    by = "us" if attempt["role"] == "initiator" else "the peer"
    began = time.strftime("%H:%M:%S", time.localtime(attempt["began"]))
    lines = [f"{who}: begun by {by} at {began}, with {attempt['address']}.", ""]
    lines += [*attempt["ladder"], ""]
    lines += attempt["why"] or ["Nothing has come of it yet."]
    return "\n".join(lines)


def _came_of(attempt: dict[str, Any]) -> str:
    outcome = attempt["outcome"]
    ago = max(0, int(time.time() - attempt["began"]))
    return f"{outcome['sentence'] if outcome else 'under way'} (begun {ago} s ago)"


def _how_it_ended(facts: dict[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(facts["ended_at"]))
    return f"{facts['interface']} does not run: it ended at {at}, {facts['ended']}.\n"


def _nothing(every: list[dict[str, Any]]) -> str:
    names = ", ".join(str(facts["interface"]) for facts in every)
    return f"{names}: nothing has been tried yet, and nobody has knocked."


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"“{text}” is not a number of attempts")
    return int(text)
