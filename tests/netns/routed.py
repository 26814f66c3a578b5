"""alice and bob with two routers between them, the link of which takes less than theirs.

alice                  near                  far                   bob
eth0 ───── edge ───── alice  far ─ middle ─ near  bob ───── edge ───── eth0
192.168.77.1                                                192.168.77.2
fd00:77::1                                                    fd00:77::2
"""

from __future__ import annotations

from hushwire.lab.topology import ALICE, BOB, WIRE, Topology
from hushwire.lab.world import World

NEAR, FAR = "near", "far"

_NO_ICMP_ERRORS = """
table inet filtered {
  chain output { type filter hook output priority 0;
    icmp type destination-unreachable drop
    icmpv6 type packet-too-big drop
  }
}
"""


class Routed(Topology):
    """`edge` and `middle` are MTUs. `filtered`: the routers' ICMP errors reach nobody."""

    def __init__(
        self, world: World | None = None, *, edge: int, middle: int, filtered: bool = False
    ) -> None:
        self._edge = edge
        self._middle = middle
        self._filtered = filtered
        super().__init__(world)

    def _build(self) -> None:
        hosts = ((ALICE, NEAR, FAR), (BOB, FAR, NEAR))
        self.ip(
            *(f"netns add {name}" for name in (ALICE.name, NEAR, FAR, BOB.name)),
            *(
                f"link add {WIRE} mtu {self._edge} netns {host.name} "
                f"type veth peer name {host.name} mtu {self._edge} netns {router}"
                for host, router, _ in hosts
            ),
            f"link add {FAR} mtu {self._middle} netns {NEAR} "
            f"type veth peer name {NEAR} mtu {self._middle} netns {FAR}",
        )
        for number, (host, router, other) in enumerate(hosts, 1):
            self._host(host.name, str(host.underlay), str(host.underlay6))
            far_end = BOB if host is ALICE else ALICE
            self.run(router, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
            if self._middle >= 1280 and self._edge >= 1280:
                self.run(router, ["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
            six = [
                f"address add fe80::fe/64 dev {host.name} nodad",
                # Without a link-local address the kernel asks for no neighbour when it forwards.
                f"address add fe80::{number}/64 dev {other} nodad",
                f"address add fd00:77:fe::{number}/128 dev {other} nodad",
                f"route add {host.underlay6} dev {host.name}",
                f"route add {far_end.underlay6} via fe80::{3 - number} dev {other}",
            ]
            self.ip(
                "link set lo up",
                _up(host.name, self._edge),
                _up(other, self._middle),
                f"address add 192.168.77.{250 + number}/32 dev {host.name}",
                f"address add 192.168.78.{number}/24 dev {other}",
                f"route add {host.underlay} dev {host.name}",
                f"route add {far_end.underlay} via 192.168.78.{3 - number}",
                *(six if self.ipv6 else []),
                host=router,
            )
            if self._filtered:
                self.run(router, ["nft", "-f", "-"], text=_NO_ICMP_ERRORS)

    @property
    def ipv6(self) -> bool:
        """Whether every link takes it (RFC 8200 §5)."""
        return min(self._edge, self._middle) >= 1280

    def _host(self, name: str, underlay: str, underlay6: str) -> None:
        number = 251 if name == ALICE.name else 252
        six = [
            f"address add {underlay6}/128 dev {WIRE} nodad",
            f"address add fe80::{number}/64 dev {WIRE} nodad",
            f"route add default via fe80::fe dev {WIRE}",
        ]
        self.ip(
            "link set lo up",
            _up(WIRE, self._edge),
            f"address add {underlay}/32 dev {WIRE}",
            f"route add default via 192.168.77.{number} dev {WIRE} onlink",
            *(six if self.ipv6 else []),
            host=name,
        )


def _up(device: str, mtu: int) -> str:
    # A link that is too small for IPv6 has none of its settings.
    return f"link set {device} {'addrgenmode none ' if mtu >= 1280 else ''}up"
