"""The guard: what belongs into the tunnel leaves through the tunnel, or not at all.

Rules in the kernel, one nftables table for each interface, that need no process to be alive. They
look at packets where their way is decided for good, so routes do not matter to them:

    ours or forwarded ─► postrouting   for a protected network, by another device than TUN: drop
    input, forward  ─► ours or others' from a protected network, by another device: drop

What must pass beside the tunnel is the tunnel's own outside (`system/mark.py`), neighbour discovery
(RFC 4861), and what gives a host its address. RFC 4301 §5.1 and §5.2 ask for the same: traffic that
the policy protects is sealed or discarded, and so is what comes unsealed.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_network,
)
from typing import Any

from hushwire.config.model import Config, Ipv6
from hushwire.records import dataclass
from hushwire.system import nft
from hushwire.system.mark import MARK

IpNetwork = IPv4Network | IPv6Network

_PREFIX = "hushwire_"
# Every chain, and where in the kernel's path of a packet it stands; the first two are jumped to.
_CHAINS = {
    "unsealed": "",
    "unopened": "",
    # After every other rule, address translation too, has had its say about where it goes.
    "outward": "type filter hook postrouting priority 300; policy accept;",
    "inward": "type filter hook input priority 0; policy accept;",
    "through": "type filter hook forward priority 0; policy accept;",
}
_IPV6_ALL = IPv6Network("::/0")

# Ports of IKE and of ESP in UDP (RFC 7296 §2, RFC 3948 §2).
_UDP_PORTS = "{ 500, 4500 }"

# RFC 4861 §4: hop limit 255, so these never come from beyond the link. RFC 3810 §5: hop limit 1.
_ON_LINK = (
    "ip6 hoplimit 255 icmpv6 type { 133, 134, 135, 136, 137 } accept",
    "ip6 hoplimit 1 icmpv6 type { 130, 131, 132, 143 } accept",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the guard of the interface `name` protects.

    `networks` are those of its peers; `own` its addresses, which after a crash are nobody's and
    would be looked for outside; `local` the networks behind this host, which the longest prefix
    keeps apart where they lie within `networks`. `tcp_port` is where we listen for IKE and ESP
    inside TCP (RFC 9329 §2), if we do; `tcp_ports` are ours and the peers'.
    """

    name: str
    networks: tuple[IpNetwork, ...]
    own: tuple[IpNetwork, ...]
    local: tuple[IpNetwork, ...]
    tcp_port: int | None = None
    tcp_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A guard that is in the kernel; the counts are packets that it has dropped."""

    name: str
    networks: tuple[str, ...]
    dropped_out: int
    dropped_in: int


def plan(config: Config) -> Plan:
    """The guard that a configuration wants."""
    networks = [network for peer in config.peers for network in peer.networks]
    if _blocks_ipv6(config, networks):
        networks.append(_IPV6_ALL)
    own = tuple(ip_network(address.ip) for address in config.interface.address)
    local = {network for peer in config.peers for network in peer.local_networks}
    ports = {config.interface.tcp_port, *(peer.tcp_port for peer in config.peers)}
    return Plan(
        config.interface.name,
        _collapsed(networks),
        own,
        tuple(sorted(local - set(own), key=_key)),
        config.interface.tcp_port if config.listens_in_tcp else None,
        tuple(sorted(ports)),
    )


def install(wanted: Plan) -> None:
    """Put it into the kernel; where one of this name stands, it takes its place with no gap.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    nft.apply(script(wanted))


def saved(name: str) -> str | None:
    """The guard as it stands, for `restore`; None if there is none. Raises as `install`."""
    return nft.text("table", "inet", _PREFIX + name)


def same(one: str | None, other: str | None) -> bool:
    """Are these two `saved` guards the same but for their counts?"""
    return _rules(one) == _rules(other)


def _rules(text: str | None) -> list[str]:
    return [line for line in (text or "").splitlines() if not line.strip().startswith("packets ")]


def restore(before: str, name: str) -> None:
    """Put back what `saved` gave. Raises as `install`."""
    nft.apply(_emptied(name) + before)


def remove(name: str) -> bool:
    """Take it away; False if there was none. Raises as `install`."""
    if not is_standing(name):
        return False
    nft.apply(f"delete table inet {_PREFIX}{name}\n")
    return True


def is_standing(name: str) -> bool:
    """Is there a guard of this interface? Raises as `install`, but not where there is no nft."""
    return nft.program() is not None and name in _names()


def standing() -> list[Standing]:
    """Every guard of this network namespace; none where there is no nft. Raises as `install`."""
    if nft.program() is None:
        return []
    return [_standing(name) for name in _names()]


def script(wanted: Plan) -> str:
    """The whole guard, for `nft -f -`.

    Chains that stand are emptied and filled again and not made anew: a packet on its way meets all
    of the old rules or all of the new ones, and the counters go on.
    """
    devices = f'{{ "lo", "{wanted.name}" }}'
    whole = {version for version in (4, 6) if _covers_all(wanted.networks, version)}
    exempt = _exempt(wanted.networks, wanted.local)
    rules = {
        # Sent, and not into the tunnel.
        "unsealed": [
            f"meta mark {MARK:#x} meta l4proto {{ esp, tcp }} accept",
            f"meta mark {MARK:#x} udp sport {_UDP_PORTS} accept",
            f"meta mark {MARK:#x} udp dport 53 accept",  # `system/names.py`
            # `system/fragments.py`: only the first has the ports, judged above.
            f"meta mark {MARK:#x} frag frag-off != 0 accept",
            *_ON_LINK,
            *(_DHCP_OUT[version] for version in whole),
            "counter name outward drop",
        ],
        # Come, and not out of the tunnel.
        "unopened": [
            "meta l4proto esp accept",
            f"socket mark {MARK:#x} accept",
            # While a connection is being accepted it has no socket yet that could be marked.
            *([f"tcp dport {wanted.tcp_port} accept"] if wanted.tcp_port else []),
            *_errors_about_the_outside(wanted.tcp_ports),
            # Without its first fragment, judged by the rules above, nothing comes of the others.
            "frag frag-off != 0 accept",
            *_ON_LINK,
            *(_DHCP_IN[version] for version in whole),
            "counter name inward drop",
        ],
        "outward": [
            f"oifname {devices} accept",
            *_matching("daddr", wanted.own, "jump unsealed"),
            *_matching("daddr", exempt, "accept"),
            *_matching("daddr", wanted.networks, f'jump unsealed comment "{_NETWORKS}"'),
        ],
        "inward": [
            f"iifname {devices} accept",
            *_matching("saddr", exempt, "accept"),
            *_matching("saddr", wanted.networks, "jump unopened"),
        ],
        "through": [
            f"iifname {devices} accept",
            *_matching("saddr", exempt, "accept"),
            *_matching("saddr", wanted.networks, "counter name inward drop"),
        ],
    }
    return _emptied(wanted.name) + _table(wanted.name, rules)


# What gives a host its address, and only where everything is protected: otherwise its server is
# beside the tunnel anyhow. Both ports are privileged, and it must be ours, not forwarded.
_DHCP_OUT = {
    4: "meta nfproto ipv4 fib saddr type local udp sport 68 udp dport 67 accept",
    6: "meta nfproto ipv6 fib saddr type local udp sport 546 udp dport 547 accept",
}
_DHCP_IN = {
    4: "meta nfproto ipv4 udp sport 67 udp dport 68 accept",
    6: "meta nfproto ipv6 udp sport 547 udp dport 546 accept",
}

_ICMP = "icmp type { 3, 11, 12 } @th,64,8 0x45"
_ICMPV6 = "icmpv6 type { 1, 2, 3, 4 }"

_NETWORKS = "networks"  # marks the rules from which `standing` reads what is protected


def _errors_about_the_outside(tcp_ports: Iterable[int]) -> list[str]:
    """ICMP errors (RFC 792, RFC 4443) that quote a packet of the tunnel's outside.

    Behind the ICMP header of 8 octets stands the packet's IP header, here without options, and of
    UDP and TCP the ports.
    """
    rules = [
        f"{_ICMP} @th,136,8 50 accept",
        f"{_ICMP} @th,136,8 17 @th,224,16 {_UDP_PORTS} accept",
        f"{_ICMPV6} @th,112,8 50 accept",
        f"{_ICMPV6} @th,112,8 17 @th,384,16 {_UDP_PORTS} accept",
    ]
    for port in tcp_ports:
        rules += [f"{_ICMP} @th,136,8 6 @th,{where},16 {port} accept" for where in (224, 240)]
        rules += [f"{_ICMPV6} @th,112,8 6 @th,{where},16 {port} accept" for where in (384, 400)]
    return rules


def _blocks_ipv6(config: Config, networks: Iterable[IpNetwork]) -> bool:
    """With all of IPv4 in the tunnel, a name with an IPv6 address too must not lead around it."""
    if config.interface.ipv6 is None:
        return _covers_all(networks, 4)
    return config.interface.ipv6 is Ipv6.BLOCK


def _covers_all(networks: Iterable[IpNetwork], version: int) -> bool:
    return any(not n.prefixlen for n in _collapsed(networks) if n.version == version)


def _collapsed(networks: Iterable[IpNetwork]) -> tuple[IpNetwork, ...]:
    every = list(networks)
    return (
        *collapse_addresses(n for n in every if isinstance(n, IPv4Network)),
        *collapse_addresses(n for n in every if isinstance(n, IPv6Network)),
    )


def _key(network: IpNetwork) -> tuple[int, int, int]:
    return network.version, network.prefixlen, int(network.network_address)


def _exempt(networks: Iterable[IpNetwork], local: Iterable[IpNetwork]) -> tuple[IpNetwork, ...]:
    """The local networks within the protected ones, less what is protected within them again.

    With 0.0.0.0/0 in the tunnel, the answers to a LAN behind this host must reach it. The other
    way round, a gateway to everywhere has 0.0.0.0/0 as local, and no peer of it is exempt by that.
    """
    protected = list(networks)
    found: list[IpNetwork] = []
    # The longest prefix has the last word; of two that are the same, the protected one.
    order = [(network, False) for network in local] + [(network, True) for network in protected]
    for network, is_protected in sorted(order, key=lambda pair: (*_key(pair[0]), pair[1])):
        if is_protected:
            found = [piece for part in found for piece in _without(part, network)]
        elif any(_within(network, outer) for outer in protected):
            found.append(network)
    return _collapsed(found)


def _without(part: IpNetwork, hole: IpNetwork) -> Iterable[IpNetwork]:
    if _within(part, hole):
        return ()
    if isinstance(part, IPv4Network) and isinstance(hole, IPv4Network) and _within(hole, part):
        return part.address_exclude(hole)
    if isinstance(part, IPv6Network) and isinstance(hole, IPv6Network) and _within(hole, part):
        return part.address_exclude(hole)
    return (part,)


def _within(inner: IpNetwork, outer: IpNetwork) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


def _matching(field: str, networks: Iterable[IpNetwork], verdict: str) -> list[str]:
    """A rule for each network, and on purpose no set of them.

    The kernel fills a new set of intervals a moment after the rules that look into it have come
    into force: while one guard took another's place, packets were measured to slip through.
    """
    return [
        f"ip{'6' if network.version == 6 else ''} {field} {network} {verdict}"
        if network.prefixlen
        else f"meta nfproto ipv{network.version} {verdict}"
        for network in networks
    ]


def _emptied(name: str) -> str:
    """Every chain there and without rules, whether the table stood before or not."""
    flushes = "".join(f"flush chain inet {_PREFIX}{name} {chain}\n" for chain in _CHAINS)
    return _table(name, {}) + flushes


def _table(name: str, rules: dict[str, list[str]]) -> str:
    lines = [f"table inet {_PREFIX}{name} {{"]
    lines += [f"  counter {counter} {{ packets 0 bytes 0 }}" for counter in ("outward", "inward")]
    for chain, hook in _CHAINS.items():
        lines += [f"  chain {chain} {{ {hook}", *(f"    {r}" for r in rules.get(chain, ())), "  }"]
    return "\n".join([*lines, "}"]) + "\n"


def _names() -> list[str]:
    tables = (entry["table"] for entry in nft.listing("tables") if "table" in entry)
    return sorted(
        str(table["name"]).removeprefix(_PREFIX)
        for table in tables
        if table["family"] == "inet" and table["name"].startswith(_PREFIX)
    )


def _standing(name: str) -> Standing:
    networks: list[str] = []
    counts = {"outward": 0, "inward": 0}
    for entry in nft.listing("table", "inet", _PREFIX + name):
        if counter := entry.get("counter"):
            counts[counter["name"]] = int(counter["packets"])
        rule = entry.get("rule", {})
        if rule.get("comment") == _NETWORKS:
            networks.append(_text(rule["expr"][0]["match"]["right"]))
    return Standing(name, tuple(networks), counts["outward"], counts["inward"])


def _text(right: dict[str, Any] | str) -> str:
    """What a rule compares with, as a network; see libnftables-json(5)."""
    if isinstance(right, dict):
        return f"{right['prefix']['addr']}/{right['prefix']['len']}"
    whole = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
    return whole.get(right) or str(ip_network(right))
