"""Ciphers that protect secrecy and integrity in one (RFC 4106, RFC 5282, RFC 7634)."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hushwire.crypto.cipher import BytesLike, Cipher, KeyedCipher
from hushwire.crypto.errors import BadIcvError
from hushwire.records import dataclass
from hushwire.wire.registry import EncryptionId

# Both families agree: RFC 4106 §3 and §4, RFC 7634 §2.
_SALT_OCTETS = 4
_IV_OCTETS = 8


class _KeyedAead(KeyedCipher):
    """Sealing twice with one IV would give away the plaintexts and, with AES-GCM, the
    authentication key (RFC 4106 §2).
    """

    __slots__ = ("_aead", "_salt")

    def __init__(self, aead: AESGCM | ChaCha20Poly1305, salt: bytes) -> None:
        self._aead = aead
        self._salt = salt

    def seal(
        self, iv: BytesLike, plaintext: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        if len(iv) != _IV_OCTETS:
            raise ValueError(f"the IV must have {_IV_OCTETS} octets")
        _refuse(tail)
        return self._aead.encrypt(self._salt + iv, plaintext, aad)

    def open(
        self, iv: BytesLike, sealed: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        if len(iv) != _IV_OCTETS:
            raise BadIcvError(f"the packet has no whole IV of {_IV_OCTETS} octets")
        _refuse(tail)
        try:
            # The nonce is salt | IV: RFC 4106 §4, RFC 7634 §2.
            return self._aead.decrypt(self._salt + iv, sealed, aad)
        except InvalidTag:
            raise BadIcvError("the ICV does not match: changed, or under another key") from None


def _refuse(tail: BytesLike) -> None:
    # To leave it out in silence would leave it unauthenticated.
    if tail:
        raise ValueError("an AEAD covers nothing after its ciphertext: it belongs into the AAD")


@dataclass(frozen=True, slots=True)
class Aead(Cipher):
    """A combined mode algorithm: one key and a salt, and no integrity transform."""

    def _keyed(self, keymat: bytes) -> KeyedCipher:
        key, salt = keymat[:-_SALT_OCTETS], keymat[-_SALT_OCTETS:]
        algorithm = ChaCha20Poly1305 if self.id == EncryptionId.CHACHA20_POLY1305 else AESGCM
        return _KeyedAead(algorithm(key), salt)


def _aead(id_: EncryptionId, key_bits: int | None, name: str, key_octets: int) -> Aead:
    return Aead(
        id_,
        key_bits,
        integrity=None,
        name=name,
        encryption_octets=key_octets + _SALT_OCTETS,
        integrity_octets=0,
        iv_octets=_IV_OCTETS,
        random_iv=False,
        icv_octets=16,
        block_octets=1,
    )


AEADS: tuple[Aead, ...] = (
    _aead(EncryptionId.AES_GCM_16, 256, "aes256gcm16", 32),
    _aead(EncryptionId.CHACHA20_POLY1305, None, "chacha20poly1305", 32),
    _aead(EncryptionId.AES_GCM_16, 128, "aes128gcm16", 16),
)
"""Every AEAD here, strongest first."""
