"""Proposals as people write them, and suites (RFC 7296 §3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hushwire.crypto.choice import ALLOWED, NONE, choose
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS, cipher
from hushwire.crypto.errors import ProposalFormatError
from hushwire.crypto.exchange import KeyExchange, exchange
from hushwire.crypto.names import ADDITIONAL, name_of, named
from hushwire.crypto.prf import Prf, prf
from hushwire.records import dataclass
from hushwire.wire.ike.payloads.sa import Proposal, Transform
from hushwire.wire.registry import (
    EsnId,
    IntegrityId,
    PrfId,
    ProtocolId,
    TransformType,
)

# For old peers too: RFC 8247 §2.4. The larger MODP groups are there for who asks for them: they
# cost so much that a stranger should not be able to choose them.
_ECP_AND_MODP = "ecp384-ecp256-ecp521-modp4096-modp3072-modp2048"
_PRFS = "prfsha384-prfsha512-prfsha256"
DEFAULT_IKE: tuple[str, ...] = (
    # A peer that does not know RFC 9370 must pass over a proposal with its types (RFC 7296 §3.3.6),
    # so they are in one of their own.
    f"aes256gcm16-chacha20poly1305-aes128gcm16-{_PRFS}-x25519-ecp384-ecp256"
    "-ke1_mlkem768-ke1_mlkem1024",
    f"aes256gcm16-{_PRFS}-x25519-{_ECP_AND_MODP}",
    f"chacha20poly1305-{_PRFS}-x25519-{_ECP_AND_MODP}",
    f"aes128gcm16-{_PRFS}-x25519-{_ECP_AND_MODP}",
    # For old peers (RFC 8247 §2.1, §2.3: AES-CBC and HMAC-SHA2-256-128 are what every one has).
    f"aes256-aes128-sha256-sha384-sha512-{_PRFS}-x25519-{_ECP_AND_MODP}",
)
_AEADS_256_FIRST = "aes256gcm16-chacha20poly1305-aes128gcm16"
DEFAULT_ESP: tuple[str, ...] = (
    # With key exchanges, for forward secrecy, where a peer does them when rekeying.
    f"{_AEADS_256_FIRST}-x25519-ecp384-ecp256-ke1_mlkem768-ke1_mlkem1024-esn-noesn",
    f"{_AEADS_256_FIRST}-x25519-{_ECP_AND_MODP}-esn-noesn",
    # Without ESN too: many peers offer nothing else, and an SA is rekeyed long before 2^32.
    "aes256gcm16-esn-noesn",
    "chacha20poly1305-esn-noesn",
    "aes128gcm16-esn-noesn",
    # For old peers (RFC 8221 §5, §6). The longer ICVs would cost every tunnel some of its MTU.
    f"aes256-aes128-sha256-x25519-{_ECP_AND_MODP}-esn-noesn",
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
# §3.3.3: whether integrity must be there or must not is for the cipher to say (§3.3).
_MANDATORY = {ProtocolId.IKE: (_ENCR, _PRF, _KE), ProtocolId.ESP: (_ENCR, _ESN)}

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
    A key exchange in ESP is for perfect forward secrecy when rekeying. `ke1_mlkem768`, or short
    `mlkem768`, is an additional one, after the first and mixed with it (RFC 9370). Raises
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
        if transform.type not in ALLOWED[protocol]:
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
    mandatory = _MANDATORY[protocol]
    if any(t.type in ADDITIONAL for t in transforms):
        mandatory = (*mandatory, _KE)
    for kind in mandatory:
        if not any(t.type == kind for t in transforms):
            raise ProposalFormatError(f"proposal {text!r}: it needs a {_KINDS[kind]}")
    done = tuple(sorted(transforms, key=lambda t: t.type))  # a stable sort
    if choose((Proposal(1, protocol, b"", done),), (done,), protocol) is None:
        raise ProposalFormatError(
            f"proposal {text!r}: two additional key exchanges cannot but be the same one"
        )
    return done


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
    shown = [t for t in ordered if t.type != _ESN and not _goes_without_saying(t, ordered)]
    if any(t.id != EsnId.NO_ESN for t in numbers) or not shown:
        shown += numbers
    return "-".join(name_of(t) for t in shown)


def _goes_without_saying(transform: Transform, among: list[Transform]) -> bool:
    """A NONE does, unless it is one of the alternatives for an additional exchange."""
    others = [t for t in among if t.type == transform.type and t != transform]
    return transform in NONE.values() and not (transform.type in ADDITIONAL and others)


class Additional(NamedTuple):
    """An additional key exchange: ADDKE1 to ADDKE7, in this order (RFC 9370 §2.2.2)."""

    type: TransformType
    exchange: KeyExchange


def additional(transforms: Iterable[Transform]) -> tuple[Additional, ...]:
    """Those that a chosen proposal names, NONE left out. Raises `ValueError` for an unknown one."""
    found = []
    for transform in sorted(transforms, key=lambda t: t.type):
        if transform.type in ADDITIONAL and transform not in NONE.values():
            method = exchange(transform.id)
            if method is None:
                raise ValueError(f"not for a suite of Hushwire's: {name_of(transform)}")
            found.append(Additional(TransformType(transform.type), method))
    return tuple(found)


def has_additional(transforms: Iterable[Transform]) -> bool:
    """Does a proposal name additional key exchanges?"""
    return any(t.type in ADDITIONAL for t in transforms)


@dataclass(frozen=True, slots=True)
class IkeSuite:
    """The algorithms of an IKE SA."""

    cipher: Cipher
    prf: Prf
    exchange: KeyExchange
    additional: tuple[Additional, ...] = ()

    @property
    def name(self) -> str:
        return describe(self.transforms)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        mine = Transform(_PRF, self.prf.id), Transform(_KE, self.exchange.method)
        more = (Transform(each.type, each.exchange.method) for each in self.additional)
        return tuple(sorted((*self.cipher.transforms, *mine, *more), key=lambda t: t.type))

    @classmethod
    def from_transforms(cls, transforms: Iterable[Transform]) -> IkeSuite:
        """Raises `ValueError` unless there is exactly one known transform of each kind."""
        one = _one_of_each(transforms, ProtocolId.IKE)
        found_prf, found_exchange = prf(one[_PRF].id), exchange(one[_KE].id)
        if found_prf is None or found_exchange is None:
            raise ValueError(f"not a suite of Hushwire's: {describe(one.values())}")
        return cls(_cipher_of(one), found_prf, found_exchange, additional(one.values()))


@dataclass(frozen=True, slots=True)
class EspSuite:
    """The algorithms of a Child SA: its cipher, and whether it has 64-bit sequence numbers.

    Key exchanges for perfect forward secrecy are over when the SA exists, so they are no part.
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

        Key exchanges may be there and are passed over.
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
        if transform.type not in ALLOWED[protocol] or transform.unknown_attribute:
            raise ValueError(f"{name_of(transform)} does not belong to a suite for {protocol.name}")
        if transform.type in found:
            raise ValueError(f"more than one transform of type {transform.type}")
        found[TransformType(transform.type)] = transform
    for kind in _MANDATORY[protocol]:
        if kind not in found:
            raise ValueError(f"the suite lacks a {_KINDS[kind]}")
    return found


def _cipher_of(one: dict[TransformType, Transform]) -> Cipher:
    encryption, integrity = one[_ENCR], one.get(_INTEG, NONE[_INTEG])
    found = cipher(encryption.id, encryption.key_length, integrity.id)
    if found is not None:
        return found
    if encryption in _AEADS:
        raise ValueError(
            f"{name_of(encryption)} protects integrity itself: the suite must not have "
            f"{name_of(integrity)} too"
        )
    if encryption in _WITHOUT_INTEGRITY and integrity == NONE[_INTEG]:
        raise ValueError(f"the suite lacks an {_KINDS[_INTEG]}: {name_of(encryption)} brings none")
    raise ValueError(f"not a suite of Hushwire's: {describe(one.values())}")
