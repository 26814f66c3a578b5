"""From a TOML file to a `Config`, or to the one `ConfigError` that comes first."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path

from hushwire.config import values
from hushwire.config.between import check_peers
from hushwire.config.certificate_keys import KEYS as CERTIFICATE_KEYS
from hushwire.config.errors import BadValueError, ConfigError
from hushwire.config.hosts import transport_hosts
from hushwire.config.lifetimes import KEYS as LIFETIME_KEYS
from hushwire.config.lifetimes import lifetimes
from hushwire.config.limits import KEYS as LIMITS_KEYS
from hushwire.config.limits import limits
from hushwire.config.lines import Lines
from hushwire.config.model import (
    Config,
    EngineChoice,
    InterfaceConfig,
    IpNetwork,
    Ipv6,
    PeerConfig,
    Start,
)
from hushwire.config.ppk import KEYS as PPK_KEYS
from hushwire.config.ppk import ppk
from hushwire.config.proofs import identities, private_key, proof
from hushwire.config.table import Table, quote, table_name
from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE
from hushwire.sa.association import Encap, Mode
from hushwire.wire.tcpencap import TCP_PORT

FOLDER = Path("/etc/hushwire")
_DEFAULT_SECONDS = 20.0
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

_TABLES = ("interface", "peer", "limits")

INTERFACE_KEYS = {
    "name": '"hw0"',
    "address": '["10.0.1.1/24"]',
    "private_key_file": '"alice.key"',
    "engine": '"auto"',
    "underlay": '"eth0"',
    "guard": "false",
    "ipv6": '"allow"',
    "tcp_port": "4500",
    **CERTIFICATE_KEYS,
}
PEER_KEYS = {
    "endpoint": '"192.0.2.1"',
    "public_key": '"ed25519:MCow..."',
    "psk_file": '"bob.psk"',
    "id": '"bob@example.org"',
    "local_id": '"alice@example.org"',
    "networks": '["10.0.1.2/32"]',
    "local_networks": '["10.0.1.1/32"]',
    "mode": '"tunnel"',
    "encap": '"auto"',
    "start": '"up"',
    "ike": '["aes256gcm16-prfsha384-x25519"]',
    "esp": '["aes256gcm16-esn"]',
    "dpd": '"20s"',
    "keepalive": '"20s"',
    "copy_dscp": "true",
    "mobike": "false",
    "tcp_port": "4500",
    "private_key_file": '"alice.key"',
    **CERTIFICATE_KEYS,
    **LIFETIME_KEYS,
    **PPK_KEYS,
}


def find(name_or_path: str) -> Path:
    """The file that is meant: a path as it is, or `/etc/hushwire/NAME.toml`."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return Path(name_or_path)
    return FOLDER / f"{name_or_path}.toml"


def load(path: Path) -> Config:
    """Reads the file and the keys that it names. Raises `ConfigError`."""
    document, lines = _read(path)
    top = Table(path, lines, (), document, {})
    interface_table, peer_tables = _tables(top)
    bounds = limits(_limits_table(top))
    interface = _interface(interface_table)
    if not interface.address and any(t.values.get("mode") != "transport" for t in peer_tables):
        raise interface_table.missing("address")  # between hosts it is their real one
    peers = tuple(_peer(table, interface, interface_table) for table in peer_tables)
    check_peers(peer_tables, peers)
    places = {peer.name: lines.within(("peer", peer.name)) for peer in peers}
    return Config(path, interface, peers, bounds, places)


def _read(path: Path) -> tuple[dict[str, object], Lines]:
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            path,
            None,
            "there is no such file",
            f"Give the path of a file, or the NAME of {FOLDER}/NAME.toml.",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(path, None, f"cannot be read: {reason}") from error
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, line, "not TOML: not text in UTF-8") from error
    try:
        return tomllib.loads(text), Lines(text)
    except RecursionError as error:
        raise ConfigError(path, None, "not TOML that can be used: nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, and what int() and datetime() refuse
        raise _not_toml(path, text, error) from error


def _not_toml(path: Path, text: str, error: ValueError) -> ConfigError:
    message = str(error)
    line: int | None = None
    if place := _TOML_PLACE.search(message):
        line = int(place[1]) if place[1] else max(1, len(text.splitlines()))
        message = message[: place.start()]
    return ConfigError(
        path,
        line,
        f"not TOML: {message}",
        'Text stands in quotes, a list in brackets: networks = ["10.0.1.2/32"]',
    )


def _tables(top: Table) -> tuple[Table, list[Table]]:
    """[interface] and every [peer.NAME], their keys not yet looked at."""
    for key, value in top.values.items():
        if key in _TABLES:
            continue
        if not isinstance(value, (dict, list)):
            what = f"{quote(key)} stands above every table"
            raise top.error((key,), what, "Put it below [interface] or [peer.NAME].")
        cure = "There are [interface], [peer.NAME] and [limits]."
        if near := get_close_matches(key.lower(), _TABLES, 1):
            cure = f"Did you mean [{near[0]}{'.NAME' if near[0] == 'peer' else ''}]?"
        raise top.error((key,), f"unknown table {table_name((key,))}", cure)
    interface = top.values.get("interface")
    if interface is None:
        raise top.error((), "there is no [interface]", "It holds this host's address and key.")
    if not isinstance(interface, dict):
        raise top.error(("interface",), "interface must be one table", "Write [interface].")
    peers = top.values.get("peer", {})
    if not isinstance(peers, dict):
        raise top.error(("peer",), "a peer needs a name", "Write for example: [peer.bob]")
    if not peers:
        cure = "Write [peer.bob], and below it the peer's endpoint, key and networks."
        raise top.error((), "there is no peer", cure)
    for name, value in peers.items():
        if not isinstance(value, dict):
            raise top.error(
                ("peer", name),
                f"{quote(name)} stands in [peer], and a peer needs a name",
                "Write for example: [peer.bob]",
            )
        if not name or not name.isprintable() or " " in name:
            cure = "Letters and digits without spaces can."
            raise top.error(("peer", name), f"{quote(name)} cannot be the name of a peer", cure)
    return (
        Table(top.file, top.lines, ("interface",), interface, INTERFACE_KEYS),
        [
            Table(top.file, top.lines, ("peer", name), value, PEER_KEYS)
            for name, value in peers.items()
        ],
    )


def _limits_table(top: Table) -> Table:
    """[limits], empty where it is not there."""
    values_ = top.values.get("limits", {})
    if not isinstance(values_, dict):
        raise top.error(("limits",), "limits must be one table", "Write [limits].")
    return Table(top.file, top.lines, ("limits",), values_, LIMITS_KEYS)


def _interface(table: Table) -> InterfaceConfig:
    table.refuse_unknown_keys()
    name = table.parse("name", values.device)
    if name is None:
        try:
            name = values.device(table.file.stem)
        except BadValueError as error:
            what = f"without a name in {table.name} the file's name counts, and {error.what}"
            raise table.error((), what, 'Write for example: name = "hw0"') from error
    address = table.parse_each("address", values.interface_address)
    return InterfaceConfig(
        name=name,
        address=address or (),
        private_key=private_key(table),
        engine=table.choice("engine", EngineChoice.AUTO, later=("ebpf", "xfrm")),
        underlay=table.parse("underlay", values.device),
        guard=table.switch("guard", True),
        ipv6=table.choice("ipv6", Ipv6.BLOCK) if "ipv6" in table.values else None,
        tcp_port=table.port("tcp_port", TCP_PORT),
    )


def _peer(table: Table, interface: InterfaceConfig, interface_table: Table) -> PeerConfig:
    table.refuse_unknown_keys()
    endpoint = table.parse("endpoint", values.endpoint)
    by = proof(table, interface, interface_table)
    remote_id, local_id = identities(table, endpoint, by)
    start = table.choice("start", Start.WAIT if endpoint is None else Start.UP)
    if start is not Start.WAIT and endpoint is None:
        what = f'start = "{start}" in {table.name}, and no endpoint to begin with'
        raise table.error(
            ("start",), what, f"Write for example: endpoint = {PEER_KEYS['endpoint']}"
        )
    mode = table.choice("mode", Mode.TUNNEL)
    encap = table.choice("encap", Encap.AUTO)
    networks, local_networks = (
        transport_hosts(table, interface, endpoint, encap)
        if mode is Mode.TRANSPORT
        else _networks(table, interface)
    )
    return PeerConfig(
        name=table.path[-1],
        endpoint=endpoint,
        public_key=by.public_key,
        psk=by.psk,
        private_key=by.private_key,
        certificates=by.certificates,
        id=remote_id,
        local_id=local_id,
        networks=networks,
        local_networks=local_networks,
        mode=mode,
        encap=encap,
        start=start,
        ike=table.parse_each("ike", values.ike_proposal)
        or tuple(values.ike_proposal(text) for text in DEFAULT_IKE),
        esp=table.parse_each("esp", values.esp_proposal)
        or tuple(values.esp_proposal(text) for text in DEFAULT_ESP),
        dpd=table.parse("dpd", values.duration) or _DEFAULT_SECONDS,
        keepalive=table.parse("keepalive", values.duration) or _DEFAULT_SECONDS,
        copy_dscp=table.switch("copy_dscp", False),
        mobike=table.switch("mobike", True),
        tcp_port=table.port("tcp_port", TCP_PORT),
        lifetimes=lifetimes(table),
        ppk=ppk(table),
    )


def _networks(
    table: Table, interface: InterfaceConfig
) -> tuple[tuple[IpNetwork, ...], tuple[IpNetwork, ...]]:
    """The remote and the local ones; every remote family needs a local counterpart."""
    networks = table.parse_each("networks", values.network)
    if networks is None:
        raise table.missing("networks")
    own = tuple(dict.fromkeys(ip_network(address.ip) for address in interface.address))
    for index, network in enumerate(networks):
        if network in own:
            what = f"{quote(str(network))} in {table.name} is this host's own address"
            raise table.error(("networks", index), what, "The peer's belong here.")
    local = table.parse_each("local_networks", values.network) or own
    families = {network.version for network in local}
    for index, network in enumerate(networks):
        if network.version not in families:
            raise table.error(
                ("networks", index),
                f"{quote(str(network))} in {table.name} is IPv{network.version}, "
                f"and this host has no IPv{network.version} here to reach it from",
                f"Add an IPv{network.version} address to [interface], or leave it out.",
            )
    return networks, local
