"""The ESP trailer: padding, pad length, next header (RFC 4303 §2.4 to §2.6)."""

from __future__ import annotations

from hushwire.crypto.cipher import Cipher
from hushwire.esp.drops import Drop, EspDropError

TRAILER_OCTETS = 2
"""Pad length and next header."""

WORD_OCTETS = 4
"""§2.4: the trailer ends on a 4-octet boundary, whatever the cipher needs."""

_PADDING = bytes(range(1, 256))


def alignment(cipher: Cipher) -> int:
    """Octets that the padded plaintext is a multiple of."""
    return max(WORD_OCTETS, cipher.block_octets)


def pad(payload: bytes, next_header: int, align: int) -> bytes:
    """Payload | 1, 2, 3, ... | pad length | next header, a multiple of `align` octets."""
    length = -(len(payload) + TRAILER_OCTETS) % align
    return payload + _PADDING[:length] + bytes((length, next_header))


def unpad(plaintext: bytes) -> tuple[bytes, int]:
    """The payload and the next header. Raises `EspDropError` for a wrong trailer.

    §2.4: the receiver SHOULD inspect the padding. Here the ICV has already spoken for it, so a
    wrong one is a peer's mistake, not an oracle for an attacker.
    """
    if len(plaintext) < TRAILER_OCTETS:
        raise EspDropError(Drop.TRUNCATED)
    length = plaintext[-2]
    end = len(plaintext) - TRAILER_OCTETS
    if length > end or plaintext[end - length : end] != _PADDING[:length]:
        raise EspDropError(Drop.BAD_PADDING)
    return plaintext[: end - length], plaintext[-1]
