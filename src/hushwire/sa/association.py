"""A pair of ESP SAs as the key exchange hands it to an engine (RFC 7296 §1.3: a Child SA)."""

from __future__ import annotations

from dataclasses import field
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hushwire.crypto.suites import EspSuite
from hushwire.records import dataclass
from hushwire.sa.replay import SMALLEST_WINDOW
from hushwire.wire.ike.payloads.ts import TrafficSelector

FIRST_FREE_SPI = 256
"""RFC 4303 §2.1: 0 never goes on the wire, 1 to 255 are reserved."""


class Encapsulation(Enum):
    """How ESP travels: as IP protocol 50, in UDP port 4500 (RFC 3948), or inside TCP (RFC 9329)."""

    ESP = "esp"
    UDP = "udp"
    TCP = "tcp"


class Encap(StrEnum):
    """What the user asks for.

    `AUTO` lets NAT detection choose (RFC 7296 §2.23), and TCP where UDP gets no answer (RFC 9329
    §5.1).
    """

    AUTO = "auto"
    ESP = "esp"
    UDP = "udp"
    TCP = "tcp"


class Carrier(Enum):
    """What IKE messages travel in on a path: datagrams, or one TCP connection (RFC 9329)."""

    UDP = "udp"
    TCP = "tcp"


class Mode(StrEnum):
    """RFC 4301 §4.1: a packet inside another one, or a packet that keeps its own IP header."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"


class Address(NamedTuple):
    """An IP address and a UDP or TCP port (0 where there is none)."""

    ip: IPv4Address | IPv6Address
    port: int


class Path(NamedTuple):
    """Where packets go from here: our own address and the peer's.

    With `Carrier.TCP` it names one connection, which the two addresses and ports tell from others.
    """

    local: Address
    remote: Address
    carrier: Carrier = Carrier.UDP


@dataclass(frozen=True, slots=True)
class ChildSa:
    """Both directions of one tunnel between us and `peer` (its name in the configuration).

    SPIs are integers. The inbound SPI is ours, unique among our SAs, and names the pair. Each key
    is the KEYMAT of one direction: cipher key, then salt (RFC 4106 §8.1, RFC 7634 §2).
    `keepalive` is True when we are behind a NAT (RFC 3948 §4); `follow` when the peer is behind
    one, and we are not: we send where its newest packet came from (RFC 7296 §2.23).
    `replay_window` is in packets.
    `await_proof` keeps an older SA in use for sending until the first authentic packet arrives on
    this one: who answers a rekeying cannot know earlier that the peer has it (RFC 7296 §2.8).
    In transport mode the selectors of each side have one address: the two hosts'. `rewritten` says
    that a NAT changes these on the way, so that checksums inside are to be made anew (RFC 3948
    §3.1.2).
    `copy_dscp` shows the inner packets' DSCP on the outer ones (RFC 4301 §5.1.2).
    Raises `ValueError` for what no negotiation can lead to.
    """

    peer: str
    inbound_spi: int
    outbound_spi: int
    suite: EspSuite
    inbound_key: bytes = field(repr=False)
    outbound_key: bytes = field(repr=False)
    local_selectors: tuple[TrafficSelector, ...]
    remote_selectors: tuple[TrafficSelector, ...]
    encapsulation: Encapsulation
    path: Path
    keepalive: bool = False
    follow: bool = False
    replay_window: int = 1024
    await_proof: bool = False
    mode: Mode = Mode.TUNNEL
    rewritten: bool = False
    copy_dscp: bool = False

    def __post_init__(self) -> None:
        for spi in (self.inbound_spi, self.outbound_spi):
            if not FIRST_FREE_SPI <= spi <= 0xFFFFFFFF:
                raise ValueError(f"SPI {spi:#x}: not in {FIRST_FREE_SPI:#x} to 0xffffffff")
        if self.inbound_key == self.outbound_key:
            # Both directions count from 1: one key for both would use each nonce twice.
            raise ValueError("the two directions of an SA pair have the same key")
        if self.replay_window < SMALLEST_WINDOW:
            raise ValueError(f"replay window {self.replay_window}: at least {SMALLEST_WINDOW}")
        if self.mode is Mode.TRANSPORT:
            self.hosts()  # raises

    def hosts(self) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
        """The two addresses of a transport mode SA, ours and the peer's.

        Raises `ValueError` when the selectors have any more, or two families.
        """
        local, remote = (
            {address for selector in selectors for address in (selector.start, selector.end)}
            for selectors in (self.local_selectors, self.remote_selectors)
        )
        if len(local) != 1 or len(remote) != 1:
            raise ValueError("transport mode is between two hosts, with one address each")
        pair = local.pop(), remote.pop()
        if pair[0].version != pair[1].version:
            raise ValueError("transport mode is between two addresses of one family")
        return pair
