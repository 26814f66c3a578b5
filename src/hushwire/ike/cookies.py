"""Stateless cookies (RFC 7296 §2.6): a stranger shows that it receives at its address."""

from __future__ import annotations

import hashlib
import hmac

from hushwire.crypto.exchange import Rng
from hushwire.sa.association import Address

_LIFETIME = 60.0


class CookieJar:
    """Makes and checks cookies under a secret that changes every minute; the last one counts.

    A cookie is good for one minute at least and two at most.
    """

    def __init__(self, rng: Rng, now: float) -> None:
        self._rng = rng
        self._secret = self._previous = rng(32)
        self._changed = now

    def bake(self, nonce: bytes, address: Address, spi_i: bytes, now: float) -> bytes:
        """Hash of Ni, IPi, SPIi under the secret of now; the port belongs to the address."""
        self._refresh(now)
        return _cookie(self._secret, nonce, address, spi_i)

    def good(self, cookie: bytes, nonce: bytes, address: Address, spi_i: bytes, now: float) -> bool:
        """Was this cookie baked for the same stranger, not long ago?"""
        self._refresh(now)
        return any(
            hmac.compare_digest(cookie, _cookie(secret, nonce, address, spi_i))
            for secret in (self._secret, self._previous)
        )

    def _refresh(self, now: float) -> None:
        age = now - self._changed
        if age >= _LIFETIME:
            self._previous = self._secret if age < 2 * _LIFETIME else self._rng(32)
            self._secret = self._rng(32)
            self._changed = now


def _cookie(secret: bytes, nonce: bytes, address: Address, spi_i: bytes) -> bytes:
    stranger = address.ip.packed + address.port.to_bytes(2, "big") + spi_i
    return hmac.digest(secret, hashlib.sha256(nonce).digest() + stranger, "sha256")
