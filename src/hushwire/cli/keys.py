"""`hushwire keys`: the keys of one's own tunnels, for Wireshark."""

from __future__ import annotations

import argparse
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode
from hushwire.cli.interface import interface_name

_HELP = """\
Writes the keys of the tunnels that are up now into two files that Wireshark reads,
ikev2_decryption_table and esp_sa: for a capture of your own traffic that you want to
understand. Only root, or whoever runs the tunnel, can have them.

Whoever has these files reads everything that was sent under these keys. Keep them no
longer than you need them; hushwire rekey NAME, also with --ike, makes new ones.

  sudo hushwire keys hw0 --wireshark DIR
  XDG_CONFIG_HOME=… tshark -r eve.pcap      with DIR as …/wireshark; or copy both files
                                            into Wireshark's own profile folder
"""
_PRIVATE = 0o700
_OWNER_ONLY = 0o600
_LARGEST = 1 << 22


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "keys", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="the interface, or its .toml file")
    parser.add_argument(
        "--wireshark", metavar="DIR", required=True, type=Path,
        help="where to write them; lines that are there stay",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.daemon import control

    name = interface_name(arguments.name)
    facts: dict[str, Any] = control.ask(name, "keys")
    tables: dict[str, list[str]] = facts["tables"]
    if not any(tables.values()) and not facts["unreadable"]:
        print(f"{name}: no tunnel is up, so there are no keys.")
        return ExitCode.FAILED
    folder: Path = arguments.wireshark
    _make_private(folder)
    for table, lines in tables.items():
        _write(folder / table, lines)
        print(f"{folder / table}: {len(lines)} lines")
    for sentence in facts["unreadable"]:
        print(sentence)
    print(
        f"Warning: whoever reads {folder} reads everything sent under these keys. Remove it when "
        f"you are done; `hushwire rekey {name}` and `hushwire rekey {name} --ike` make new keys."
    )
    print("In Wireshark, Preferences, Protocols, ESP: attempt to detect/decode encrypted payloads.")
    return ExitCode.FINE


def _make_private(folder: Path) -> None:
    """Raises `UsageError` when others could look into it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=_PRIVATE)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (0, os.geteuid()):
        raise UsageError(f"{folder} is not a folder of this user's. Name another one.")
    if info.st_mode & 0o077:
        raise UsageError(
            f"others may look into {folder} (mode {stat.S_IMODE(info.st_mode):04o}). Name a new "
            f"folder, or: chmod 700 {folder}"
        )


def _write(path: Path, lines: list[str]) -> None:
    """What is there stays; a new file takes its place, so that no link leads the keys elsewhere."""
    before: list[str] = []
    if path.is_file() and not path.is_symlink():
        before = path.read_text(encoding="ascii", errors="replace")[:_LARGEST].splitlines()
    text = "".join(f"{line}\n" for line in dict.fromkeys([*before, *lines]))
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(new, flags, _OWNER_ONLY), "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), _OWNER_ONLY)
        file.write(text)
    new.replace(path)
