"""`hushwire rekey`: new keys now."""

from __future__ import annotations

import argparse
import time
from typing import Any

from hushwire.cli.exit_code import ExitCode
from hushwire.cli.interface import interface_name

_HELP = """\
New keys now, for every tunnel of the interface that is up. No packet is lost: the new
keys are in place on both sides before the old ones go. By itself it happens after
rekey_after and rekey_bytes, for the IKE SA after rekey_ike_after.

  sudo hushwire rekey hw0              the keys of the packets (CHILD_SA)
  sudo hushwire rekey hw0 --ike        the keys of the key exchange (IKE SA)
"""
_SECONDS = 35.0  # as long as a request is repeated
_LOOK_SECONDS = 0.05


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "rekey", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="the interface, or its .toml file")
    parser.add_argument("--ike", action="store_true", help="the IKE SA, not the CHILD_SAs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.daemon import control

    name = interface_name(arguments.name)
    key = "ike_spi" if arguments.ike else "spi_in"
    before = _spis(control.ask(name, "status"), key)
    if not before:
        print(f"{name}: no tunnel is up, so there are no keys to renew.")
        return ExitCode.FAILED
    control.ask(name, "rekey-ike" if arguments.ike else "rekey")
    until = time.monotonic() + _SECONDS
    waiting = dict(before)
    while waiting and time.monotonic() < until:
        now = _spis(control.ask(name, "status"), key)
        for peer, old in list(waiting.items()):
            if now.get(peer, old) != old:
                print(f"{peer}: new keys for the {'IKE SA' if arguments.ike else 'CHILD_SA'}.")
                del waiting[peer]
        time.sleep(_LOOK_SECONDS)
    for peer in waiting:
        print(f"{peer}: no new keys in {_SECONDS:.0f} seconds. The log of {name} says why.")
    return ExitCode.FAILED if waiting else ExitCode.FINE


def _spis(facts: dict[str, Any], key: str) -> dict[str, str]:
    """What is in use with each peer whose tunnel is up."""
    return {peer["name"]: peer[key] for peer in facts["peers"] if key in peer}
