"""Both ends of a tunnel, as two people would make them: a key pair and a short file each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from hushwire.lab.network import LabError, Network, Program
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Resident
from hushwire.lab.world import FILES
from hushwire.records import dataclass

UP = "tunnel up"
"""`hushwire run` says this when a peer's tunnel is."""

_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class End:
    """One side: who it is, its configuration as text, and where that stands in the world."""

    resident: Resident
    text: str
    file: Path

    @property
    def log(self) -> Path:
        """Where a lasting `hushwire run` writes what it says."""
        return self.file.with_suffix(".log")


def configure(network: Network, encap: str = "auto", mode: str = "tunnel") -> tuple[End, End]:
    """Make both key pairs and write both files: alice's end and bob's. Raises `LabError`."""

    def text(here: Resident, there: Resident, public_key: str) -> str:
        return _configuration(here, there, public_key, encap, mode)

    return _make_ends(network, text)


def configure_same_addresses(network: Network, *, ipv6: bool) -> tuple[End, End]:
    """The same for a tunnel between the very addresses that the hosts have on the wire.

    Whoever talks with the other host needs no other address, and changes nothing.
    """

    def text(here: Resident, there: Resident, public_key: str) -> str:
        ours, theirs = ((r.underlay6 if ipv6 else r.underlay) for r in (here, there))
        whole = ours.max_prefixlen
        address, networks = [f"{ours}/{whole}"], [f"{theirs}/{whole}"]
        lines = _lines(here.name, address, there.name, str(theirs), public_key=public_key)
        return "\n".join([*lines, f"networks = {_list(networks)}"]) + "\n"

    return _make_ends(network, text)


def _make_ends(network: Network, text: Callable[[Resident, Resident, str], str]) -> tuple[End, End]:
    public = {resident.name: _make_key(network, resident) for resident in (ALICE, BOB)}
    ends = []
    for here, there in ((ALICE, BOB), (BOB, ALICE)):
        content = text(here, there, public[there.name])
        file = _folder(here) / f"{TUNNEL}.toml"
        network.world.path(file).write_text(content)
        ends.append(End(here, content, file))
    return ends[0], ends[1]


def run(network: Network, end: End) -> Program:
    """`hushwire run` on its host, until the network is closed."""
    return network.start(end.resident.name, ["hushwire", "run", end.file])


def run_lasting(network: Network, end: End) -> None:
    """`hushwire run` on its host, for as long as the world lasts; it writes into `end.log`."""
    detached = 'hushwire run "$1" </dev/null >"$2" 2>&1 &'
    network.run(end.resident.name, ["sh", "-c", detached, "sh", end.file, end.log])


def wait_until_up(network: Network, end: End) -> None:
    """For a lasting one. Raises `LabError` with all that it has said."""
    log = network.world.path(end.log)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while UP not in (said := log.read_text(errors="replace")):
        if time.monotonic() > deadline:
            raise LabError(
                f"{end.resident.name}'s tunnel was not up in {_PATIENCE_SECONDS:g} s. "
                f"`hushwire run` said:\n{said}"
            )
        time.sleep(0.02)


def _folder(resident: Resident) -> Path:
    return FILES / resident.name


def _make_key(network: Network, resident: Resident) -> str:
    """A private key in the resident's folder; returns the public one."""
    folder = _folder(resident)
    network.world.path(folder).mkdir(mode=0o700)
    key = folder / f"{resident.name}.key"
    return network.run(resident.name, ["hushwire", "genkey", "-o", key]).stdout.strip()


def _configuration(here: Resident, there: Resident, public_key: str, encap: str, mode: str) -> str:
    addresses = [here.tunnel, here.tunnel6]
    networks = [f"{there.tunnel.ip}/32", f"{there.tunnel6.ip}/128"]
    if mode == "transport":  # between two hosts: one address each, of the endpoint's family
        addresses, networks = addresses[:1], networks[:1]
    lines = _lines(here.name, addresses, there.name, str(there.underlay), public_key=public_key)
    lines.append(f"networks = {_list(networks)}")
    if mode != "tunnel":
        lines.append(f'mode = "{mode}"')
    if encap != "auto":
        lines.append(f'encap = "{encap}"')
    return "\n".join(lines) + "\n"


def _lines(
    name: str, addresses: Iterable[object], peer: str, endpoint: str, *, public_key: str
) -> list[str]:
    """Of the file, what both kinds of tunnel have."""
    return [
        "[interface]",
        f'name = "{TUNNEL}"',
        f"address = {_list(addresses)}",
        f'private_key_file = "{name}.key"',
        "",
        f"[peer.{peer}]",
        f'endpoint = "{endpoint}"',
        f'public_key = "{public_key}"',
    ]


def _list(values: Iterable[object]) -> str:
    return json.dumps([str(value) for value in values])
