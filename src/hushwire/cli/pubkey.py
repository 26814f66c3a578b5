"""`hushwire pubkey`: the public key that belongs to a private one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode

_MOST_OCTETS = 65536
_HELP = """\
Reads a private key in PEM and prints its public key, one line as the peers' configuration
wants it. The public key is no secret.

  hushwire pubkey alice.key
  hushwire pubkey < alice.key

  public_key = "ed25519:MCow..."            this in [peer.alice] on the other hosts
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "pubkey", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="default: standard input"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.config.errors import BadValueError
    from hushwire.config.keys import private_key

    if arguments.file is None:
        if sys.stdin is None:
            raise UsageError("standard input is closed; name a FILE")
        if sys.stdin.isatty():
            print("Paste a private key in PEM, then press Ctrl-D.", file=sys.stderr)
        where, octets = "standard input", sys.stdin.buffer.read(_MOST_OCTETS)
    else:
        with arguments.file.open("rb") as file:
            where, octets = str(arguments.file), file.read(_MOST_OCTETS)
    try:
        key = private_key(octets.decode("ascii", errors="replace"))
    except BadValueError as error:
        raise UsageError(f"{where}: {error}") from error
    print(key.public.to_text())
    return ExitCode.FINE
