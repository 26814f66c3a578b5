"""One line instead of a file: the configuration behind `hushwire quick`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_network
from pathlib import Path

from hushwire.config.errors import BadValueError
from hushwire.config.model import (
    Config,
    EngineChoice,
    InterfaceConfig,
    IpAddress,
    IpInterface,
    IpNetwork,
    PeerConfig,
    Start,
)
from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE, parse_proposal
from hushwire.records import dataclass
from hushwire.sa.association import Encap, Mode
from hushwire.sa.identity import Identity
from hushwire.wire.registry import ProtocolId
from hushwire.wire.tcpencap import TCP_PORT

PEER = "peer"
_SECONDS = 20.0
_FEW_ADDRESSES = 4  # a network of /30 or /31, or /126 and /127


@dataclass(frozen=True, slots=True)
class Line:
    """What the line says. `addresses` are the TUN device's; `existing` tells that it is there."""

    device: str
    local: IpAddress
    remote: IpAddress
    secret: bytes
    tun: str
    addresses: tuple[IpInterface, ...]
    existing: bool
    networks: tuple[IpNetwork, ...] = ()
    mode: Mode = Mode.TUNNEL
    encap: Encap = Encap.AUTO


def derive_addresses(local: IpAddress, remote: IpAddress) -> tuple[IpInterface, IpInterface]:
    """Tunnel addresses, IPv4 and IPv6, that both hosts find by themselves.

    A hash of the two endpoints makes the network, and the lower endpoint is the first host in it.
    """
    ends = sorted((local, remote), key=lambda address: address.packed)
    own = 1 + ends.index(local)
    for attempt in range(256):
        seed = hashlib.sha256(bytes([attempt]) + b"".join(end.packed for end in ends)).digest()
        first = f"10.{seed[0]}.{seed[1]}.{seed[2] & 0xFC}"
        network = ip_network(f"{first}/30")
        if local not in network and remote not in network:
            break
    prefix = IPv6Address(b"\xfd" + seed[:5] + bytes(10))
    return (
        IPv4Interface(f"{network.network_address + own}/30"),
        IPv6Interface(f"{prefix + own}/64"),
    )


def one_address_each(line: Line) -> Line:
    """For transport mode: one address on this side, and the one other host of its network.

    That is what `networks` names, or the other host of a network that has no more than two.
    Raises `BadValueError` when the line does not tell.
    """
    version = line.remote.version
    own = [address for address in line.addresses if address.version == version]
    if not own:
        raise BadValueError(
            f"{line.tun} has no IPv{version} address",
            f"In transport mode the tunnel's addresses are IPv{version}, as {line.remote} is.",
        )
    networks = tuple(network for network in line.networks if network.version == version)
    if not networks and own[0].network.num_addresses <= _FEW_ADDRESSES:
        others = [host for host in own[0].network.hosts() if host != own[0].ip]
        networks = (ip_network(others[0]),)
    if len(networks) != 1 or networks[0].num_addresses != 1:
        example = own[0].network.network_address + 2
        raise BadValueError(
            "transport mode is between two addresses, and the other one is not known",
            f"Name the other host's address in the tunnel: --network {example}",
        )
    return replace(line, addresses=(own[0],), networks=networks)


def configure(line: Line) -> Config:
    """The same configuration on both hosts, up to who is who.

    The shared secret is the proof; the peer may say that it is anybody. What is reached through
    it is what shares a network with the TUN device's own addresses, and `networks`. Raises
    `BadValueError`.
    """
    around = [address.network for address in line.addresses]
    if line.mode is Mode.TRANSPORT:
        line, around = one_address_each(line), []
    own = tuple(dict.fromkeys(ip_network(address.ip) for address in line.addresses))
    remote = dict.fromkeys([*around, *line.networks])
    families = {network.version for network in own}
    peer = PeerConfig(
        name=PEER,
        endpoint=line.remote,
        public_key=None,
        psk=line.secret,
        id=None,
        local_id=Identity.of_address(line.local),
        networks=tuple(n for n in remote if n not in own and n.version in families),
        local_networks=own,
        mode=line.mode,
        encap=line.encap,
        start=Start.UP,
        ike=tuple(parse_proposal(text, ProtocolId.IKE) for text in DEFAULT_IKE),
        esp=tuple(parse_proposal(text, ProtocolId.ESP) for text in DEFAULT_ESP),
        dpd=_SECONDS,
        keepalive=_SECONDS,
        tcp_port=TCP_PORT,
    )
    interface = InterfaceConfig(
        name=line.tun,
        address=line.addresses,
        private_key=None,
        engine=EngineChoice.AUTO,
        underlay=line.device,
        tcp_port=TCP_PORT,
        existing=line.existing,
    )
    return Config(Path("the command line"), interface, (peer,))
