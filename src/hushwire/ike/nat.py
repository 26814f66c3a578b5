"""NAT detection (RFC 7296 §2.23): each side tells a hash of the addresses that it sees."""

from __future__ import annotations

import hashlib
import hmac

from hushwire.records import dataclass
from hushwire.sa.association import Address, Encap, Encapsulation, Path
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType


@dataclass(frozen=True, slots=True)
class NatView:
    """What the two hashes say. `supported` is False when the peer sent none."""

    supported: bool
    we_are_behind: bool = False
    peer_is_behind: bool = False

    @property
    def found(self) -> bool:
        return self.we_are_behind or self.peer_is_behind

    @property
    def peer_alone_is_behind(self) -> bool:
        """§2.23: then we go where its packets come from; behind a NAT too, nobody should."""
        return self.peer_is_behind and not self.we_are_behind

    def describe(self) -> str:
        if self.we_are_behind and self.peer_is_behind:
            return "both sides are behind a NAT"
        if self.we_are_behind:
            return "this side is behind a NAT"
        return "the peer is behind a NAT, or asks for UDP" if self.peer_is_behind else ""


def announce(spi_i: bytes, spi_r: bytes, path: Path, encap: Encap) -> tuple[Notify, ...]:
    """The two notifications for a message that we send on `path`.

    `Encap.ESP` sends none, which says that this side does no UDP encapsulation. `Encap.UDP` tells
    a source hash that cannot match, so that the peer sees a NAT and encapsulates.
    """
    if encap is Encap.ESP:
        return ()
    source = _hash(spi_i, spi_r, path.local)
    if encap is Encap.UDP:
        source = hashlib.sha1(b"no such address" + source).digest()
    return (
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, source),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, _hash(spi_i, spi_r, path.remote)),
    )


def detect(payloads: tuple[Payload, ...], spi_i: bytes, spi_r: bytes, path: Path) -> NatView:
    """Compare a received message's hashes with the addresses it arrived with.

    There may be several source hashes, one for each address the sender might have used.
    """
    notifies = every(payloads, Notify)
    sources = [n.data for n in notifies if n.type == NotifyType.NAT_DETECTION_SOURCE_IP]
    targets = [n.data for n in notifies if n.type == NotifyType.NAT_DETECTION_DESTINATION_IP]
    if not sources or not targets:
        return NatView(supported=False)
    remote = _hash(spi_i, spi_r, path.remote)
    local = _hash(spi_i, spi_r, path.local)
    return NatView(
        supported=True,
        we_are_behind=not any(hmac.compare_digest(local, target) for target in targets),
        peer_is_behind=not any(hmac.compare_digest(remote, source) for source in sources),
    )


def encapsulation(wanted: Encap, view: NatView) -> Encapsulation:
    """Of a CHILD_SA between hosts that both do UDP encapsulation."""
    udp = wanted is Encap.UDP or (wanted is Encap.AUTO and view.found)
    return Encapsulation.UDP if udp else Encapsulation.ESP


def _hash(spi_i: bytes, spi_r: bytes, address: Address) -> bytes:
    # SHA-1 is what §2.23 prescribes; nothing secret depends on it.
    return hashlib.sha1(
        spi_i + spi_r + address.ip.packed + address.port.to_bytes(2, "big")
    ).digest()
