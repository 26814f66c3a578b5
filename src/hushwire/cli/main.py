"""The command `hushwire`: finds the verb, and turns its errors into a sentence and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from hushwire import __version__
from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode
from hushwire.config.errors import ConfigError
from hushwire.system.errors import NotPermittedError, SystemFailureError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

# Every verb is a module here with add_parser(). What is heavy they import when they run.
VERBS = (
    "genkey",
    "pubkey",
    "genpsk",
    "quick",
    "run",
    "up",
    "down",
    "status",
    "explain",
    "rekey",
    "keys",
    "doctor",
    "lab",
    "classroom",
)

_HELP = """\
usage: hushwire VERB ...   hushwire VERB --help says more   hushwire --version

IPsec for people: a private tunnel between hosts, set up with a key pair and ten
lines. It speaks IKEv2 and ESP, so any other IPsec gateway can be the peer.

Two hosts, two minutes. On alice, and on bob with the names turned round:

  hushwire genkey -o alice.key         prints the public key, for bob's file

  hw0.toml:
    [interface]
    address = ["10.0.1.1/24"]          # alice's address in the tunnel
    private_key_file = "alice.key"
    [peer.bob]
    endpoint = "192.0.2.2"             # where bob is, outside of the tunnel
    public_key = "ed25519:MCow..."     # what genkey printed on bob
    networks = ["10.0.1.2/32"]         # what is reached through bob

  sudo hushwire run hw0.toml           and in another terminal: ping 10.0.1.2

Keys     genkey   a private key            pubkey   the public key of one
         genpsk   a strong shared secret, for a peer without key pairs
Tunnels  run      one interface, here in the foreground
         quick    one line instead of a file, the same on both hosts
         up       one in the background         down     ends it
         status   tunnels, suites, bytes, and drops by their cause
         explain  why the last attempt failed, side by side, with the fix
         rekey    new keys now, and no packet lost
         keys     the keys of one's own tunnels, for Wireshark
         doctor   what this host can and cannot do, and what mends it
Learn    lab      alice, eve and bob on this machine, and what eve sees
         classroom  eBPF, Diffie-Hellman with p = 23, and XOR: a lesson

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration, 3 not permitted
here, 4 peer not authenticated, 5 no proposal in common, 6 peer not reached.
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        # argparse's own passes over a reader that went away and a disk that is full.
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. {self.prog} --help shows how.")


class _TopParser(_Parser):
    def format_help(self) -> str:
        return _HELP


def main(argv: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code. `argv` is without the program's name."""
    if sys.stdout is None:
        return _complain("standard output is closed", ExitCode.FAILED)
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            # Here and not at the interpreter's end, where nobody could catch what goes wrong.
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return ExitCode.BROKEN_PIPE
    except (UsageError, ConfigError) as error:
        return _complain(error, ExitCode.WRONG_USAGE)
    except NotPermittedError as error:
        return _complain(error, ExitCode.NOT_PERMITTED)
    except SystemFailureError as error:
        return _complain(error, ExitCode.FAILED)
    except OSError as error:
        _abandon_output()
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", ExitCode.FAILED)


def _run(argv: list[str]) -> int:
    if not argv:
        print(_HELP, end="", file=sys.stderr)
        return ExitCode.WRONG_USAGE
    if argv[0] == "--version":
        print(f"hushwire {__version__}")
        return ExitCode.FINE
    if argv[0] not in VERBS and not argv[0].startswith("-"):
        raise UsageError(f'there is no verb "{argv[0]}". {_nearest_verb(argv[0])}')
    try:
        arguments = _make_parser(argv[0]).parse_args(argv)
    except SystemExit as done:  # after --help
        return int(done.code or 0)
    return int(arguments.run(arguments))


def _make_parser(asked: str) -> argparse.ArgumentParser:
    """Of the verb that is asked for; the others need not be loaded."""
    parser = _TopParser(prog="hushwire", allow_abbrev=False)
    subparsers = parser.add_subparsers(
        metavar="VERB", required=True, parser_class=_Parser, prog="hushwire"
    )
    for verb in VERBS if asked not in VERBS else (asked,):
        import_module(f"hushwire.cli.{verb}").add_parser(subparsers)
    return parser


def _nearest_verb(wrong: str) -> str:
    if close := get_close_matches(wrong, VERBS, 1):
        return f'Did you mean "hushwire {close[0]}"?'
    return f"There are {', '.join(VERBS)}; hushwire --help tells what each does."


def _complain(error: Exception | str, code: ExitCode) -> int:
    print(f"hushwire: {error}", file=sys.stderr)
    return code


def _abandon_output() -> None:
    """What could not be written is not tried again at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
