"""What MOBIKE says in IKE_AUTH and INFORMATIONAL (RFC 4555 §3, §4)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from hushwire.ike.inputs import Peer
from hushwire.records import dataclass
from hushwire.sa.association import Address, Carrier, Encap, Mode, Path
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

IpAddress = IPv4Address | IPv6Address

MOST_ADDRESSES = 8
"""Of one host: more are neither told nor kept."""

COOKIE_OCTETS = 16

_SUPPORTED = Notify(NotifyType.MOBIKE_SUPPORTED)
_UPDATE = Notify(NotifyType.UPDATE_SA_ADDRESSES)
_ADDITIONAL = {4: NotifyType.ADDITIONAL_IP4_ADDRESS, 6: NotifyType.ADDITIONAL_IP6_ADDRESS}
_SHORTEST_COOKIE, _LONGEST_COOKIE = 8, 64


# IKE_AUTH.


def offered(peer: Peer, path: Path) -> bool:
    """Do we speak MOBIKE with this peer? It is for tunnel mode (§1.3).

    A TCP connection has its own way to another one. And without NAT detection, as `encap = "esp"`
    wants it, each message would have to vouch for its addresses (§3.9).
    """
    in_udp = path.carrier is Carrier.UDP and peer.encap is not Encap.ESP
    return peer.mobike and peer.mode is Mode.TUNNEL and in_udp


def greeting(peer: Peer, path: Path, own: Iterable[IpAddress]) -> tuple[Notify, ...]:
    """§3.3, §3.4: MOBIKE_SUPPORTED, and this host's other addresses."""
    return (_SUPPORTED, *_additional(path, own)) if offered(peer, path) else ()


def agreed(peer: Peer, path: Path, payloads: tuple[Payload, ...]) -> bool:
    """Whether both sides speak it, by what the peer says in IKE_AUTH."""
    notifies = every(payloads, Notify)
    supported = any(notify.type == NotifyType.MOBIKE_SUPPORTED for notify in notifies)
    return supported and offered(peer, path) and not _changed_on_the_way(notifies, path)


# INFORMATIONAL.


@dataclass(frozen=True, slots=True)
class Told:
    """What a message says. `addresses` None: nothing about the peer's addresses.

    `cookie` is COOKIE2, b"" without one. `refusal` is an error that refuses an update.
    """

    update: bool
    addresses: frozenset[IpAddress] | None
    cookie: bytes
    refusal: Notify | None
    changed_on_the_way: bool


def read(payloads: tuple[Payload, ...], path: Path) -> Told:
    """Read a request or a response that came by `path`. Raises `WireError`."""
    notifies = every(payloads, Notify)
    cookies = [notify.data for notify in notifies if notify.type == NotifyType.COOKIE2]
    if any(not _SHORTEST_COOKIE <= len(cookie) <= _LONGEST_COOKIE for cookie in cookies):
        raise WireError("COOKIE2 of a length that RFC 4555 §4.2.5 does not allow")
    refusals = (NotifyType.UNACCEPTABLE_ADDRESSES, NotifyType.UNEXPECTED_NAT_DETECTED)
    return Told(
        any(notify.type == NotifyType.UPDATE_SA_ADDRESSES for notify in notifies),
        _addresses(notifies),
        cookies[0] if cookies else b"",
        next((notify for notify in notifies if notify.type in refusals), None),
        _changed_on_the_way(notifies, path),
    )


def update(path: Path, own: Iterable[IpAddress], cookie: bytes) -> tuple[Notify, ...]:
    """UPDATE_SA_ADDRESSES with the whole list of our addresses; NAT detection goes beside it."""
    return (_UPDATE, *announcement(path, own), *cookie2(cookie))


def announcement(path: Path, own: Iterable[IpAddress]) -> tuple[Notify, ...]:
    """§3.6: this host's addresses beside the one that the message comes from."""
    return _additional(path, own) or (Notify(NotifyType.NO_ADDITIONAL_ADDRESSES),)


def cookie2(cookie: bytes) -> tuple[Notify, ...]:
    """§3.7: what the response has to bring back, or brings back."""
    return (Notify(NotifyType.COOKIE2, cookie),) if cookie else ()


def _additional(path: Path, own: Iterable[IpAddress]) -> tuple[Notify, ...]:
    others = [address for address in own if address != path.local.ip]
    return tuple(
        Notify(_ADDITIONAL[address.version], address.packed) for address in others[:MOST_ADDRESSES]
    )


def _addresses(notifies: Iterable[Notify]) -> frozenset[IpAddress] | None:
    found: list[IpAddress] = []
    said = False
    for notify in notifies:
        if notify.type == NotifyType.NO_ADDITIONAL_ADDRESSES:
            said = True
        elif notify.type in _ADDITIONAL.values():
            said = True
            address = _address(notify)
            if len(found) < MOST_ADDRESSES and _is_a_host(address):
                found.append(address)
    return frozenset(found) if said else None


def _address(notify: Notify) -> IpAddress:
    ipv4 = notify.type == NotifyType.ADDITIONAL_IP4_ADDRESS
    if len(notify.data) != (4 if ipv4 else 16):
        raise WireError(f"an additional address of {len(notify.data)} octets")
    return IPv4Address(notify.data) if ipv4 else IPv6Address(notify.data)


def _is_a_host(address: IpAddress) -> bool:
    return not (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_reserved
    )


def _changed_on_the_way(notifies: Iterable[Notify], path: Path) -> bool:
    """§3.9: NO_NATS_ALLOWED names other addresses than those that the message came with."""
    seen = _no_nats(path.remote, path.local)
    return any(n.type == NotifyType.NO_NATS_ALLOWED and n.data != seen for n in notifies)


def _no_nats(source: Address, destination: Address) -> bytes:
    # §4.2.6: both addresses, then both ports.
    ports = source.port.to_bytes(2, "big") + destination.port.to_bytes(2, "big")
    return source.ip.packed + destination.ip.packed + ports
