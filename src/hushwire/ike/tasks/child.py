"""The CHILD_SA inside another exchange: SA, TSi, TSr, narrowing, keys (RFC 7296 §2.9, §2.17)."""

from __future__ import annotations

from dataclasses import dataclass

from hushwire.crypto.suites import EspSuite, choose, describe
from hushwire.explain.outcome import (
    NoProposal,
    PeerMisbehaved,
    SelectorsUnacceptable,
)
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import derive_child_keys
from hushwire.ike.proposal import Proposals, accepted, offer, texts
from hushwire.ike.states import Role, Secrets
from hushwire.ike.tasks import mode
from hushwire.sa.association import ChildSa, Encapsulation, Mode, Path
from hushwire.sa.selectors import describe as describe_selector
from hushwire.sa.selectors import narrow
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation
from hushwire.wire.ike.payloads.ts import TrafficSelector, TsInitiator, TsResponder
from hushwire.wire.registry import NotifyType, ProtocolId, TransformType

_AUTH = "IKE_AUTH"
Selectors = tuple[TrafficSelector, ...]


def request(peer: Peer, inbound_spi: int) -> tuple[Payload, ...]:
    """[N(USE_TRANSPORT_MODE)], SAi2, TSi, TSr: what we would like."""
    return (
        *mode.wish(peer),
        offer(_offered(peer), ProtocolId.ESP, inbound_spi.to_bytes(4, "big")),
        TsInitiator(peer.local_selectors),
        TsResponder(peer.remote_selectors),
    )


def asked_for(payloads: tuple[Payload, ...]) -> bool:
    """Does the request want a CHILD_SA? (Without one it is childless, RFC 6023.)"""
    return first(payloads, SecurityAssociation) is not None


def answer(
    peer: Peer, secrets: Secrets, payloads: tuple[Payload, ...], inbound_spi: int, path: Path
) -> tuple[tuple[Payload, ...], ChildSa]:
    """[N(USE_TRANSPORT_MODE)], SAr2, TSi, TSr narrowed to what we allow.

    Raises `NegotiationFailedError` to refuse.
    """
    sa, tsi, tsr = _essentials(peer, payloads)
    transport = mode.answer(peer, payloads)
    chosen = choose(sa.proposals, _offered(peer), ProtocolId.ESP, with_exchange=False)
    if chosen is None:
        raise NegotiationFailedError(
            NoProposal(
                peer.name,
                "ESP",
                texts(peer.esp_proposals),
                tuple(describe(proposal.transforms) for proposal in sa.proposals),
                refused_by_us=True,
            ),
            Notify(NotifyType.NO_PROPOSAL_CHOSEN),
        )
    readings = mode.readings(transport, tsr, tsi, secrets.nat, path)
    agreed = next((found for seen in readings if (found := _narrowed(seen, peer))), None)
    if agreed is None:
        raise NegotiationFailedError(
            SelectorsUnacceptable(
                peer.name,
                our_local=_texts(peer.local_selectors),
                our_remote=_texts(peer.remote_selectors),
                their_local=_texts(tsi),
                their_remote=_texts(tsr),
            ),
            Notify(NotifyType.TS_UNACCEPTABLE),
        )
    child = _child(
        peer, secrets, _Agreed(Role.RESPONDER, chosen, inbound_spi, agreed, transport), path
    )
    mine = Proposal(
        chosen.number, ProtocolId.ESP, inbound_spi.to_bytes(4, "big"), chosen.transforms
    )
    return (
        *mode.wish(peer),
        SecurityAssociation((mine,)),
        TsInitiator(agreed.remote),
        TsResponder(agreed.local),
    ), child


def accept(
    peer: Peer, secrets: Secrets, payloads: tuple[Payload, ...], inbound_spi: int, path: Path
) -> ChildSa:
    """The responder's choice. Raises `NegotiationFailedError` for none, or a false one."""
    asked = peer.mode is Mode.TRANSPORT
    for notify in every(payloads, Notify):
        if notify.type == NotifyType.NO_PROPOSAL_CHOSEN:
            mode.check_hint(peer, payloads)
            raise NegotiationFailedError(
                NoProposal(
                    peer.name,
                    "ESP",
                    texts(peer.esp_proposals),
                    (),
                    refused_by_us=False,
                    transport=asked,
                )
            )
        if notify.type == NotifyType.TS_UNACCEPTABLE:
            raise NegotiationFailedError(
                SelectorsUnacceptable(
                    peer.name,
                    our_local=_texts(peer.local_selectors),
                    our_remote=_texts(peer.remote_selectors),
                    their_local=(),
                    their_remote=(),
                    transport=asked,
                )
            )
    sa, tsi, tsr = _essentials(peer, payloads)
    chosen = accepted(_offered(peer), sa, ProtocolId.ESP)
    if chosen is None:
        raise _misbehaved(peer, "it chose an ESP proposal that we did not offer")
    transport = mode.accept(peer, payloads)
    readings = mode.readings(transport, tsi, tsr, secrets.nat, path)
    agreed = next((seen for seen in readings if _allowed(seen, peer)), None)
    if agreed is None:
        raise _misbehaved(peer, "it widened the traffic selectors that we offered")
    return _child(
        peer, secrets, _Agreed(Role.INITIATOR, chosen, inbound_spi, agreed, transport), path
    )


def _narrowed(seen: mode.Seen, peer: Peer) -> mode.Seen | None:
    """§2.9: what both sides want; None where one end has nothing in common."""
    local = narrow(seen.local, peer.local_selectors)
    remote = narrow(seen.remote, peer.remote_selectors)
    return mode.Seen(local, remote, seen.rewritten) if local and remote else None


def _allowed(seen: mode.Seen, peer: Peer) -> bool:
    """§2.9: the responder narrows, it never widens."""
    return _inside(seen.local, peer.local_selectors) and _inside(seen.remote, peer.remote_selectors)


def _inside(answered: Selectors, offered: Selectors) -> bool:
    """Is each a part of one that was offered? None at all (only unknown kinds) is no answer."""
    return bool(answered) and all(narrow((part,), offered) == (part,) for part in answered)


def _offered(peer: Peer) -> Proposals:
    """§1.2: this CHILD_SA's keys come from the IKE SA, so no key exchange is offered for it."""
    return tuple(
        tuple(t for t in transforms if t.type != TransformType.KE)
        for transforms in peer.esp_proposals
    )


def _essentials(
    peer: Peer, payloads: tuple[Payload, ...]
) -> tuple[SecurityAssociation, Selectors, Selectors]:
    sa = first(payloads, SecurityAssociation)
    tsi = first(payloads, TsInitiator)
    tsr = first(payloads, TsResponder)
    if sa is None or tsi is None or tsr is None:
        raise _misbehaved(peer, "it left out SA, TSi or TSr")
    return sa, tsi.selectors, tsr.selectors


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What both sides have said."""

    role: Role
    chosen: Proposal
    inbound_spi: int
    seen: mode.Seen
    transport: bool


def _child(peer: Peer, secrets: Secrets, agreed: _Agreed, path: Path) -> ChildSa:
    outbound_spi = int.from_bytes(agreed.chosen.spi, "big")
    if outbound_spi < 256:
        # RFC 4303 §2.1: 0 is for local use, 1 to 255 are reserved.
        raise _misbehaved(peer, f"its ESP SPI {outbound_spi} is a reserved one")
    suite = EspSuite.from_transforms(agreed.chosen.transforms)
    from_initiator, from_responder = derive_child_keys(
        secrets.suite.prf, secrets.keys.d, secrets.ni, secrets.nr, suite
    )
    initiator = agreed.role is Role.INITIATOR
    udp = secrets.encapsulation is Encapsulation.UDP
    return ChildSa(
        peer=peer.name,
        inbound_spi=agreed.inbound_spi,
        outbound_spi=outbound_spi,
        suite=suite,
        inbound_key=from_responder if initiator else from_initiator,
        outbound_key=from_initiator if initiator else from_responder,
        local_selectors=agreed.seen.local,
        remote_selectors=agreed.seen.remote,
        encapsulation=secrets.encapsulation,
        path=path,
        keepalive=udp and secrets.nat.we_are_behind,
        replay_window=peer.replay_window,
        mode=Mode.TRANSPORT if agreed.transport else Mode.TUNNEL,
        rewritten=agreed.seen.rewritten,
    )


def selector_texts(child: ChildSa) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Local and remote selectors of an SA, as networks."""
    return _texts(child.local_selectors), _texts(child.remote_selectors)


def _texts(selectors: Selectors) -> tuple[str, ...]:
    return tuple(describe_selector(selector) for selector in selectors)


def _misbehaved(peer: Peer, detail: str) -> NegotiationFailedError:
    return NegotiationFailedError(
        PeerMisbehaved(peer.name, _AUTH, detail), Notify(NotifyType.INVALID_SYNTAX)
    )
