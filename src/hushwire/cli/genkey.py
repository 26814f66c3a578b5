"""`hushwire genkey`: a new private key."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hushwire.cli.exit_code import ExitCode
from hushwire.cli.secret_output import print_secret, write_new_secret

_TYPES = ("ed25519", "ecdsa-p256", "ecdsa-p384")
_HELP = """\
Makes a private key, as PEM (PKCS #8), which openssl reads too. It stays on this host;
its public key goes into the peers' configuration.

  hushwire genkey -o alice.key              a new file of mode 0600; prints the public key
  (umask 077; hushwire genkey > alice.key)  the same, as wg does it
  hushwire genkey | hushwire pubkey         a public key whose private one is thrown away
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "genkey", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--type",
        choices=_TYPES,
        default="ed25519",
        help="ed25519 (the default), or ecdsa for gateways that have no Ed25519",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="write a new file of mode 0600, never over an old one, and print the public key",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.crypto.sign import PrivateKey

    key = PrivateKey.generate(arguments.type)
    if arguments.output is None:
        print_secret(key.to_pem())
        return ExitCode.FINE
    write_new_secret(arguments.output, key.to_pem())
    print(f"{arguments.output} is the private key; this is the public one:", file=sys.stderr)
    print(key.public.to_text())
    return ExitCode.FINE
