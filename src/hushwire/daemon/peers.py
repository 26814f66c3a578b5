"""Peers of the configuration as the protocol wants them, and where they are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import itemgetter
from typing import Any

from hushwire.config.model import Config, IpAddress, PeerConfig
from hushwire.ike.credentials import Certificates, Credential, Psk, RawKeys
from hushwire.ike.inputs import Limits, Peer
from hushwire.sa.selectors import from_network
from hushwire.system import names
from hushwire.wire.ip import Flow


def ike_peer(config: PeerConfig, address: IpAddress | None) -> Peer:
    """What `hushwire.ike` has to know of one [peer]; `address` is its endpoint, if known yet."""
    return Peer(
        name=config.name,
        credential=_credential(config),
        local_id=config.local_id,
        remote_id=config.id,
        ike_proposals=config.ike,
        esp_proposals=config.esp,
        local_selectors=tuple(from_network(network) for network in config.local_networks),
        remote_selectors=tuple(from_network(network) for network in config.networks),
        address=address,
        encap=config.encap,
        liveness=config.dpd,
        mode=config.mode,
        lifetimes=config.lifetimes,
        mobike=config.mobike,
        ppk=config.ppk,
    )


def ike_limits(config: Config) -> Limits:
    """What [limits] says, and the defaults."""
    said = config.limits
    every: dict[str, Any] = {
        "cookies_from": said.cookies_from,
        "half_open": said.half_open,
        "half_open_per_source": said.half_open_per_source,
        "half_open_seconds": said.half_open_timeout,
        "init_rate": said.init_rate,
        "init_rate_per_source": said.init_rate_per_source,
    }
    return Limits(**{name: value for name, value in every.items() if value is not None})


def _credential(config: PeerConfig) -> Credential:
    if config.psk is not None:
        return Psk(config.psk)
    if config.private_key is not None and config.public_key is not None:
        return RawKeys(config.private_key, config.public_key)
    if config.private_key is not None and config.certificates is not None:
        own = config.certificates
        return Certificates(config.private_key, own.chain, own.trust, own.pkcs1)
    raise ValueError(f"peer {config.name} has no credential: config.load refuses this")


def longest_prefix(peers: Iterable[PeerConfig], address: IpAddress) -> PeerConfig | None:
    """The peer that has this address behind it: of several, the one with the smallest network."""
    claims = [
        (network.prefixlen, peer)
        for peer in peers
        for network in peer.networks
        if address in network
    ]
    return max(claims, key=itemgetter(0), default=(0, None))[1]


def destination(flow: Flow) -> IpAddress:
    """Where a packet wants to go."""
    return (IPv4Address if flow.version == 4 else IPv6Address)(flow.destination)


async def known_endpoints(config: Config) -> dict[str, IpAddress]:
    """Endpoints by peer. A name that does not resolve now is tried again when connecting."""
    known = {}
    for peer in config.peers:
        if peer.endpoint is not None:
            with suppress(OSError):
                known[peer.name] = await resolve(peer.endpoint)
    return known


async def resolve(endpoint: IpAddress | str) -> IpAddress:
    """The address of an endpoint. Raises `OSError` when its name has none."""
    if not isinstance(endpoint, str):
        return endpoint
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        try:
            return await loop.run_in_executor(None, names.lookup, endpoint)
        except (OSError, ValueError):
            raise error from None
    return ip_address(found[0][4][0])
