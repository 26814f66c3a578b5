"""`hushwire up`: one interface in the background."""

from __future__ import annotations

import argparse
import sys

from hushwire.cli.exit_code import ExitCode

_HELP = """\
Brings one interface up in the background and waits until it is, telling what happens.

  sudo hushwire up hw0                 /etc/hushwire/hw0.toml
  sudo hushwire up ./hw0.toml          any file
  sudo hushwire down hw0               ends it

Where systemd runs and has hushwire@.service, that is what runs it, else a process of
its own. A tunnel that is not up in time is not given up: it goes on trying, and the exit
code says why it is not up yet (4 not authenticated, 5 no proposal, 6 not reached).

From now on, until hushwire down, what is for the peers' networks is sealed or dropped,
whatever happens to the process.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "up", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="NAME", help="NAME in /etc/hushwire, or a .toml file")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=35.0,
        help="how long to wait; default: 35, a little more than a silent peer gets",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.config.load import find, load
    from hushwire.daemon import background, control
    from hushwire.system.errors import NotPermittedError
    from hushwire.system.privileges import missing

    config = load(find(arguments.file))
    if lacks := missing():
        raise NotPermittedError(lacks)
    name = config.interface.name
    launched = None
    if control.holder(name) is None:
        launched = background.launch(config)
        print(f"{name}: {launched.how}.", flush=True)
    else:
        print(f"{name} runs already.", flush=True)
    outcome = background.wait_until_up(name, launched, arguments.timeout, _tell)
    if outcome.up:
        print(f"{name} is up. `hushwire status {name}` shows it, `hushwire down {name}` ends it.")
        return ExitCode.FINE
    if outcome.ended is not None:
        print(
            f"hushwire: {name} did not start. `hushwire down {name}` removes its guard, "
            "if it stands.",
            file=sys.stderr,
        )
        return outcome.ended
    print(
        f"hushwire: {name} is not up. It goes on trying in the background, and nothing leaves in "
        f"clear: `hushwire status {name}` shows how it is, `hushwire down {name}` ends it.",
        file=sys.stderr,
    )
    return ExitCode.FAILED if outcome.cause is None else ExitCode.of(outcome.cause)


def _tell(sentence: str) -> None:
    print(sentence, flush=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"“{text}” is not a number of seconds")
    return seconds
