"""CREATE_CHILD_SA for CHILD_SAs, new ones and rekeyed ones (RFC 7296 §1.3.1, §1.3.3, §2.17)."""

from __future__ import annotations

from dataclasses import field

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import Offer, Rng, exchange
from hushwire.crypto.names import ADDITIONAL
from hushwire.crypto.suites import additional
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import Seed
from hushwire.ike.proposal import Proposals
from hushwire.ike.tasks import child
from hushwire.ike.tasks.child import Between, Terms
from hushwire.ike.tasks.followup import Agreed
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.registry import KeyExchangeId, NotifyType, ProtocolId, TransformType

NONCE_OCTETS = 32  # at least half the key size of any PRF here (§2.10)
CREATE = "CREATE_CHILD_SA"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the initiator keeps until the response comes. `key` is None without a key exchange."""

    inbound_spi: int
    proposals: Proposals
    nonce: bytes
    method: int = KeyExchangeId.NONE
    key: Offer | None = field(default=None, repr=False)


def wish(peer: Peer, inbound_spi: int, rng: Rng, method: int | None = None) -> Wish:
    """What we would like: the configured proposals, and a key for the exchange that they name.

    `method` asks for this key exchange instead of the first one that is configured, and adds it
    where none is.
    """
    proposals = peer.esp_proposals
    configured = methods(proposals)
    if method is not None and method not in configured:
        added = Transform(TransformType.KE, method)
        proposals = tuple((*transforms, added) for transforms in child.without_exchange(peer))
        configured = [method]
    wanted = method if method is not None else next(iter(configured), KeyExchangeId.NONE)
    found = exchange(wanted)
    return Wish(
        inbound_spi,
        proposals,
        rng(NONCE_OCTETS),
        wanted,
        found.offer(rng) if found else None,
    )


def request(peer: Peer, kept: Wish, rekeyed: ChildSa | None) -> tuple[Payload, ...]:
    """[N(REKEY_SA)], [N(USE_TRANSPORT_MODE)], SA, Ni, [KEi], TSi, TSr."""
    old = (
        ()
        if rekeyed is None
        # §1.3.3: the SPI by which we receive.
        else (
            Notify(
                NotifyType.REKEY_SA,
                protocol=ProtocolId.ESP,
                spi=rekeyed.inbound_spi.to_bytes(4, "big"),
            ),
        )
    )
    ke = (KeyExchangePayload(kept.method, kept.key.public),) if kept.key else ()
    more = (Nonce(kept.nonce), *ke)
    return (*old, *child.request(peer, kept.inbound_spi, kept.proposals, more))


def accept(between: Between, kept: Wish, payloads: tuple[Payload, ...]) -> Agreed[Terms]:
    """The terms of the response, what the keys come from, and the key exchanges still to do.

    Raises `NegotiationFailedError` for none or a false one, `WireError` for what cannot be read.
    """
    peer = between.peer
    terms = child.check(between, payloads, kept.inbound_spi, kept.proposals, CREATE)
    nonce, ke = first(payloads, Nonce), first(payloads, KeyExchangePayload)
    if nonce is None:
        raise WireError(f"{CREATE} response without a nonce")
    shared = b""
    if _method(terms.chosen) != KeyExchangeId.NONE:
        if ke is None or kept.key is None or {_method(terms.chosen), ke.method} != {kept.method}:
            raise child.misbehaved(peer, CREATE, "its key exchange is not the one that we began")
        try:
            shared = kept.key.finish(ke.data)
        except BadPublicValueError as error:
            raise WireError(str(error)) from error
    return _agreed(terms, Seed(kept.nonce, nonce.data, shared))


def answer(
    between: Between, payloads: tuple[Payload, ...], inbound_spi: int, rng: Rng
) -> tuple[tuple[Payload, ...], Agreed[Terms]]:
    """[N(USE_TRANSPORT_MODE)], SA, Nr, [KEr], TSi, TSr, and as `accept` does.

    Raises `NegotiationFailedError` to refuse, `WireError` for what cannot be read.
    """
    sa, nonce = first(payloads, SecurityAssociation), first(payloads, Nonce)
    if sa is None or nonce is None:
        raise WireError(f"{CREATE} request without SA and nonce")
    chosen = _choose(between, sa.proposals)
    terms = child.judge(between, payloads, inbound_spi, chosen, CREATE)
    public, shared = answer_exchange(_method(terms.chosen), payloads, rng)
    nr = rng(NONCE_OCTETS)
    more: tuple[Payload, ...] = (Nonce(nr), *public)
    return child.response(between.peer, terms, more), _agreed(terms, Seed(nonce.data, nr, shared))


def _agreed(terms: Terms, seed: Seed) -> Agreed[Terms]:
    rest = tuple(each.exchange for each in additional(terms.chosen.transforms))
    return Agreed(terms, seed, rest)


def answer_exchange(
    method: int, payloads: tuple[Payload, ...], rng: Rng
) -> tuple[tuple[KeyExchangePayload, ...], bytes]:
    """Our public value and the shared secret; both empty for no key exchange.

    Raises `NegotiationFailedError` where the peer guessed another method (§1.3), and `WireError`.
    """
    found = exchange(method)
    if found is None:
        return (), b""
    ke = first(payloads, KeyExchangePayload)
    if ke is None or ke.method != method:
        wanted = Notify(NotifyType.INVALID_KE_PAYLOAD, method.to_bytes(2, "big"))
        raise NegotiationFailedError(None, wanted)
    try:
        public, shared = found.answer(ke.data, rng)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    return (KeyExchangePayload(method, public),), shared


def wanted_method(payloads: tuple[Payload, ...]) -> int | None:
    """The key exchange that the peer asks for by INVALID_KE_PAYLOAD, None if it does not."""
    for notify in every(payloads, Notify):
        if notify.type == NotifyType.INVALID_KE_PAYLOAD and len(notify.data) == 2:
            return int.from_bytes(notify.data, "big")
    return None


def methods(proposals: Proposals) -> list[int]:
    """The key exchanges that proposals name, the preferred one first."""
    return [t.id for transforms in proposals for t in transforms if t.type == TransformType.KE]


def _choose(between: Between, offered: tuple[Proposal, ...]) -> Proposal | None:
    """Ours as configured; else with a key exchange that the IKE SA may use as well.

    The file of a peer may ask for perfect forward secrecy where ours is silent. It shows only now,
    as IKE_AUTH has no key exchange, and it makes nothing weaker.
    """
    ours = between.peer.esp_proposals
    chosen = choose(offered, ours, ProtocolId.ESP)
    if chosen is not None or methods(ours):
        return chosen
    known = dict.fromkeys(
        tuple(t for t in transforms if t.type in (TransformType.KE, *ADDITIONAL))
        for transforms in between.peer.ike_proposals
    )
    more = [(*transforms, *exchanges) for exchanges in known for transforms in ours]
    return choose(offered, more, ProtocolId.ESP)


def _method(proposal: Proposal) -> int:
    return next(
        (t.id for t in proposal.transforms if t.type == TransformType.KE), KeyExchangeId.NONE
    )
