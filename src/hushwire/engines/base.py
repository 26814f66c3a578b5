"""The contract of every engine: packets between one TUN device and the wire, by the SAs installed.

The control plane knows nothing but this. An engine fails closed: whatever goes wrong, no packet
leaves except sealed under an installed SA.
"""

from __future__ import annotations

from dataclasses import field
from socket import socket
from typing import Protocol

from hushwire.crypto.cipher import Cipher
from hushwire.esp.drops import Drop, EspDropError
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.system.fragments import Fragmenter
from hushwire.wire.ip import Flow

__all__ = [
    "EVENTS_WAITING",
    "Acquire",
    "Capabilities",
    "Counters",
    "Drop",
    "Engine",
    "EngineFailure",
    "EspDropError",
    "Event",
    "IkeDatagram",
    "Interface",
    "PathMoved",
    "SaCounters",
    "SequenceNearEnd",
    "StreamClosed",
    "UnknownSpi",
]

EVENTS_WAITING = 1000
"""IKE datagrams that wait for the daemon at most; more are dropped and counted."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What an engine works on. Whoever made the descriptors closes them, after the engine.

    `tun_fd` is non-blocking and carries IP packets, bare or, where the engine is capable of that,
    behind virtio-net headers. `udp` (port 4500) and `raw` (protocol 50)
    hold one socket for each address family, as `system.datagram` opens them. The engine reads all
    of them; others may send on them. `whole` sends packets that bring their own IP header, one
    socket for each family: transport mode needs them. `fragmenter` sends IPv6 packets larger than
    a path MTU, where the host has IPv6.
    """

    name: str
    tun_fd: int
    udp: tuple[socket, ...]
    raw: tuple[socket, ...]
    keepalive_seconds: float = 20
    whole: tuple[socket, ...] = ()
    fragmenter: Fragmenter | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this engine can do here; the control plane offers the peer nothing else.

    `tun_headers`: it is faster on a TUN device with virtio-net headers (`system.tun.open_tun`).
    """

    name: str
    ciphers: tuple[Cipher, ...]
    encapsulations: tuple[Encapsulation, ...]
    tun_headers: bool = False


@dataclass(frozen=True, slots=True)
class IkeDatagram:
    """An IKE message on UDP port 4500 or in a TCP stream, its non-ESP marker removed.

    (RFC 3948 §2.2, RFC 9329 §3.1)
    """

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Acquire:
    """This host sent a packet that no SA carries; it was dropped. At most one a second."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class SequenceNearEnd:
    """An SA will soon have used all its sequence numbers, and then stop. Said once."""

    inbound_spi: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The last word about a stream: its connection is gone, and `why`, for a person.

    Every stream that was added ends with this, also one that `close_stream` has closed.
    """

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class PathMoved:
    """An authentic packet came by another path than the SA sends on: it sends there from now on.

    By a newer stream: only the peer opens connections on such an SA (RFC 9329 §6.1). In UDP, from
    another address or port, where the SA has `follow`: a NAT has changed its mapping (RFC 7296
    §2.23). Only a packet with the highest sequence number so far shows where the peer is now; an
    older one may be late, or held back by somebody.
    """

    inbound_spi: int
    path: Path


@dataclass(frozen=True, slots=True)
class UnknownSpi:
    """ESP came by an SPI that no SA here has; ports are 0 without UDP. At most one a second.

    Whoever sends it may believe in an SA that this host has forgotten (RFC 7296 §1.5).
    """

    spi: int
    path: Path


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """The engine has stopped by itself and moves no packet any more. Still to be closed."""

    error: str


Event = (
    IkeDatagram | Acquire | SequenceNearEnd | StreamClosed | PathMoved | UnknownSpi | EngineFailure
)


@dataclass(frozen=True, slots=True)
class SaCounters:
    """One SA pair. Bytes are those of inner packets; `last_in` is in seconds of time.monotonic."""

    packets_out: int
    bytes_out: int
    packets_in: int
    bytes_in: int
    last_in: float | None


@dataclass(frozen=True, slots=True)
class Counters:
    """`drops` has every cause, 0 included; `sas` every SA pair installed, by inbound SPI.

    `features` names what the kernel can do for this engine, and whether it does that here.
    """

    drops: dict[Drop, int]
    sas: dict[int, SaCounters]
    features: dict[str, bool] = field(default_factory=dict)


class Engine(Protocol):
    """Methods may be called from any one thread, between `open` and `close`."""

    def capabilities(self) -> Capabilities:
        """The same at any time, before `open` too."""

    def open(self, interface: Interface) -> None:
        """Start to move packets; without an SA every one of them is dropped."""

    def install(self, sa: ChildSa) -> None:
        """Use the SA from now on: inbound for its SPI, outbound before all older that match.

        One that awaits proof sends only where no other does, the oldest of several first, until a
        packet has come by it or `confirm` says that the peer has it.

        Raises `ValueError` when its inbound SPI is in use, or its outbound key: counting again
        from 1 under the same key would use nonces twice.
        """

    def update(
        self,
        inbound_spi: int,
        path: Path,
        encapsulation: Encapsulation,
        *,
        keepalive: bool = False,
        follow: bool = False,
    ) -> None:
        """Send on another path from now on, `keepalive` and `follow` as in `ChildSa`.

        Raises `KeyError` for an SA that is not here.
        """

    def set_path_mtu(self, inbound_spi: int, mtu: int, whole: int) -> None:
        """How much the path of this SA takes: octets of an outer packet, IP header included.

        Inner packets that would make more than `mtu` of it are sent back by ICMP or travel in
        fragments, and TCP learns of it (MSS). Outer IPv6 packets larger than `whole` are fragmented
        here. Until this is called, everything fits; it is called again after `update`. Raises
        `KeyError` for an SA that is not here.
        """

    def confirm(self, inbound_spi: int) -> None:
        """The peer has shown, by IKE, that it holds this SA: it awaits no proof any more.

        Raises `KeyError` for an SA that is not here.
        """

    def retire(self, inbound_spi: int) -> None:
        """Send nothing on it any more, and still receive: the peer has deleted it, or will.

        Raises `KeyError` for an SA that is not here.
        """

    def remove(self, inbound_spi: int) -> None:
        """Forget the SA and its keys. Raises `KeyError` for an SA that is not here."""

    def add_stream(self, sock: socket, path: Path, *, originated: bool) -> None:
        """Take over a TCP connection, its prefix sent or read already, and close it in the end.

        `path` names it, and no other that is open. `originated`: we opened it, not the peer. The
        engine alone reads and writes, whole frames only: ESP that the connection does not take at
        once is dropped, a frame once begun is completed before the next one (RFC 9329 §3).
        """

    def send_ike(self, data: bytes, path: Path) -> None:
        """Send an IKE message on the stream that `path` names; on a stream only.

        It waits, bounded, until the connection takes it; without such a stream it is dropped.
        """

    def close_stream(self, path: Path) -> None:
        """Close the connection, if it is open."""

    def counters(self) -> Counters:
        """A snapshot. Drops count since `open`."""

    def events(self) -> list[Event]:
        """Everything that waits, oldest first; empty when nothing does. Never blocks."""

    @property
    def event_fd(self) -> int:
        """Readable while events wait."""

    def close(self) -> None:
        """Stop, and wait until stopped. Closing twice is no error."""
