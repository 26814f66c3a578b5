"""Every cipher for ESP and IKE, of whatever making."""

from __future__ import annotations

from collections.abc import Iterable

from hushwire.crypto.aead import AEADS
from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher
from hushwire.wire.ike.payloads.sa import Transform

CIPHERS: tuple[Cipher, ...] = (*AEADS, *CBCS)
"""AEADs before those for old peers (RFC 8221 §5), and each strongest first."""


def cipher(id_: int, key_bits: int | None, integrity: int | None = None) -> Cipher | None:
    """The cipher with these transform IDs and this Key Length attribute, None when not here."""
    return next(
        (
            c
            for c in CIPHERS
            if (c.id, c.key_bits, c.integrity) == (id_, key_bits, integrity or None)
        ),
        None,
    )


def ciphers_of(transforms: Iterable[Transform]) -> tuple[Cipher, ...]:
    """Every cipher that a proposal with these transforms may come to."""
    offered = frozenset(transforms)
    return tuple(c for c in CIPHERS if offered.issuperset(c.transforms))
