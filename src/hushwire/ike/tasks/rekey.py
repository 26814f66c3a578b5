"""CREATE_CHILD_SA that rekeys the IKE SA itself (RFC 7296 §1.3.2, §2.18)."""

from __future__ import annotations

from dataclasses import field, replace

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import Offer, Rng, exchange
from hushwire.crypto.suites import IkeSuite, describe
from hushwire.explain.outcome import NoProposal
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import Seed, derive_rekeyed_ike_keys
from hushwire.ike.proposal import accepted, offer, texts
from hushwire.ike.protection import Protection
from hushwire.ike.states import IntAuth, Role, Secrets
from hushwire.ike.tasks import child
from hushwire.ike.tasks.create import CREATE, NONCE_OCTETS, answer_exchange
from hushwire.ike.tasks.followup import Agreed
from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation
from hushwire.wire.registry import NotifyType, ProtocolId

_SPI_OCTETS = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """What the initiator keeps until the response comes."""

    spi: bytes
    nonce: bytes
    method: int
    key: Offer = field(repr=False)


def wish(secrets: Secrets, spi: bytes, rng: Rng, method: int | None = None) -> Wish:
    """A new key for the key exchange of the IKE SA, which the peer has, or for `method`."""
    found = secrets.suite.exchange if method is None else exchange(method)
    if found is None:
        raise ValueError(f"key exchange method {method} is not known")
    return Wish(spi, rng(NONCE_OCTETS), found.method, found.offer(rng))


def request(peer: Peer, kept: Wish) -> tuple[Payload, ...]:
    """SA, Ni, KEi. The new SPI stands in the proposals."""
    return (
        offer(peer.ike_proposals, ProtocolId.IKE, kept.spi),
        Nonce(kept.nonce),
        KeyExchangePayload(kept.method, kept.key.public),
    )


@dataclass(frozen=True, slots=True)
class NewIke:
    """What both sides have agreed on; with a `Seed` for its keys it makes an IKE SA."""

    role: Role
    suite: IkeSuite
    own_spi: bytes
    peer_spi: bytes


def accept(peer: Peer, kept: Wish, payloads: tuple[Payload, ...]) -> Agreed[NewIke]:
    """As the initiator. Raises `NegotiationFailedError` and `WireError`."""
    sa, nonce, ke = _essentials(payloads)
    chosen = accepted(peer.ike_proposals, sa, ProtocolId.IKE)
    if chosen is None:
        raise child.misbehaved(peer, CREATE, "it chose an IKE proposal that we did not offer")
    suite = IkeSuite.from_transforms(chosen.transforms)
    if {suite.exchange.method, ke.method} != {kept.method}:
        raise child.misbehaved(peer, CREATE, "its key exchange is not the one that we began")
    try:
        shared = kept.key.finish(ke.data)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    terms = NewIke(Role.INITIATOR, suite, kept.spi, _spi(chosen))
    return _agreed(terms, Seed(kept.nonce, nonce.data, shared))


def answer(
    peer: Peer, spi: bytes, payloads: tuple[Payload, ...], rng: Rng
) -> tuple[tuple[Payload, ...], Agreed[NewIke]]:
    """As the responder: SA, Nr, KEr. Raises `NegotiationFailedError` to refuse, and `WireError`."""
    sa, nonce, _ = _essentials(payloads)
    chosen = choose(sa.proposals, peer.ike_proposals, ProtocolId.IKE)
    if chosen is None:
        raise NegotiationFailedError(
            NoProposal(
                peer.name,
                "IKE",
                texts(peer.ike_proposals),
                tuple(describe(proposal.transforms) for proposal in sa.proposals),
                refused_by_us=True,
            ),
            Notify(NotifyType.NO_PROPOSAL_CHOSEN),
        )
    peer_spi = _spi(chosen)
    suite = IkeSuite.from_transforms(chosen.transforms)
    public, shared = answer_exchange(suite.exchange.method, payloads, rng)
    seed = Seed(nonce.data, rng(NONCE_OCTETS), shared)
    agreed = _agreed(NewIke(Role.RESPONDER, suite, spi, peer_spi), seed)
    mine = Proposal(chosen.number, ProtocolId.IKE, spi, chosen.transforms)
    return (SecurityAssociation((mine,)), Nonce(seed.nr), *public), agreed


def asked_for(payloads: tuple[Payload, ...]) -> bool:
    """Is a CREATE_CHILD_SA request about the IKE SA itself?"""
    return any(
        proposal.protocol == ProtocolId.IKE
        for sa in every(payloads, SecurityAssociation)
        for proposal in sa.proposals
    )


def finish(old: Secrets, terms: NewIke, seed: Seed, rng: Rng) -> Secrets:
    """The keys of the new IKE SA, all key exchanges done."""
    suite, initiator = terms.suite, terms.role is Role.INITIATOR
    own, peer = terms.own_spi, terms.peer_spi
    keys = derive_rekeyed_ike_keys(
        suite, old.suite, old.keys.d, seed, (own, peer) if initiator else (peer, own)
    )
    return replace(
        old,
        suite=suite,
        keys=keys,
        protection=Protection(suite, keys, rng, initiator=initiator),
        ni=seed.ni,
        nr=seed.nr,
        init_request=b"",
        init_response=b"",
        int_auth=IntAuth(),
    )


def _agreed(terms: NewIke, seed: Seed) -> Agreed[NewIke]:
    return Agreed(terms, seed, tuple(each.exchange for each in terms.suite.additional))


def _essentials(
    payloads: tuple[Payload, ...],
) -> tuple[SecurityAssociation, Nonce, KeyExchangePayload]:
    sa = first(payloads, SecurityAssociation)
    nonce = first(payloads, Nonce)
    ke = first(payloads, KeyExchangePayload)
    if sa is None or nonce is None or ke is None:
        raise WireError(f"{CREATE} for an IKE SA without SA, nonce and KE")
    return sa, nonce, ke


def _spi(proposal: Proposal) -> bytes:
    spi = proposal.spi
    if len(spi) != _SPI_OCTETS or not any(spi):
        raise WireError(f"{CREATE}: an IKE SPI has 8 octets, not all zero")
    return spi
