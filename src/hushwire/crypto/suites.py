"""Proposals as people write them, suites, and the choice between proposals (RFC 7296 §3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS, cipher
from hushwire.crypto.errors import ProposalFormatError
from hushwire.crypto.exchange import KeyExchange, exchange
from hushwire.crypto.names import name_of, named
from hushwire.crypto.prf import Prf, prf
from hushwire.wire.ike.payloads.sa import Proposal, Transform
from hushwire.wire.registry import (
    EsnId,
    IntegrityId,
    KeyExchangeId,
    PrfId,
    ProtocolId,
    TransformType,
)

DEFAULT_IKE: tuple[str, ...] = (
    "aes256gcm16-prfsha384-prfsha512-prfsha256-x25519-ecp384-ecp256",
    "chacha20poly1305-prfsha384-prfsha512-prfsha256-x25519-ecp384-ecp256",
    "aes128gcm16-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384",
    # For old peers (RFC 8247 §2.1, §2.3: AES-CBC and HMAC-SHA2-256-128 are what every one has).
    "aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384",
)
DEFAULT_ESP: tuple[str, ...] = (
    # Without ESN too: many peers offer nothing else, and an SA is rekeyed long before 2^32.
    "aes256gcm16-esn-noesn",
    "chacha20poly1305-esn-noesn",
    "aes128gcm16-esn-noesn",
    # For old peers (RFC 8221 §5, §6). The longer ICVs would cost every tunnel some of its MTU.
    "aes256-aes128-sha256-esn-noesn",
)

_ENCR, _PRF, _INTEG = TransformType.ENCR, TransformType.PRF, TransformType.INTEG
_KE, _ESN = TransformType.KE, TransformType.ESN
_KINDS = {
    _ENCR: "cipher (aes256gcm16, …)",
    _PRF: "PRF (prfsha384, …)",
    _INTEG: "integrity algorithm for its ciphers (sha256, …)",
    _KE: "key exchange (x25519, …)",
    _ESN: "esn or noesn",
}
# RFC 7296 §3.3.3: which types there may be, which must be. Whether integrity must be there or
# must not is for the cipher to say (§3.3).
_ALLOWED = {
    ProtocolId.IKE: (_ENCR, _PRF, _INTEG, _KE),
    ProtocolId.ESP: (_ENCR, _INTEG, _KE, _ESN),
}
_MANDATORY = {ProtocolId.IKE: (_ENCR, _PRF, _KE), ProtocolId.ESP: (_ENCR, _ESN)}

# §3.3.2: absent means the same as NONE, for the types that have a NONE.
_NONE = {
    _INTEG: Transform(_INTEG, IntegrityId.NONE),
    _KE: Transform(_KE, KeyExchangeId.NONE),
}

_AEADS = frozenset(c.transforms[0] for c in CIPHERS if c.integrity is None)
_WITHOUT_INTEGRITY = frozenset(c.transforms[0] for c in CIPHERS if c.integrity is not None)
_SAME_HASH = {
    IntegrityId.HMAC_SHA2_256_128: PrfId.HMAC_SHA2_256,
    IntegrityId.HMAC_SHA2_384_192: PrfId.HMAC_SHA2_384,
    IntegrityId.HMAC_SHA2_512_256: PrfId.HMAC_SHA2_512,
}


def parse_proposal(text: str, protocol: ProtocolId) -> tuple[Transform, ...]:
    """The transforms of a string such as `aes256gcm16-prfsha384-x25519`, grouped by type.

    Several of one type are alternatives, the preferred one first. As in strongSwan, ESP without
    `esn` or `noesn` means `noesn`, and in IKE `sha256` stands for the PRF too where none is named.
    A key exchange in ESP is for perfect forward secrecy when rekeying. Raises
    `UnknownAlgorithmError` and `ProposalFormatError`.
    """
    transforms: list[Transform] = []
    for token in text.split("-"):
        if not token.strip():
            raise ProposalFormatError(
                f"proposal {text!r}: a name is missing; write names with one '-' between them"
            )
        transform = named(token)
        if transform in transforms:
            raise ProposalFormatError(f"proposal {text!r}: {name_of(transform)} is there twice")
        if transform.type not in _ALLOWED[protocol]:
            raise ProposalFormatError(
                f"proposal {text!r}: {token.strip()} has no place in a proposal for "
                f"{protocol.name}; leave it out"
            )
        transforms.append(transform)
    if protocol == ProtocolId.ESP and not any(t.type == _ESN for t in transforms):
        transforms.append(Transform(_ESN, EsnId.NO_ESN))
    _check_integrity(text, transforms)
    if protocol == ProtocolId.IKE and not any(t.type == _PRF for t in transforms):
        transforms += [
            Transform(_PRF, _SAME_HASH[IntegrityId(t.id)]) for t in transforms if t.type == _INTEG
        ]
    for kind in _MANDATORY[protocol]:
        if not any(t.type == kind for t in transforms):
            raise ProposalFormatError(f"proposal {text!r}: it needs a {_KINDS[kind]}")
    return tuple(sorted(transforms, key=lambda t: t.type))  # a stable sort


def _check_integrity(text: str, transforms: list[Transform]) -> None:
    """An integrity algorithm where the ciphers need one, none where they bring it (§3.3)."""
    combined = [name_of(t) for t in transforms if t in _AEADS]
    plain = [name_of(t) for t in transforms if t in _WITHOUT_INTEGRITY]
    integrity = [name_of(t) for t in transforms if t.type == _INTEG]
    if combined and plain:
        raise ProposalFormatError(
            f"proposal {text!r}: {combined[0]} protects integrity itself and {plain[0]} does not, "
            "so they cannot be alternatives of one proposal; write two, each a string of its own"
        )
    if combined and integrity:
        raise ProposalFormatError(
            f"proposal {text!r}: {combined[0]} protects integrity itself; leave {integrity[0]} "
            f"out, or write prf{integrity[0]} if the PRF is meant"
        )
    if plain and not integrity:
        raise ProposalFormatError(f"proposal {text!r}: it needs an {_KINDS[_INTEG]}")


def describe(transforms: Iterable[Transform]) -> str:
    """The string that `parse_proposal` reads, in strongSwan's order; `noesn` alone is left out.

    Transforms that are not used here get their strongSwan name (`3des`, `modp2048`) or their
    kind and number (`encr-99`), so that any peer's offer can be shown.
    """
    # Integrity goes before the PRF, whatever their numbers.
    ordered = sorted(transforms, key=lambda t: (t.type, 0) if t.type != _INTEG else (_ENCR, 1))
    numbers = [t for t in ordered if t.type == _ESN]
    shown = [t for t in ordered if t.type != _ESN and t not in _NONE.values()]
    if any(t.id != EsnId.NO_ESN for t in numbers) or not shown:
        shown += numbers
    return "-".join(name_of(t) for t in shown)


@dataclass(frozen=True, slots=True)
class IkeSuite:
    """The algorithms of an IKE SA."""

    cipher: Cipher
    prf: Prf
    exchange: KeyExchange

    @property
    def name(self) -> str:
        return describe(self.transforms)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        mine = Transform(_PRF, self.prf.id), Transform(_KE, self.exchange.method)
        return tuple(sorted((*self.cipher.transforms, *mine), key=lambda t: t.type))

    @classmethod
    def from_transforms(cls, transforms: Iterable[Transform]) -> IkeSuite:
        """Raises `ValueError` unless there is exactly one known transform of each kind."""
        one = _one_of_each(transforms, ProtocolId.IKE)
        found_prf, found_exchange = prf(one[_PRF].id), exchange(one[_KE].id)
        if found_prf is None or found_exchange is None:
            raise ValueError(f"not a suite of Hushwire's: {describe(one.values())}")
        return cls(_cipher_of(one), found_prf, found_exchange)


@dataclass(frozen=True, slots=True)
class EspSuite:
    """The algorithms of a Child SA: its cipher, and whether it has 64-bit sequence numbers.

    A key exchange for perfect forward secrecy is over when the SA exists, so it is no part.
    """

    cipher: Cipher
    esn: bool

    @property
    def name(self) -> str:
        return describe(self.transforms)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return (
            *self.cipher.transforms,
            Transform(_ESN, EsnId.ESN if self.esn else EsnId.NO_ESN),
        )

    @classmethod
    def from_transforms(cls, transforms: Iterable[Transform]) -> EspSuite:
        """Raises `ValueError` unless there is exactly one known transform of each kind.

        One key exchange may be there and is passed over.
        """
        one = _one_of_each(transforms, ProtocolId.ESP)
        if one[_ESN].id not in (EsnId.NO_ESN, EsnId.ESN):
            raise ValueError(f"not a suite of Hushwire's: {describe(one.values())}")
        return cls(_cipher_of(one), one[_ESN].id == EsnId.ESN)


def _one_of_each(
    transforms: Iterable[Transform], protocol: ProtocolId
) -> dict[TransformType, Transform]:
    found: dict[TransformType, Transform] = {}
    for transform in transforms:
        if transform.type not in _ALLOWED[protocol] or transform.unknown_attribute:
            raise ValueError(f"{name_of(transform)} does not belong to a suite for {protocol.name}")
        if transform.type in found:
            raise ValueError(f"more than one transform of type {transform.type}")
        found[TransformType(transform.type)] = transform
    for kind in _MANDATORY[protocol]:
        if kind not in found:
            raise ValueError(f"the suite lacks a {_KINDS[kind]}")
    return found


def _cipher_of(one: dict[TransformType, Transform]) -> Cipher:
    encryption, integrity = one[_ENCR], one.get(_INTEG, _NONE[_INTEG])
    found = cipher(encryption.id, encryption.key_length, integrity.id)
    if found is not None:
        return found
    if encryption in _AEADS:
        raise ValueError(
            f"{name_of(encryption)} protects integrity itself: the suite must not have "
            f"{name_of(integrity)} too"
        )
    if encryption in _WITHOUT_INTEGRITY and integrity == _NONE[_INTEG]:
        raise ValueError(f"the suite lacks an {_KINDS[_INTEG]}: {name_of(encryption)} brings none")
    raise ValueError(f"not a suite of Hushwire's: {describe(one.values())}")


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
    offer: Proposal, wanted: tuple[Transform, ...], protocol: ProtocolId, *, with_exchange: bool
) -> tuple[Transform, ...] | None:
    """One transform of each type in `offer` that `wanted` has too, None when a type has none."""
    if any(t.type not in _ALLOWED[protocol] for t in offer.transforms):
        return None  # §3.3.6: a proposal with a type that we do not know must not be chosen
    chosen: list[Transform] = []
    for kind in _ALLOWED[protocol]:
        if kind == _KE and not with_exchange:
            continue
        theirs = offer.of_type(kind)
        # An absent type is as good as its NONE: integrity with an AEAD (RFC 5282 §8), and a key
        # exchange where none is wanted. A type without NONE matches nothing when absent. What we
        # want has integrity exactly where its ciphers need it, so what is chosen has too.
        none = (_NONE[kind],) if kind in _NONE else ()
        allowed = [t for t in wanted if t.type == kind] or none
        common = next((t for t in allowed if t in (theirs or none)), None)
        if common is None:
            return None
        if theirs:
            chosen.append(common)
    return tuple(chosen)
