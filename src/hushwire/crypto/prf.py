"""Pseudorandom functions and prf+ (RFC 7296 §2.13, RFC 4868)."""

from __future__ import annotations

import hmac

from hushwire.records import dataclass
from hushwire.wire.registry import PrfId

_HASHES = {
    PrfId.HMAC_SHA2_256: "sha256",
    PrfId.HMAC_SHA2_384: "sha384",
    PrfId.HMAC_SHA2_512: "sha512",
}


@dataclass(frozen=True, slots=True)
class Prf:
    """One PRF transform. `octets` is both its output and its preferred key length."""

    id: PrfId
    name: str
    octets: int

    def __call__(self, key: bytes, data: bytes) -> bytes:
        """prf(key, data). HMAC takes a key of any length (RFC 4868 §2.4)."""
        return hmac.digest(key, data, _HASHES[self.id])

    def plus(self, key: bytes, seed: bytes, octets: int) -> bytes:
        """The first `octets` octets of prf+(key, seed) (RFC 7296 §2.13).

        Raises `ValueError` beyond 255 blocks, where the counter octet would repeat.
        """
        if not 0 <= octets <= 255 * self.octets:
            raise ValueError(f"prf+ of {self.name} gives at most {255 * self.octets} octets")
        stream = block = b""
        counter = 0
        while len(stream) < octets:
            counter += 1
            block = self(key, block + seed + bytes([counter]))
            stream += block
        return stream[:octets]


PRFS: tuple[Prf, ...] = (
    Prf(PrfId.HMAC_SHA2_512, "prfsha512", 64),
    Prf(PrfId.HMAC_SHA2_384, "prfsha384", 48),
    Prf(PrfId.HMAC_SHA2_256, "prfsha256", 32),
)
"""Every PRF here, strongest first."""


def prf(id_: int) -> Prf | None:
    """The PRF with this transform ID, None when it is not here."""
    return next((p for p in PRFS if p.id == id_), None)
