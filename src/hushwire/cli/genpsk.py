"""`hushwire genpsk`: a new pre-shared key."""

from __future__ import annotations

import argparse
import base64
import secrets
from pathlib import Path

from hushwire.cli.exit_code import ExitCode
from hushwire.cli.secret_output import print_secret, write_new_secret

_OCTETS = 32
_HELP = """\
Makes a strong shared secret (32 random octets in base64), for a peer that has no key pair.
Both hosts get the same file; carry it over a way that nobody else can read.

  hushwire genpsk -o bob.psk                a new file of mode 0600
  psk_file = "bob.psk"                      this in [peer.bob], instead of public_key
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "genpsk", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="write a new file of mode 0600, never over an old one",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    text = base64.b64encode(secrets.token_bytes(_OCTETS)).decode() + "\n"
    if arguments.output is None:
        print_secret(text)
    else:
        write_new_secret(arguments.output, text)
    return ExitCode.FINE
