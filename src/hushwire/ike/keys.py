"""Key derivation of the IKE SA and of a CHILD_SA (RFC 7296 §2.14, §2.17)."""

from __future__ import annotations

from dataclasses import field, replace

from hushwire.crypto.prf import Prf
from hushwire.crypto.suites import EspSuite, IkeSuite
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr.

    With an AEAD SK_e* are cipher key and salt joined (RFC 5282 §7.1), and SK_a* are empty: its
    integrity needs no key of its own.
    """

    d: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    ar: bytes = field(repr=False)
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    pi: bytes = field(repr=False)
    pr: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seed:
    """What CREATE_CHILD_SA has brought for new keys; `shared` is empty without a key exchange.

    `more` are the secrets of additional ones, in their order (RFC 9370 §2.2.4).
    """

    ni: bytes
    nr: bytes
    shared: bytes = field(default=b"", repr=False)
    more: bytes = field(default=b"", repr=False)

    @property
    def octets(self) -> bytes:
        """SK(0) | Ni | Nr | SK(1) | ... SK(n); without additional exchanges as in RFC 7296."""
        return self.shared + self.ni + self.nr + self.more

    @property
    def lowest_nonce(self) -> bytes:
        """By which two exchanges that crossed are compared (§2.8.1)."""
        return min(self.ni, self.nr)


def derive_ike_keys(
    suite: IkeSuite, shared: bytes, nonces: tuple[bytes, bytes], spis: tuple[bytes, bytes]
) -> IkeKeys:
    """SKEYSEED = prf(Ni | Nr, g^ir), and all keys from prf+ of it (RFC 7296 §2.14).

    `nonces` are Ni and Nr, `spis` SPIi and SPIr.
    """
    return _expand(suite, suite.prf(b"".join(nonces), shared), nonces, spis)


def _expand(
    suite: IkeSuite, skeyseed: bytes, nonces: tuple[bytes, bytes], spis: tuple[bytes, bytes]
) -> IkeKeys:
    prf, cipher = suite.prf, suite.cipher
    sizes = (
        prf.octets,
        *[cipher.integrity_octets] * 2,
        *[cipher.encryption_octets] * 2,
        *[prf.octets] * 2,
    )
    stream = prf.plus(skeyseed, b"".join(nonces + spis), sum(sizes))
    parts = []
    offset = 0
    for size in sizes:
        parts.append(stream[offset : offset + size])
        offset += size
    return IkeKeys(*parts)


def derive_mixed_ike_keys(
    suite: IkeSuite,
    sk_d: bytes,
    shared: bytes,
    nonces: tuple[bytes, bytes],
    spis: tuple[bytes, bytes],
) -> IkeKeys:
    """SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr): another key exchange (RFC 9370 §2.2.2)."""
    return _expand(suite, suite.prf(sk_d, shared + b"".join(nonces)), nonces, spis)


def mix_ppk(prf: Prf, keys: IkeKeys, ppk: bytes) -> IkeKeys:
    """SK_d, SK_pi and SK_pr = prf+(PPK, SK'), of the first IKE SA only (RFC 8784 §3)."""
    d, pi, pr = (prf.plus(ppk, key, len(key)) for key in (keys.d, keys.pi, keys.pr))
    return replace(keys, d=d, pi=pi, pr=pr)


def derive_rekeyed_ike_keys(
    suite: IkeSuite, old: IkeSuite, sk_d: bytes, seed: Seed, spis: tuple[bytes, bytes]
) -> IkeKeys:
    """SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr ...), by the PRF of the old IKE SA (§2.18).

    The rest is as for a first IKE SA, with the new PRF. `spis` are the new SPIi and SPIr.
    """
    skeyseed = old.prf(sk_d, seed.octets)
    return _expand(suite, skeyseed, (seed.ni, seed.nr), spis)


def derive_child_keys(prf: Prf, sk_d: bytes, seed: Seed, suite: EspSuite) -> tuple[bytes, bytes]:
    """KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr ...) (RFC 7296 §2.17).

    Returns the keys for traffic from the initiator and from the responder, in this order.
    """
    size = suite.cipher.keymat_octets
    keymat = prf.plus(sk_d, seed.octets, 2 * size)
    return keymat[:size], keymat[size:]
