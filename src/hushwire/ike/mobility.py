"""What one IKE SA knows of both hosts' addresses, where both speak MOBIKE (RFC 4555)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from hushwire.sa.association import Address, Path

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Surroundings:
    """This host's place in the network: its addresses, and for each remote one which it would use.

    `own` are those that a peer may be told of, `here` all there are; of these only the octets
    count. A remote address that is missing in `sources` cannot be reached now.
    """

    own: tuple[IpAddress, ...] = ()
    sources: Mapping[IpAddress, IpAddress] = field(default_factory=dict)
    here: frozenset[bytes] = frozenset()

    def lacks(self, address: IpAddress) -> bool:
        """Has this host had the address, and has it no more?"""
        return bool(self.here) and address.packed not in self.here


@dataclass(slots=True)
class Mobility:
    """`peer_addresses` are those that the peer has told beside the one in use; `told` are ours.

    Flags say what is still to be told: `update`, where we are now (by who began the first IKE SA);
    `announce`, which addresses we have. `unproved` is where the peer says that it is, until it has
    answered from there (§3.7). `searching`: nothing is heard on the path, others are tried.
    `came_from` is where the last genuine message came from, which alone moves nobody (§3.8).
    """

    peer_addresses: frozenset[IpAddress] = frozenset()
    told: tuple[IpAddress, ...] = ()
    update: bool = False
    announce: bool = False
    unproved: Path | None = None
    searching: bool = False
    came_from: Address | None = None
    cut: bool = False  # there was no way to the peer
    proved: IpAddress | None = None  # where the peer has shown to be
