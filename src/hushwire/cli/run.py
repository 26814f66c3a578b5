"""`hushwire run`: one interface in the foreground."""

from __future__ import annotations

import argparse

from hushwire.cli.exit_code import ExitCode

_HELP = """\
Brings one interface up, says what happens, and takes it down again on Ctrl-C or
SIGTERM: the peers are told, and the device, its routes and its guard are gone.

  sudo hushwire run hw0.toml           keeps trying, waiting longer each time, and says why
  sudo hushwire run hw0.toml --once    one attempt: for scripts and containers
  sudo hushwire run hw0                the same as /etc/hushwire/hw0.toml

From the first moment a guard in the kernel drops packets for the peers' networks
that would leave in clear, also while no tunnel is up. It stays when run is killed, or
ends otherwise than by these signals after its tunnel was up: then another run takes it
over, and hushwire down removes it.
"""
_ONCE = """\
one attempt to each peer: exits with 4 when the peer is not authenticated, 5 without
a proposal in common, 6 when the peer has not answered for about 32 seconds (6 messages);
a tunnel that comes up stays until it ends"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "run", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="FILE", help="a .toml file, or NAME in /etc/hushwire")
    parser.add_argument("--once", action="store_true", help=_ONCE)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line instead of sentences"
    )
    parser.add_argument(
        "--keep-guard",
        action="store_true",
        help="leave the guard standing at the end, until hushwire down; for services",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from hushwire.config.load import find, load
    from hushwire.daemon.journal import Journal
    from hushwire.daemon.service import Service

    config = load(find(arguments.file))
    journal = Journal(as_json=arguments.json)
    service = Service(config, journal, once=arguments.once, keep_guard=arguments.keep_guard)
    failure = asyncio.run(service.run())
    return ExitCode.FINE if failure is None else ExitCode.of(failure.cause)
