"""Tunnel or transport mode (RFC 7296 §1.3.1), and transport mode across a NAT (§2.23.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from hushwire.explain.outcome import ModeConflict, PeerMisbehaved
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.nat import NatView
from hushwire.sa.association import Mode, Path
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.ts import TrafficSelector
from hushwire.wire.registry import NotifyType

_TRANSPORT = Notify(NotifyType.USE_TRANSPORT_MODE)

Selectors = tuple[TrafficSelector, ...]
IpAddress = IPv4Address | IPv6Address


def wish(peer: Peer) -> tuple[Notify, ...]:
    """What a request says, and a response that agrees to it."""
    return (_TRANSPORT,) if peer.mode is Mode.TRANSPORT else ()


def answer(peer: Peer, payloads: tuple[Payload, ...]) -> bool:
    """Whether the SA that a request asks for will be in transport mode.

    Where it asks for that and we do not, it is in tunnel mode, and the initiator may delete it.
    Raises `NegotiationFailedError` where we do only transport mode.
    """
    if peer.mode is Mode.TUNNEL:
        return False
    if not _asks(payloads):
        # No error says this. A Hushwire initiator understands the hint, others ignore it.
        raise NegotiationFailedError(
            _conflict(peer), Notify(NotifyType.NO_PROPOSAL_CHOSEN), _TRANSPORT
        )
    return True


def check_hint(peer: Peer, payloads: tuple[Payload, ...]) -> None:
    """Raises `NegotiationFailedError` where the refusal of a request was for its mode."""
    if peer.mode is Mode.TUNNEL and _asks(payloads):
        raise NegotiationFailedError(_conflict(peer))


def accept(peer: Peer, payloads: tuple[Payload, ...]) -> bool:
    """Whether the SA that a response makes is in transport mode.

    Raises `NegotiationFailedError` where it is not what we asked for.
    """
    confirmed = _asks(payloads)
    if peer.mode is Mode.TRANSPORT and not confirmed:
        raise NegotiationFailedError(_conflict(peer))
    if peer.mode is Mode.TUNNEL and confirmed:
        raise NegotiationFailedError(
            PeerMisbehaved(peer.name, "IKE_AUTH", "it chose transport mode, which we did not offer")
        )
    return confirmed


class Seen(NamedTuple):
    """Traffic selectors with addresses as this host meets them; `rewritten` if a NAT has a part."""

    local: Selectors
    remote: Selectors
    rewritten: bool = False


def readings(
    transport: bool, local: Selectors, remote: Selectors, view: NatView, path: Path
) -> Iterator[Seen]:
    """How the selectors of a message may be read, the best one first.

    §2.23.1: behind a NAT a host has another address than it knows of, so in transport mode that
    of the IKE SA takes its place. As they stand, they are right for tunnel mode; and for hosts that
    use UDP without a NAT, with addresses that are not those of the IKE SA.
    """
    if transport:
        seen = Seen(
            _at(path.local.ip, local) if view.we_are_behind else local,
            _at(path.remote.ip, remote) if view.peer_is_behind else remote,
        )
        if seen[:2] != (local, remote):
            yield seen._replace(rewritten=True)
    yield Seen(local, remote)


def _at(address: IpAddress, selectors: Selectors) -> Selectors:
    """The same with this address, where each has a single one of its family."""
    bare = ip_address(address.packed)
    if any(s.start != s.end or s.start.version != bare.version for s in selectors):
        return selectors
    return tuple(replace(selector, start=bare, end=bare) for selector in selectors)


def _asks(payloads: tuple[Payload, ...]) -> bool:
    return any(n.type == NotifyType.USE_TRANSPORT_MODE for n in every(payloads, Notify))


def _conflict(peer: Peer) -> ModeConflict:
    theirs = Mode.TUNNEL if peer.mode is Mode.TRANSPORT else Mode.TRANSPORT
    return ModeConflict(peer.name, peer.mode.value, theirs.value)
