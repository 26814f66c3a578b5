"""The CHILD_SA in any exchange: SA, TSi, TSr, narrowing, keys (RFC 7296 §2.9, §2.17).

What is peculiar to CREATE_CHILD_SA, the nonces and the key exchange, is in `create`.
"""

from __future__ import annotations

from dataclasses import replace

from hushwire.crypto.choice import choose
from hushwire.crypto.names import ADDITIONAL
from hushwire.crypto.suites import EspSuite, describe
from hushwire.explain.outcome import (
    NoProposal,
    PeerMisbehaved,
    SelectorsUnacceptable,
)
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import Seed, derive_child_keys
from hushwire.ike.proposal import Proposals, accepted, offer, texts
from hushwire.ike.states import Role, Secrets
from hushwire.ike.tasks import mode
from hushwire.records import dataclass
from hushwire.sa.association import FIRST_FREE_SPI, ChildSa, Encapsulation, Mode, Path
from hushwire.sa.selectors import describe as describe_selector
from hushwire.sa.selectors import narrow
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation
from hushwire.wire.ike.payloads.ts import TrafficSelector, TsInitiator, TsResponder
from hushwire.wire.registry import NotifyType, ProtocolId, TransformType

_AUTH = "IKE_AUTH"
Selectors = tuple[TrafficSelector, ...]


def request(
    peer: Peer, inbound_spi: int, proposals: Proposals, more: tuple[Payload, ...] = ()
) -> tuple[Payload, ...]:
    """[N(USE_TRANSPORT_MODE)], SAi2, (`more`,) TSi, TSr: what we would like."""
    return (
        *mode.wish(peer),
        offer(proposals, ProtocolId.ESP, inbound_spi.to_bytes(4, "big")),
        *more,
        TsInitiator(peer.local_selectors),
        TsResponder(peer.remote_selectors),
    )


def asked_for(payloads: tuple[Payload, ...]) -> bool:
    """Does the request want a CHILD_SA? (Without one it is childless, RFC 6023.)"""
    return first(payloads, SecurityAssociation) is not None


@dataclass(frozen=True, slots=True)
class Between:
    """The IKE SA that a CHILD_SA belongs to, as far as it matters here."""

    peer: Peer
    secrets: Secrets
    path: Path


@dataclass(frozen=True, slots=True)
class Terms:
    """What both sides have agreed on; with a `Seed` for its keys it makes an SA."""

    exchange: str
    role: Role
    chosen: Proposal
    inbound_spi: int
    seen: mode.Seen
    transport: bool

    @property
    def suite(self) -> EspSuite:
        return EspSuite.from_transforms(self.chosen.transforms)


def judge(
    between: Between,
    payloads: tuple[Payload, ...],
    inbound_spi: int,
    chosen: Proposal | None,
    exchange: str = _AUTH,
) -> Terms:
    """As the responder: the terms for a request, `chosen` being what we took of its proposals.

    Raises `NegotiationFailedError` to refuse.
    """
    peer = between.peer
    sa, tsi, tsr = _essentials(peer, payloads, exchange)
    transport = mode.answer(peer, payloads)
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
    readings = mode.readings(transport, tsr, tsi, between.secrets.nat, between.path)
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
    return Terms(exchange, Role.RESPONDER, chosen, inbound_spi, agreed, transport)


def response(peer: Peer, terms: Terms, more: tuple[Payload, ...] = ()) -> tuple[Payload, ...]:
    """[N(USE_TRANSPORT_MODE)], SAr2, (`more`,) TSi, TSr narrowed to what we allow."""
    chosen = terms.chosen
    spi = terms.inbound_spi.to_bytes(4, "big")
    return (
        *mode.wish(peer),
        SecurityAssociation((Proposal(chosen.number, ProtocolId.ESP, spi, chosen.transforms),)),
        *more,
        TsInitiator(terms.seen.remote),
        TsResponder(terms.seen.local),
    )


def answer(
    between: Between, payloads: tuple[Payload, ...], inbound_spi: int
) -> tuple[tuple[Payload, ...], ChildSa]:
    """The CHILD_SA of IKE_AUTH. Raises `NegotiationFailedError` to refuse.

    Older SAs go on until the peer has shown that it holds this one: it may be there to replace
    them, by a reauthentication (§2.8.3).
    """
    sa = first(payloads, SecurityAssociation)
    offered = sa.proposals if sa else ()
    ours = without_exchange(between.peer)
    chosen = choose(offered, ours, ProtocolId.ESP, with_exchange=False)
    terms = judge(between, payloads, inbound_spi, chosen)
    made = make(between, terms, _first_seed(between))
    return response(between.peer, terms), replace(made, await_proof=True)


def accept(between: Between, payloads: tuple[Payload, ...], inbound_spi: int) -> ChildSa:
    """The responder's choice in IKE_AUTH. Raises `NegotiationFailedError` for none, or a false."""
    terms = check(between, payloads, inbound_spi, without_exchange(between.peer))
    return make(between, terms, _first_seed(between))


def check(
    between: Between,
    payloads: tuple[Payload, ...],
    inbound_spi: int,
    proposals: Proposals,
    exchange: str = _AUTH,
) -> Terms:
    """As the initiator: the responder's terms, by what we offered.

    Raises `NegotiationFailedError` for none, or false ones.
    """
    peer = between.peer
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
    sa, tsi, tsr = _essentials(peer, payloads, exchange)
    chosen = accepted(proposals, sa, ProtocolId.ESP)
    if chosen is None:
        raise misbehaved(peer, exchange, "it chose an ESP proposal that we did not offer")
    transport = mode.accept(peer, payloads)
    readings = mode.readings(transport, tsi, tsr, between.secrets.nat, between.path)
    agreed = next((seen for seen in readings if _allowed(seen, peer)), None)
    if agreed is None:
        raise misbehaved(peer, exchange, "it widened the traffic selectors that we offered")
    return Terms(exchange, Role.INITIATOR, chosen, inbound_spi, agreed, transport)


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


def without_exchange(peer: Peer) -> Proposals:
    """§1.2: this CHILD_SA's keys come from the IKE SA, so no key exchange is offered for it."""
    left = (
        tuple(t for t in transforms if t.type not in (TransformType.KE, *ADDITIONAL))
        for transforms in peer.esp_proposals
    )
    return tuple(dict.fromkeys(left))


def _essentials(
    peer: Peer, payloads: tuple[Payload, ...], exchange: str
) -> tuple[SecurityAssociation, Selectors, Selectors]:
    sa = first(payloads, SecurityAssociation)
    tsi = first(payloads, TsInitiator)
    tsr = first(payloads, TsResponder)
    if sa is None or tsi is None or tsr is None:
        raise misbehaved(peer, exchange, "it left out SA, TSi or TSr")
    return sa, tsi.selectors, tsr.selectors


def _first_seed(between: Between) -> Seed:
    """§2.17: the keys of the first CHILD_SA come from the nonces of IKE_SA_INIT."""
    return Seed(between.secrets.ni, between.secrets.nr)


def make(between: Between, terms: Terms, seed: Seed) -> ChildSa:
    """The SA with its keys. Raises `NegotiationFailedError` for an SPI that cannot be."""
    peer, secrets = between.peer, between.secrets
    outbound_spi = int.from_bytes(terms.chosen.spi, "big")
    if outbound_spi < FIRST_FREE_SPI:
        # RFC 4303 §2.1: 0 is for local use, 1 to 255 are reserved.
        detail = f"its ESP SPI {outbound_spi} is a reserved one"
        raise misbehaved(peer, terms.exchange, detail)
    suite = terms.suite
    from_initiator, from_responder = derive_child_keys(
        secrets.suite.prf, secrets.keys.d, seed, suite
    )
    initiator = terms.role is Role.INITIATOR
    udp = secrets.encapsulation is Encapsulation.UDP
    return ChildSa(
        peer=peer.name,
        inbound_spi=terms.inbound_spi,
        outbound_spi=outbound_spi,
        suite=suite,
        inbound_key=from_responder if initiator else from_initiator,
        outbound_key=from_initiator if initiator else from_responder,
        local_selectors=terms.seen.local,
        remote_selectors=terms.seen.remote,
        encapsulation=secrets.encapsulation,
        path=between.path,
        keepalive=udp and secrets.nat.we_are_behind,
        follow=udp and secrets.nat.peer_alone_is_behind,
        replay_window=peer.replay_window,
        mode=Mode.TRANSPORT if terms.transport else Mode.TUNNEL,
        rewritten=terms.seen.rewritten,
    )


def selector_texts(child: ChildSa) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Local and remote selectors of an SA, as networks."""
    return _texts(child.local_selectors), _texts(child.remote_selectors)


def _texts(selectors: Selectors) -> tuple[str, ...]:
    return tuple(describe_selector(selector) for selector in selectors)


def misbehaved(peer: Peer, exchange: str, detail: str) -> NegotiationFailedError:
    """The peer breaks the protocol, and is told so."""
    return NegotiationFailedError(
        PeerMisbehaved(peer.name, exchange, detail), Notify(NotifyType.INVALID_SYNTAX)
    )
