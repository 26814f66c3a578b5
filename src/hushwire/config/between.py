"""What must hold between the peers of one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hushwire.config.errors import ConfigError
from hushwire.config.model import IpNetwork, PeerConfig
from hushwire.config.table import Table
from hushwire.sa.identity import Identity


class _Claim(NamedTuple):
    """One network of one peer; both integers count from zero in the file's order."""

    network: IpNetwork
    peer: int
    place: int


def check_peers(tables: Sequence[Table], peers: Sequence[PeerConfig]) -> None:
    """Raises `ConfigError` when two peers claim one network, or could not be told apart."""
    _check_networks(tables, peers)
    _check_identities(tables, peers)


def _check_networks(tables: Sequence[Table], peers: Sequence[PeerConfig]) -> None:
    claims = [
        _Claim(network, number, place)
        for number, peer in enumerate(peers)
        for place, network in enumerate(peer.networks)
    ]
    claims.sort(
        key=lambda c: (c.network.version, int(c.network.network_address), c.network.prefixlen)
    )
    # CIDR blocks are apart or one inside the other. In this order those around the current one
    # are exactly what remains on the stack.
    around: list[_Claim] = []
    for claim in claims:
        while around and not _contains(around[-1].network, claim.network):
            around.pop()
        for outer in around:
            if outer.peer != claim.peer:
                raise _overlap(tables, peers, *sorted((outer, claim), key=lambda c: c.peer))
        around.append(claim)


def _contains(outer: IpNetwork, inner: IpNetwork) -> bool:
    return outer.version == inner.version and inner.network_address in outer


def _overlap(
    tables: Sequence[Table], peers: Sequence[PeerConfig], first: _Claim, second: _Claim
) -> ConfigError:
    return tables[second.peer].error(
        ("networks", second.place),
        f'"{second.network}" of {peers[second.peer].name} overlaps '
        f'"{first.network}" of {peers[first.peer].name}',
        "An address can be behind one peer only.",
    )


def _check_identities(tables: Sequence[Table], peers: Sequence[PeerConfig]) -> None:
    seen: dict[tuple[Identity | None, Identity | None], PeerConfig] = {}
    for table, peer in zip(tables, peers, strict=True):
        other = seen.setdefault((peer.id, peer.local_id), peer)
        if other is peer:
            continue
        if peer.public_key is not None and peer.public_key == other.public_key:
            raise table.error(
                ("public_key",),
                f"public_key of {peer.name} is also {other.name}'s",
                "Each host has a key of its own.",
            )
        who = f"have the same id, {peer.id}" if peer.id else "have no id"
        raise table.error(
            ("id",),
            f"{other.name} and {peer.name} {who}, so one could pass for the other",
            'Give each its own: id = "..."',
        )
