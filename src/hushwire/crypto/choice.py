"""The choice between a peer's proposals and ours (RFC 7296 §2.7, §3.3.6, RFC 9370 §2.2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hushwire.crypto.names import ADDITIONAL
from hushwire.wire.ike.payloads.sa import Proposal, Transform
from hushwire.wire.registry import IntegrityId, KeyExchangeId, ProtocolId, TransformType

_ENCR, _PRF, _INTEG = TransformType.ENCR, TransformType.PRF, TransformType.INTEG
_KE, _ESN = TransformType.KE, TransformType.ESN

ALLOWED = {
    ProtocolId.IKE: (_ENCR, _PRF, _INTEG, _KE, *ADDITIONAL),
    ProtocolId.ESP: (_ENCR, _INTEG, _KE, _ESN, *ADDITIONAL),
}
"""Which types a proposal may have (RFC 7296 §3.3.3)."""

# §3.3.2: absent means the same as NONE, for the types that have a NONE.
NONE = {
    _INTEG: Transform(_INTEG, IntegrityId.NONE),
    _KE: Transform(_KE, KeyExchangeId.NONE),
    **{kind: Transform(kind, KeyExchangeId.NONE) for kind in ADDITIONAL},
}

_Choice = tuple[Transform, ...]


def choose(
    offered: Iterable[Proposal],
    ours: Sequence[tuple[Transform, ...]],
    protocol: ProtocolId,
    *,
    with_exchange: bool = True,
) -> Proposal | None:
    """The proposal to accept, with one transform of each type that was offered, or None.

    Our order decides, between the tuples of `ours` and between the transforms of one type. It
    keeps the number and the SPI of the offer (RFC 7296 §3.3.6). For the Child SA in IKE_AUTH pass
    `with_exchange=False`: there is no key exchange there (§1.2), so both sides' are passed over;
    otherwise none must match none.

    The initiator finds with the same function whether an answer keeps to its own offer.
    """
    offers = [p for p in offered if p.protocol == protocol]
    for wanted in ours:
        for offer in offers:
            chosen = _match(offer, wanted, protocol, with_exchange=with_exchange)
            if chosen is not None:
                return Proposal(offer.number, offer.protocol, offer.spi, chosen)
    return None


def _match(
    offer: Proposal, wanted: _Choice, protocol: ProtocolId, *, with_exchange: bool
) -> _Choice | None:
    """One transform of each type in `offer` that `wanted` has too, None when a type has none."""
    if any(t.type not in ALLOWED[protocol] for t in offer.transforms):
        return None  # §3.3.6: a proposal with a type that we do not know must not be chosen
    kinds: list[_Choice] = []
    for kind in ALLOWED[protocol]:
        if kind in (_KE, *ADDITIONAL) and not with_exchange:
            continue
        theirs = offer.of_type(kind)
        # An absent type is as good as its NONE: integrity with an AEAD (RFC 5282 §8), and a key
        # exchange where none is wanted. A type without NONE matches nothing when absent. What we
        # want has integrity exactly where its ciphers need it, so what is chosen has too.
        none = (NONE[kind],) if kind in NONE else ()
        allowed = [t for t in wanted if t.type == kind] or none
        common = tuple(t for t in allowed if t in (theirs or none))
        if not common:
            return None
        if theirs:
            kinds.append(common)
    return _one_of_each(kinds, frozenset())


def _one_of_each(kinds: Sequence[_Choice], taken: frozenset[int]) -> _Choice | None:
    """The first of each, but no additional key exchange twice (RFC 9370 §2.2.1)."""
    if not kinds:
        return ()
    for transform in kinds[0]:
        counts = transform.type in ADDITIONAL and transform.id != KeyExchangeId.NONE
        if counts and transform.id in taken:
            continue
        rest = _one_of_each(kinds[1:], taken | {transform.id} if counts else taken)
        if rest is not None:
            return (transform, *rest)
    return None
