"""The lab's network.

alice                          eve                          bob
eth0 ───────────────── alice  br0  bob ───────────────── eth0
192.168.77.1                records all                192.168.77.2
fd00:77::1, fe80::1                                    fd00:77::2, fe80::2
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from hushwire.lab.network import Network
from hushwire.lab.world import World
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Resident:
    """One of the two who talk: addresses on the wire, and those inside the tunnel."""

    name: str
    underlay: IPv4Address
    underlay6: IPv6Address
    link_local: IPv6Address
    tunnel: IPv4Interface
    tunnel6: IPv6Interface


def _resident(name: str, number: int) -> Resident:
    return Resident(
        name,
        IPv4Address(f"192.168.77.{number}"),
        IPv6Address(f"fd00:77::{number}"),
        IPv6Address(f"fe80::{number}"),
        IPv4Interface(f"10.0.1.{number}/24"),
        IPv6Interface(f"fd00:1::{number}/64"),
    )


ALICE = _resident("alice", 1)
BOB = _resident("bob", 2)
EVE = "eve"

WIRE = "eth0"
"""alice's and bob's device on the wire."""

BRIDGE = "br0"
"""eve's device, that sees every frame between them."""

TUNNEL = "hw0"
"""The name of the tunnel's device on both sides."""


class Topology(Network):
    """alice, eve and bob, up and able to reach each other; no tunnel yet."""

    def __init__(self, world: World | None = None) -> None:
        """Raises as `World.begin`, and `LabError`."""
        super().__init__(world)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        self.ip(
            *(f"netns add {name}" for name in (ALICE.name, EVE, BOB.name)),
            *(
                f"link add {WIRE} netns {name} type veth peer name {name} netns {EVE}"
                for name in (ALICE.name, BOB.name)
            ),
        )
        # No addresses of the kernel's own choice: eve has none, and the others' are known.
        self.ip(
            f"link add {BRIDGE} type bridge mcast_snooping 0",
            f"link set {BRIDGE} addrgenmode none up",
            *(
                f"link set {name} addrgenmode none master {BRIDGE} up"
                for name in (ALICE.name, BOB.name)
            ),
            host=EVE,
        )
        for resident in (ALICE, BOB):
            self.ip(
                "link set lo up",
                # Every frame as a real wire carries it: no TCP giants that a capture would cut.
                f"link set {WIRE} addrgenmode none gso_max_segs 1 up",
                f"address add {resident.underlay}/24 dev {WIRE}",
                f"address add {resident.underlay6}/64 dev {WIRE} nodad",
                f"address add {resident.link_local}/64 dev {WIRE} nodad",
                host=resident.name,
            )
