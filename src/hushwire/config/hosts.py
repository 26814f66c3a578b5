"""`networks` and `local_networks` in transport mode: it is between two hosts (RFC 4301 §4.1)."""

from __future__ import annotations

from ipaddress import ip_network

from hushwire.config import values
from hushwire.config.model import InterfaceConfig, IpAddress, IpNetwork
from hushwire.config.table import Table, quote
from hushwire.sa.association import Encap

_RULE = 'mode = "transport" is between two hosts'


def transport_hosts(
    table: Table, interface: InterfaceConfig, endpoint: IpAddress | str | None, encap: Encap
) -> tuple[tuple[IpNetwork, ...], tuple[IpNetwork, ...]]:
    """The peer's host, and ours, one each; ours is empty where it is the real one, not yet known.

    Exactly one: inside UDP the packet's own addresses are not sent, and come back at the other end
    from what was agreed on (RFC 7296 §2.23.1). Raises `ConfigError`.
    """
    networks = table.parse_each("networks", values.network)
    if networks is None:
        raise table.missing("networks")
    host = _one_host(table, "networks", networks)
    own = tuple(dict.fromkeys(ip_network(address.ip) for address in interface.address))
    if host in own:
        what = f"{quote(str(host))} in {table.name} is this host's own address"
        raise table.error(("networks", 0), what, "The peer's belongs here.")
    if host.network_address.is_link_local:
        raise table.error(
            ("networks", 0),
            f"{quote(str(host))} in {table.name} is link-local, and belongs to one device",
            "Use an address that both hosts have beyond their link.",
        )
    real = endpoint == host.network_address
    if not real:
        _check_family(table, host, endpoint, encap)
    return networks, _local(table, host, own, real=real)


def _local(
    table: Table, host: IpNetwork, own: tuple[IpNetwork, ...], *, real: bool
) -> tuple[IpNetwork, ...]:
    given = table.parse_each("local_networks", values.network)
    if given is not None:
        local = _one_host(table, "local_networks", given)
        if local.version != host.version:
            raise table.error(
                ("local_networks", 0),
                f"{quote(str(local))} in {table.name} is IPv{local.version}, "
                f"and networks is IPv{host.version}",
                "In transport mode both are of one family: a packet has one IP header.",
            )
        return given
    candidates = () if real else tuple(net for net in own if net.version == host.version)
    if len(candidates) > 1:
        raise table.error(
            (),
            f"{_RULE}, and [interface] has {len(candidates)} IPv{host.version} addresses",
            f'Say which one in {table.name}: local_networks = ["{candidates[0]}"]',
        )
    return candidates


def _one_host(table: Table, key: str, networks: tuple[IpNetwork, ...]) -> IpNetwork:
    first = networks[0]
    if len(networks) > 1 or first.prefixlen != first.max_prefixlen:
        host = f"{first.network_address}/{first.max_prefixlen}"
        raise table.error(
            (key, min(1, len(networks) - 1)),
            f"{_RULE}, so {key} in {table.name} is one address",
            f'Write for example {key} = ["{host}"], or mode = "tunnel".',
        )
    return first


def _check_family(
    table: Table, host: IpNetwork, endpoint: IpAddress | str | None, encap: Encap
) -> None:
    """The packet leaves under its own header, to a neighbour of the same family."""
    if endpoint is None or isinstance(endpoint, str) or endpoint.version == host.version:
        return
    if encap in (Encap.AUTO, Encap.ESP):
        raise table.error(
            ("networks", 0),
            f"{quote(str(host))} in {table.name} is IPv{host.version}, and in transport mode it "
            f"needs an IPv{host.version} endpoint to go to",
            f'Give the endpoint\'s IPv{host.version} address, or encap = "udp".',
        )
