"""`hushwire quick`: a tunnel in one line, the same on both hosts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from hushwire.config.model import IpInterface, IpNetwork
    from hushwire.config.quick import Line

_Given = TypeVar("_Given")
_Value = TypeVar("_Value")

_HELP = """\
A tunnel in one line, run the same on both hosts, in any order. IFACE is the network
card whose address the other host knows; -key is a secret that both share.

  sudo hushwire quick ens38 -dst 192.168.1.100 -key @secret -tun asa0
  sudo hushwire quick ens38 -dst 192.168.1.100 -key - -tun asa0     asks for the key

If the TUN device exists (made by `ip tuntap add dev asa0 mode tun`, and given an
address), it is used, and left as it was found. Else it is made, with --address or
with addresses that both hosts derive from the two endpoints; they are shown.

The key is the shared secret of IKEv2, from which new cipher keys come each time. On the
command line other users of this host can see it: -key @FILE and -key - are better.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "quick", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("iface", metavar="IFACE", help="the network card towards the other host")
    parser.add_argument(
        "-dst", "--destination-ip", metavar="ADDR", required=True, help="the other host"
    )
    parser.add_argument(
        "-key",
        "--encrypt-key",
        metavar="SECRET",
        required=True,
        help="the shared secret: the text itself, @FILE, or - to be asked",
    )
    parser.add_argument(
        "-tun", "--tun-int-name", metavar="NAME", default="asa0", help="the TUN device; asa0"
    )
    parser.add_argument(
        "--address",
        metavar="ADDR/LEN",
        action="append",
        default=[],
        help="an address of the TUN device, if it is to be made; may be repeated",
    )
    parser.add_argument(
        "--network",
        metavar="CIDR",
        action="append",
        default=[],
        help="a network behind the other host; may be repeated",
    )
    parser.add_argument("--mode", choices=("tunnel", "transport"), default="tunnel")
    parser.add_argument("--encap", choices=("auto", "esp", "udp", "tcp"), default="auto")
    parser.add_argument("--once", action="store_true", help="one attempt, as in hushwire run")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line instead of sentences"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from hushwire.config.quick import configure
    from hushwire.config.strength import weakness
    from hushwire.daemon.journal import Journal
    from hushwire.daemon.service import Service

    secret = _secret(arguments.encrypt_key)
    line = _line(arguments, secret)
    journal = Journal(as_json=arguments.json)
    if warning := weakness(secret):
        journal.say(f"Warning: {warning}", warning="weak key")
    if not line.existing:
        addresses = ", ".join(str(address) for address in line.addresses)
        how = "as given" if arguments.address else "derived from the two endpoints"
        journal.say(f"{line.tun} will be {addresses} here ({how}).")
    config = _parsed(line, configure)
    failure = asyncio.run(Service(config, journal, once=arguments.once).run())
    return ExitCode.FINE if failure is None else ExitCode.of(failure.cause)


def _line(arguments: argparse.Namespace, secret: bytes) -> Line:
    from hushwire.config.quick import Line, derive_addresses
    from hushwire.sa.association import Encap, Mode
    from hushwire.system.addresses import addresses_of, device_exists

    remote = _address(arguments.destination_ip)
    local = _local(arguments.iface, remote)
    name = arguments.tun_int_name
    existing = device_exists(name)
    given = _interfaces(arguments.address)
    if existing and given:
        raise UsageError(
            f"{name} exists already, and is used as it is. Leave --address out, or remove the "
            f"device first: ip link delete {name}"
        )
    addresses = given or derive_addresses(local, remote)
    if existing:
        addresses = tuple(a for a in addresses_of(name) if not a.ip.is_link_local)
        if not addresses:
            raise UsageError(
                f"{name} exists but has no address. Give it one, `ip address add 10.0.1.1/24 dev "
                f"{name}`, or remove it (`ip link delete {name}`) and it will be made for you."
            )
    return Line(
        device=arguments.iface,
        local=local,
        remote=remote,
        secret=secret,
        tun=name,
        addresses=addresses,
        existing=existing,
        networks=_networks(arguments.network),
        mode=Mode(arguments.mode),
        encap=Encap(arguments.encap),
    )


def _parsed(given: _Given, parse: Callable[[_Given], _Value]) -> _Value:
    from hushwire.config.errors import BadValueError

    try:
        return parse(given)
    except BadValueError as error:
        raise UsageError(str(error)) from error


def _secret(text: str) -> bytes:
    """The secret itself, from where the argument says."""
    if text == "-":
        from getpass import getpass

        text = getpass("Shared key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    elif text.startswith("@"):
        from hushwire.config.keys import read_psk

        return _parsed(text[1:], lambda name: read_psk(Path(name)))
    if not text:
        raise UsageError("the key is empty. `hushwire genpsk` makes a good one.")
    return text.encode()


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(
            f'-dst takes the address of the other host, as in 192.168.1.100, not "{text}"'
        ) from None


def _local(device: str, remote: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Our end: the address on the device that packets to `remote` come from."""
    from hushwire.system.addresses import addresses_of, all_addresses
    from hushwire.system.errors import SystemFailureError
    from hushwire.system.routes import source_address

    own = addresses_of(device)
    if remote in all_addresses():
        raise UsageError(
            f"-dst {remote} is this host's own address; the other host's belongs there"
        )
    if not any(address.version == remote.version for address in own):
        raise SystemFailureError(
            f"device {device}",
            f"it has no IPv{remote.version} address, and {remote} is IPv{remote.version}",
            f"Give it one: `ip address add ADDRESS/PREFIX dev {device}`.",
        )
    source_address(remote)  # a device of its own takes any destination: is there a real route?
    return source_address(remote, device)


def _interfaces(texts: list[str]) -> tuple[IpInterface, ...]:
    from hushwire.config.values import interface_address

    return tuple(_parsed(text, interface_address) for text in texts)


def _networks(texts: list[str]) -> tuple[IpNetwork, ...]:
    from hushwire.config.values import network

    return tuple(_parsed(text, network) for text in texts)
