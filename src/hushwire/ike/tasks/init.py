"""IKE_SA_INIT: algorithms, nonces, Diffie-Hellman, NAT detection (RFC 7296 §1.2)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import KeyExchange, Rng, exchange
from hushwire.crypto.sign import SUPPORTED_HASHES
from hushwire.crypto.suites import (
    DEFAULT_IKE,
    IkeSuite,
    describe,
    has_additional,
    parse_proposal,
)
from hushwire.explain.outcome import (
    EncapsulationConflict,
    Failure,
    NoProposal,
    PeerMisbehaved,
    RefusedByPeer,
)
from hushwire.explain.ppk import PpkNotUsed
from hushwire.ike import nat
from hushwire.ike.failure import NegotiationFailedError, notify_name
from hushwire.ike.inputs import Incoming, Peer
from hushwire.ike.keys import derive_ike_keys
from hushwire.ike.proposal import Proposals, accepted, offer, texts
from hushwire.ike.protection import Protection
from hushwire.ike.states import InitOffer, InitSent, Secrets
from hushwire.records import dataclass
from hushwire.sa.association import Carrier, Encap, Encapsulation, Path
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_plain, every, first
from hushwire.wire.ike.payloads.certificate import CertificateRequest
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.registry import (
    ExchangeType,
    NotifyType,
    ProtocolId,
    TransformType,
)

_NONCE_OCTETS = 32  # at least half the key size of any PRF here (§2.10)
_MOST_RESTARTS = 5
_INIT = "IKE_SA_INIT"
_FRAGMENTATION = Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)


# The initiator.


def begin(peer: Peer, rng: Rng) -> InitOffer:
    """The first offer: a key for the key exchange that we like best."""
    found = _exchange(_methods(peer.ike_proposals)[0])
    return InitOffer(found, found.offer(rng), rng(_NONCE_OCTETS))


def build_request(peer: Peer, kept: InitOffer, spi_i: bytes, path: Path) -> bytes:
    """HDR, [N(COOKIE)], SAi1, KEi, Ni, and what we support. The cookie goes first (§2.6)."""
    payloads: tuple[Payload, ...] = (
        *(Notify(NotifyType.COOKIE, cookie) for cookie in kept.cookies[-1:]),
        offer(_offered(peer, kept), ProtocolId.IKE, b""),
        KeyExchangePayload(kept.exchange.method, kept.key.public),
        Nonce(kept.nonce),
        *nat.announce(spi_i, bytes(8), path, peer.encap),
        _hashes_supported(),
        _FRAGMENTATION,
        *_intermediate_supported(peer.ike_proposals),
        *((Notify(NotifyType.USE_PPK),) if peer.ppk else ()),
    )
    header = Header(spi_i, bytes(8), ExchangeType.IKE_SA_INIT, 0, initiator=True, response=False)
    return build_plain(header, payloads)


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin again with this offer."""

    offer: InitOffer

    @property
    def asks(self) -> bool:
        """For the first time it asks only, see `_ask`."""
        return self.offer.asking and not self.offer.restarts


def process_response(state: InitSent, incoming: Incoming, rng: Rng) -> Secrets | Restart:
    """The responder's answer. Raises `NegotiationFailedError`, `WireError` for what to ignore."""
    peer, kept = state.peer, state.offer
    header, payloads = incoming.header, incoming.message.payloads
    for notify in every(payloads, Notify):
        if notify.type == NotifyType.COOKIE or notify.is_error:
            return _restart(peer, kept, notify, rng)

    sa, ke, nonce = _essentials(payloads)
    if kept.asking:
        raise _refused(peer, kept, tuple(describe(p.transforms) for p in sa.proposals[:1]))
    chosen = accepted(peer.ike_proposals, sa, ProtocolId.IKE)
    if chosen is None:
        raise _misbehaved(peer, "it chose a proposal that we did not offer")
    suite = IkeSuite.from_transforms(chosen.transforms)
    if suite.additional and not _announced(payloads, NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED):
        raise _misbehaved(peer, "it chose an additional key exchange, and cannot do it")
    if ke.method != suite.exchange.method or ke.method != kept.exchange.method:
        raise _misbehaved(peer, "its key exchange data are not for the group that it chose")
    if not any(header.responder_spi):
        raise WireError("IKE_SA_INIT response without the responder's SPI")
    ppk = peer.ppk is not None and _announced(payloads, NotifyType.USE_PPK)
    if peer.ppk is not None and peer.ppk.required and not ppk:
        raise NegotiationFailedError(PpkNotUsed(peer.name, peer.ppk.id))
    view = nat.detect(payloads, header.initiator_spi, header.responder_spi, incoming.path)
    encapsulation = _encapsulation(peer.name, peer.encap, view, incoming.path)
    try:
        shared = kept.key.finish(ke.data)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error  # RFC 6989 §2.5: as if it had not come
    keys = derive_ike_keys(suite, shared, (kept.nonce, nonce.data), _spis(header))
    return Secrets(
        suite=suite,
        keys=keys,
        protection=Protection(suite, keys, rng, initiator=True),
        ni=kept.nonce,
        nr=nonce.data,
        init_request=state.request,
        init_response=incoming.data,
        nat=view,
        encapsulation=encapsulation,
        peer_hashes=_peer_hashes(payloads),
        fragmentation=_fragmentation(payloads),
        ppk=ppk,
    )


def _restart(peer: Peer, kept: InitOffer, notify: Notify, rng: Rng) -> Restart:
    if notify.type == NotifyType.COOKIE:
        if not 1 <= len(notify.data) <= 64:
            raise _misbehaved(peer, f"its cookie has {len(notify.data)} octets (1 to 64)")
        if notify.data in kept.cookies:
            raise WireError("the answer to an earlier request of ours: the cookie is known")
        return Restart(_again(peer, replace(kept, cookies=(*kept.cookies, notify.data))))
    if notify.type == NotifyType.INVALID_KE_PAYLOAD:
        wanted = int.from_bytes(notify.data, "big") if len(notify.data) == 2 else 0
        if wanted not in _methods(_offered(peer, kept)):
            # Only a group of ours: else an attacker could pull us down (§2.7).
            raise _misbehaved(peer, f"it wants key exchange method {wanted}, which is not offered")
        if wanted == kept.exchange.method:
            raise WireError("the answer to an earlier request of ours: the group is the wanted")
        found = _exchange(wanted)
        # §2.6.1: the same nonce, so that a cookie stays good.
        return Restart(_again(peer, replace(kept, exchange=found, key=found.offer(rng))))
    if notify.type == NotifyType.NO_PROPOSAL_CHOSEN:
        told = _told_proposals(notify.data)
        if not told and not kept.asking and peer.ike_proposals != _everything():
            return Restart(_ask(kept, rng))
        raise _refused(peer, kept, told)
    raise NegotiationFailedError(RefusedByPeer(peer.name, _INIT, notify_name(notify.type)))


def _ask(kept: InitOffer, rng: Rng) -> InitOffer:
    """The peer refuses our offer, and the RFC has no place where it could say what it would take.

    It is shown everything that we can do, once, and its choice ends the attempt: what follows is
    told to a person, and never used. So nobody who forges a refusal can weaken anything.
    """
    found = _exchange(_methods(_everything())[0])
    return replace(kept, exchange=found, key=found.offer(rng), restarts=0, asking=True)


def _offered(peer: Peer, kept: InitOffer) -> Proposals:
    return _everything() if kept.asking else peer.ike_proposals


@cache
def _everything() -> Proposals:
    return tuple(parse_proposal(text, ProtocolId.IKE) for text in DEFAULT_IKE)


def _refused(peer: Peer, kept: InitOffer, theirs: tuple[str, ...]) -> NegotiationFailedError:
    ours = texts(peer.ike_proposals)
    return NegotiationFailedError(
        NoProposal(peer.name, "IKE", ours, theirs, refused_by_us=False, asked=kept.asking)
    )


def unanswered_question(state: InitSent) -> NoProposal:
    """The peer had refused us, and does not answer what it would take."""
    return NoProposal(
        state.peer.name, "IKE", texts(state.peer.ike_proposals), (), refused_by_us=False
    )


def _again(peer: Peer, kept: InitOffer) -> InitOffer:
    restarts = kept.restarts + 1
    if restarts > _MOST_RESTARTS:
        raise _misbehaved(peer, f"it made us begin again {restarts} times")
    return replace(kept, restarts=restarts)


def _told_proposals(data: bytes) -> tuple[str, ...]:
    # NO_PROPOSAL_CHOSEN carries no data by the RFC; a Hushwire responder adds what it would take.
    try:
        told = SecurityAssociation.parse(data)
    except WireError:
        return ()
    return tuple(describe(proposal.transforms) for proposal in told.proposals)


# The responder.


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a stranger's IKE_SA_INIT is measured by, before it says who it is."""

    name: str  # of the only peer it can be, or ""
    proposals: Proposals
    encap: Encap
    certificates: CertificateRequest | None = None
    ppk: bool = False

    def carries(self, carrier: Carrier) -> bool:
        """May IKE come by TCP, or by UDP? It is a matter of configuration (RFC 9329 §2)."""
        if carrier is Carrier.TCP:
            return self.encap in (Encap.AUTO, Encap.TCP)
        return self.encap is not Encap.TCP


def answer(allowed: Allowed, incoming: Incoming, spi_r: bytes, rng: Rng) -> tuple[bytes, Secrets]:
    """HDR, SAr1, KEr, Nr, and what we support. Raises `NegotiationFailedError` to refuse.

    The Diffie-Hellman computation comes last, after all that is cheap to refuse.
    """
    payloads, path = incoming.message.payloads, incoming.path
    sa, ke, nonce = _essentials(payloads)
    # RFC 9370 §2.2.1: additional key exchanges take place in IKE_INTERMEDIATE.
    intermediate = _announced(payloads, NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED)
    possible = [p for p in sa.proposals if intermediate or not has_additional(p.transforms)]
    chosen = choose(possible, list(allowed.proposals), ProtocolId.IKE)
    if chosen is None:
        raise _no_proposal(allowed, sa, incoming.data)
    suite = IkeSuite.from_transforms(chosen.transforms)
    if ke.method != suite.exchange.method:
        wanted = suite.exchange.method.to_bytes(2, "big")
        raise NegotiationFailedError(None, Notify(NotifyType.INVALID_KE_PAYLOAD, wanted))
    spi_i = incoming.header.initiator_spi
    view = nat.detect(payloads, spi_i, bytes(8), path)
    try:
        encapsulation = _encapsulation(allowed.name, allowed.encap, view, path)
    except NegotiationFailedError as failed:
        failed.notify = Notify(NotifyType.NO_PROPOSAL_CHOSEN)
        raise
    try:
        public, shared = suite.exchange.answer(ke.data, rng)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    nr = rng(_NONCE_OCTETS)
    ppk = allowed.ppk and _announced(payloads, NotifyType.USE_PPK)
    header = Header(spi_i, spi_r, ExchangeType.IKE_SA_INIT, 0, initiator=False, response=True)
    # A peer that sent no NAT detection does not do it, and is not sent any (§2.23).
    nat_payloads = nat.announce(spi_i, spi_r, path, allowed.encap) if view.supported else ()
    said: tuple[Payload, ...] = (
        SecurityAssociation((chosen,)),
        KeyExchangePayload(suite.exchange.method, public),
        Nonce(nr),
        *nat_payloads,
        _hashes_supported(),
        *((_FRAGMENTATION,) if _fragmentation(payloads) else ()),
        *(_intermediate_supported(allowed.proposals) if intermediate else ()),
        *((Notify(NotifyType.USE_PPK),) if ppk else ()),
    )
    room = len(incoming.data) - len(build_plain(header, said))
    response = build_plain(header, (*said, *_request(allowed.certificates, room)))
    keys = derive_ike_keys(suite, shared, (nonce.data, nr), _spis(header))
    secrets = Secrets(
        suite=suite,
        keys=keys,
        protection=Protection(suite, keys, rng, initiator=False),
        ni=nonce.data,
        nr=nr,
        init_request=incoming.data,
        init_response=response,
        nat=view,
        encapsulation=encapsulation,
        peer_hashes=_peer_hashes(payloads),
        fragmentation=_fragmentation(payloads),
        ppk=ppk,
    )
    return response, secrets


def _no_proposal(
    allowed: Allowed, sa: SecurityAssociation, request: bytes
) -> NegotiationFailedError:
    outcome = NoProposal(
        allowed.name,
        "IKE",
        texts(allowed.proposals),
        tuple(describe(proposal.transforms) for proposal in sa.proposals),
        refused_by_us=True,
    )
    told = offer(allowed.proposals, ProtocolId.IKE, b"").build()
    if 28 + 8 + len(told) > len(request):
        told = b""  # a response to a stranger is never larger than its request
    return NegotiationFailedError(outcome, Notify(NotifyType.NO_PROPOSAL_CHOSEN, told))


# Both.


def _essentials(
    payloads: tuple[Payload, ...],
) -> tuple[SecurityAssociation, KeyExchangePayload, Nonce]:
    sa = first(payloads, SecurityAssociation)
    ke = first(payloads, KeyExchangePayload)
    nonce = first(payloads, Nonce)
    if sa is None or ke is None or nonce is None:
        raise WireError("IKE_SA_INIT without SA, KE and Nonce")
    return sa, ke, nonce


def _exchange(method: int) -> KeyExchange:
    found = exchange(method)
    if found is None:
        raise ValueError(f"key exchange method {method} in a proposal is not known")
    return found


def _methods(proposals: Proposals) -> list[int]:
    return [t.id for transforms in proposals for t in transforms if t.type == TransformType.KE]


def _encapsulation(name: str, wanted: Encap, view: nat.NatView, path: Path) -> Encapsulation:
    if path.carrier is Carrier.TCP:
        return Encapsulation.TCP  # RFC 9329 §6.5: a NAT changes nothing about it
    if wanted is Encap.ESP:
        return Encapsulation.ESP
    if wanted is Encap.UDP:
        if not view.supported:
            raise NegotiationFailedError(EncapsulationConflict(name))
        return Encapsulation.UDP
    return Encapsulation.UDP if view.found else Encapsulation.ESP


def _request(wanted: CertificateRequest | None, room: int) -> tuple[CertificateRequest, ...]:
    """What fits: a response to a stranger is never larger than its request.

    One that names no authority asks for a certificate of any (RFC 4945 §3.2.7.2).
    """
    if wanted is None:
        return ()
    shorter = replace(wanted, authorities=b"")
    fitting = (request for request in (wanted, shorter) if 4 + len(request.build()) <= room)
    return tuple(fitting)[:1]


def _hashes_supported() -> Notify:
    # RFC 7427 §4.
    data = b"".join(number.to_bytes(2, "big") for number in SUPPORTED_HASHES)
    return Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, data)


def _peer_hashes(payloads: tuple[Payload, ...]) -> frozenset[int]:
    return frozenset(
        int.from_bytes(notify.data[at : at + 2], "big")
        for notify in every(payloads, Notify)
        if notify.type == NotifyType.SIGNATURE_HASH_ALGORITHMS
        for at in range(0, len(notify.data) - 1, 2)
    )


def _fragmentation(payloads: tuple[Payload, ...]) -> bool:
    return any(notify.type == _FRAGMENTATION.type for notify in every(payloads, Notify))


def _intermediate_supported(proposals: Proposals) -> tuple[Notify, ...]:
    if any(has_additional(transforms) for transforms in proposals):
        return (Notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED),)
    return ()


def _announced(payloads: tuple[Payload, ...], what: NotifyType) -> bool:
    return any(notify.type == what for notify in every(payloads, Notify))


def _spis(header: Header) -> tuple[bytes, bytes]:
    return header.initiator_spi, header.responder_spi


def _misbehaved(peer: Peer, detail: str) -> NegotiationFailedError:
    outcome: Failure = PeerMisbehaved(peer.name, _INIT, detail)
    return NegotiationFailedError(outcome)
