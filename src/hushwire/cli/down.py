"""`hushwire down`: ends an interface and removes its guard."""

from __future__ import annotations

import argparse

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode
from hushwire.cli.interface import interface_name

_HELP = """\
Ends what hushwire up (or run) has begun, whatever is left of it: the peers are told, the
device and its routes go, and with them the guard. From then on what is for the peers'
networks may leave in clear again.

  sudo hushwire down hw0
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "down", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="the interface, or its .toml file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.config.load import find
    from hushwire.daemon import background

    name = interface_name(arguments.name)
    if background.stop(name, print):
        return ExitCode.FINE
    if not find(arguments.name).exists():
        raise UsageError(
            f'nothing called "{name}" runs here, and no guard of it stands. '
            "`hushwire status` shows what does."
        )
    print(f"{name} is not up, and no guard of it stands: nothing to do.")
    return ExitCode.FINE
