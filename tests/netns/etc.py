"""A /etc of the world's own, so that /etc/hushwire can be filled by a test."""

from __future__ import annotations

from pathlib import Path

from hushwire.lab.network import Network

FOLDER = Path("/etc/hushwire")

_OWN = """
set -e
mount -t tmpfs etc /mnt
cp -a /etc/. /mnt/ 2>/dev/null || true
mkdir -p /mnt/hushwire
mount --move /mnt /etc
"""


def own_etc(network: Network) -> Path:
    """An empty /etc/hushwire in the world; returns where this process finds it."""
    network.run(None, ["sh", "-c", _OWN])
    return network.world.path(FOLDER)
