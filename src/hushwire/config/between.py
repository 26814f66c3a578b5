"""What must hold between the peers of one file."""

from __future__ import annotations

from collections.abc import Sequence

from hushwire.config.model import IpNetwork, PeerConfig
from hushwire.config.table import Table
from hushwire.sa.identity import Identity


def check_peers(tables: Sequence[Table], peers: Sequence[PeerConfig]) -> None:
    """Raises `ConfigError` when two peers claim one network, or could not be told apart."""
    _check_networks(tables, peers)
    _check_identities(tables, peers)


def _check_networks(tables: Sequence[Table], peers: Sequence[PeerConfig]) -> None:
    claimed: dict[IpNetwork, PeerConfig] = {}
    for table, peer in zip(tables, peers, strict=True):
        for place, network in enumerate(peer.networks):
            other = claimed.setdefault(network, peer)
            if other is not peer:
                raise table.error(
                    ("networks", place),
                    f'"{network}" of {peer.name} is also {other.name}\'s',
                    "An address can be behind one peer only; of two networks one within the other "
                    "the smaller one decides.",
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
