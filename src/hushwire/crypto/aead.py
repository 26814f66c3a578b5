"""Ciphers that protect secrecy and integrity in one (RFC 4106, RFC 5282, RFC 7634)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hushwire.crypto.errors import BadIcvError
from hushwire.wire.registry import EncryptionId

BytesLike = bytes | bytearray | memoryview


class KeyedCipher:
    """A cipher with its key, ready for one direction of one SA.

    The caller must never seal twice with the same IV: that would give away the plaintexts and,
    with AES-GCM, the authentication key (RFC 4106 §2).
    """

    __slots__ = ("_aead", "_iv_octets", "_salt")

    def __init__(self, cipher: Cipher, aead: AESGCM | ChaCha20Poly1305, salt: bytes) -> None:
        self._aead = aead
        self._salt = salt
        self._iv_octets = cipher.iv_octets

    def seal(self, iv: BytesLike, plaintext: BytesLike, aad: BytesLike) -> bytes:
        """Ciphertext | ICV. Raises `ValueError` for an IV of the wrong length."""
        nonce = self._salt + iv  # salt | IV: RFC 4106 §4, RFC 7634 §2
        if len(nonce) != len(self._salt) + self._iv_octets:
            raise ValueError(f"the IV must have {self._iv_octets} octets")
        return self._aead.encrypt(nonce, plaintext, aad)

    def open(self, iv: BytesLike, sealed: BytesLike, aad: BytesLike) -> bytes:
        """The plaintext of ciphertext | ICV.

        Raises `BadIcvError` when anything but a packet sealed under this key is given, one too
        short to hold an IV and an ICV included.
        """
        nonce = self._salt + iv
        if len(nonce) != len(self._salt) + self._iv_octets:
            raise BadIcvError(f"the packet has no whole IV of {self._iv_octets} octets")
        try:
            return self._aead.decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise BadIcvError("the ICV does not match: changed, or under another key") from None


@dataclass(frozen=True, slots=True)
class Cipher:
    """One encryption transform, by its IANA number and its strongSwan-style name.

    `key_bits` is the Key Length attribute, None where the transform has none (RFC 7634 §4).
    `block_octets` is the multiple that the cipher itself wants its plaintext to be; ESP's own
    four-octet alignment (RFC 4303 §2.4) comes on top.
    """

    id: EncryptionId
    key_bits: int | None
    name: str
    key_octets: int
    salt_octets: int
    iv_octets: int
    icv_octets: int
    block_octets: int

    @property
    def keymat_octets(self) -> int:
        """Octets to take from KEYMAT: the key, then the salt (RFC 4106 §8.1, RFC 7634 §2)."""
        return self.key_octets + self.salt_octets

    def keyed(self, keymat: bytes) -> KeyedCipher:
        """Raises `ValueError` unless `keymat` has exactly `keymat_octets`."""
        if len(keymat) != self.keymat_octets:
            raise ValueError(f"{self.name} takes {self.keymat_octets} octets of keying material")
        key, salt = keymat[: self.key_octets], keymat[self.key_octets :]
        algorithm = ChaCha20Poly1305 if self.id == EncryptionId.CHACHA20_POLY1305 else AESGCM
        return KeyedCipher(self, algorithm(key), salt)


def _aead(id_: EncryptionId, key_bits: int | None, name: str, key_octets: int) -> Cipher:
    # Both families agree on the rest: RFC 4106 §3 and §4, RFC 7634 §2.
    return Cipher(
        id_,
        key_bits,
        name,
        key_octets,
        salt_octets=4,
        iv_octets=8,
        icv_octets=16,
        block_octets=1,
    )


CIPHERS: tuple[Cipher, ...] = (
    _aead(EncryptionId.AES_GCM_16, 256, "aes256gcm16", 32),
    _aead(EncryptionId.CHACHA20_POLY1305, None, "chacha20poly1305", 32),
    _aead(EncryptionId.AES_GCM_16, 128, "aes128gcm16", 16),
)
"""Every cipher here, strongest first."""


def cipher(id_: int, key_bits: int | None) -> Cipher | None:
    """The cipher with this transform ID and Key Length attribute, None when it is not here."""
    return next((c for c in CIPHERS if c.id == id_ and c.key_bits == key_bits), None)
