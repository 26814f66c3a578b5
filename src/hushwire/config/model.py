"""What a configuration means once it is read: every value parsed, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path
from typing import TYPE_CHECKING

from hushwire.crypto.sign import PrivateKey, PublicKey
from hushwire.records import dataclass
from hushwire.sa.association import Encap, Mode
from hushwire.sa.identity import Identity
from hushwire.sa.lifetimes import Lifetimes
from hushwire.sa.ppk import Ppk
from hushwire.wire.ike.payloads.sa import Transform

if TYPE_CHECKING:  # slow to load, and few tunnels have certificates
    from hushwire.crypto.chain import Trust
    from hushwire.crypto.x509 import Certificate

IpAddress = IPv4Address | IPv6Address
IpInterface = IPv4Interface | IPv6Interface
IpNetwork = IPv4Network | IPv6Network
Transforms = tuple[Transform, ...]


class EngineChoice(StrEnum):
    """What moves the packets."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


class Start(StrEnum):
    """When this side begins: at once and again, on traffic for the peer's networks, or never."""

    UP = "up"
    TRAFFIC = "traffic"
    WAIT = "wait"


class Ipv6(StrEnum):
    """IPv6 that no tunnel carries: dropped, or left to go its own way."""

    BLOCK = "block"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class InterfaceConfig:
    """This host's side. `private_key` is there when any peer is known by its public key.

    `tcp_port` is where it listens for IKE and ESP inside TCP, if any peer may come so.
    `existing`: the device is there already; it is used with the addresses that it has, and left as
    it was found. `address` may be empty where every peer is in transport mode, on the hosts' real
    addresses. `guard`: what is for the peers' networks is dropped where it would go beside the
    tunnel. `ipv6` None means that the guard blocks it where all of IPv4 goes into the tunnel.
    """

    name: str
    address: tuple[IpInterface, ...]
    private_key: PrivateKey | None = field(repr=False)
    engine: EngineChoice
    underlay: str | None
    tcp_port: int
    existing: bool = False
    guard: bool = True
    ipv6: Ipv6 | None = None


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """X.509 towards one peer: our chain, our own certificate first, and whom we believe.

    `crl_file` and `crl_url` are where newer revocation lists are found while we run. `pkcs1`: our
    RSA key signs as PKCS #1 v1.5 does.
    """

    chain: tuple[Certificate, ...]
    trust: Trust
    crl_file: Path | None
    crl_url: str | None
    pkcs1: bool


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer; exactly one of `public_key`, `psk` and `certificates` is there.

    `endpoint` is an address, a DNS name as text, or None: wait for the peer. `id` is None where
    any identity will do (the pre-shared key is the proof). `private_key` is ours towards this peer,
    where it needs one. `local_id` None means the address that
    the IKE SA has on this side. `ike` and `esp` are proposals in order of preference. `dpd` and
    `keepalive` are seconds. `tcp_port` is the peer's. In transport mode `networks` and
    `local_networks` are one host each; `local_networks` is empty where our own address towards the
    peer is to be found at the start.
    """

    name: str
    endpoint: IpAddress | str | None
    public_key: PublicKey | None
    psk: bytes | None = field(repr=False)
    id: Identity | None
    local_id: Identity | None
    networks: tuple[IpNetwork, ...]
    local_networks: tuple[IpNetwork, ...]
    mode: Mode
    encap: Encap
    start: Start
    ike: tuple[Transforms, ...]
    esp: tuple[Transforms, ...]
    dpd: float
    keepalive: float
    tcp_port: int
    private_key: PrivateKey | None = field(default=None, repr=False)
    certificates: CertificateConfig | None = None
    copy_dscp: bool = False
    mobike: bool = True
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    ppk: Ppk | None = None


@dataclass(frozen=True, slots=True)
class StrangerLimits:
    """None is the default of `hushwire.ike.inputs.Limits`, which says what each one means."""

    cookies_from: int | None = None
    half_open: int | None = None
    half_open_per_source: int | None = None
    half_open_timeout: float | None = None
    init_rate: int | None = None
    init_rate_per_source: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """One file: one interface and at least one peer.

    `lines` has for each peer's name the line of each key under it, and of [peer.NAME] itself as "".
    """

    path: Path
    interface: InterfaceConfig
    peers: tuple[PeerConfig, ...]
    limits: StrangerLimits = field(default_factory=StrangerLimits)
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def listens_in_tcp(self) -> bool:
        """May any of the peers come inside TCP? It is never negotiated (RFC 9329 §2)."""
        return any(peer.encap in (Encap.AUTO, Encap.TCP) for peer in self.peers)
