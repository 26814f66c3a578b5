"""`hushwire run`: one interface in the foreground."""

from __future__ import annotations

import argparse

from hushwire.cli.exit_code import ExitCode

_HELP = """\
Brings one interface up, says what happens, and takes it down again on Ctrl-C or
SIGTERM: the peers are told, and the device and its routes are gone.

  sudo hushwire run hw0.toml           keeps trying, waiting longer each time, and says why
  sudo hushwire run hw0.toml --once    one attempt: for scripts and containers
  sudo hushwire run hw0                the same as /etc/hushwire/hw0.toml

While no tunnel is up, packets for the peers' networks are dropped, never sent in
clear. They can be sent again in clear once run has ended.
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from hushwire.config.load import find, load
    from hushwire.daemon.journal import Journal
    from hushwire.daemon.service import Service

    config = load(find(arguments.file))
    service = Service(config, Journal(as_json=arguments.json), once=arguments.once)
    failure = asyncio.run(service.run())
    return ExitCode.FINE if failure is None else ExitCode.of(failure.cause)
