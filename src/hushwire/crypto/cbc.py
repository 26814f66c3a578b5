"""AES-CBC with HMAC-SHA2, for old peers: encrypt, then MAC (RFC 3602, RFC 4868).

RFC 4303 §3.3.2.1 and RFC 7296 §3.14 put the two together in the same way: the ICV is computed over
what is sent before it, ciphertext and not plaintext, so a packet is verified before any of it is
decrypted, and wrong padding can tell an attacker nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from hushwire.crypto.cipher import BytesLike, Cipher, KeyedCipher
from hushwire.crypto.errors import BadIcvError
from hushwire.records import dataclass
from hushwire.wire.registry import EncryptionId, IntegrityId

_BLOCK_OCTETS = 16  # RFC 3602 §2.4: also the size of the IV


@dataclass(frozen=True, slots=True)
class Integrity:
    """One integrity transform (RFC 4868 §2.6): the key is as long as the hash's whole output, the
    ICV half as long.
    """

    id: IntegrityId
    name: str
    hash: str
    key_octets: int

    @property
    def icv_octets(self) -> int:
        return self.key_octets // 2

    def keyed(self, key: bytes) -> Callable[..., bytes]:
        """A function that gives the ICV of its arguments joined, under this key."""
        begun = hmac.new(key, digestmod=self.hash)  # the key mixed in once, not for each packet

        def icv(*covered: BytesLike) -> bytes:
            mac = begun.copy()
            for part in covered:
                mac.update(part)
            return mac.digest()[: self.icv_octets]

        return icv


INTEGRITIES: tuple[Integrity, ...] = (
    Integrity(IntegrityId.HMAC_SHA2_256_128, "sha256", "sha256", 32),
    Integrity(IntegrityId.HMAC_SHA2_384_192, "sha384", "sha384", 48),
    Integrity(IntegrityId.HMAC_SHA2_512_256, "sha512", "sha512", 64),
)


class _KeyedCbc(KeyedCipher):
    __slots__ = ("_aes", "_icv", "_icv_octets")

    def __init__(self, aes: AES, key: bytes, integrity: Integrity) -> None:
        self._aes = aes
        self._icv = integrity.keyed(key)
        self._icv_octets = integrity.icv_octets

    def seal(
        self, iv: BytesLike, plaintext: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        if len(iv) != _BLOCK_OCTETS:
            raise ValueError(f"the IV must have {_BLOCK_OCTETS} octets")
        if not plaintext or len(plaintext) % _BLOCK_OCTETS:
            raise ValueError(f"the plaintext must be padded to blocks of {_BLOCK_OCTETS} octets")
        encryptor = ciphers.Cipher(self._aes, CBC(iv)).encryptor()
        ciphertext = encryptor.update(plaintext) + encryptor.finalize()
        return ciphertext + self._icv(aad, iv, ciphertext, tail)

    def open(
        self, iv: BytesLike, sealed: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        if len(iv) != _BLOCK_OCTETS:
            raise BadIcvError(f"the packet has no whole IV of {_BLOCK_OCTETS} octets")
        end = len(sealed) - self._icv_octets
        if end <= 0 or end % _BLOCK_OCTETS:
            raise BadIcvError("the packet does not hold whole blocks and an ICV")
        ciphertext, icv = sealed[:end], sealed[end:]
        # In constant time, and before anything is decrypted.
        if not hmac.compare_digest(icv, self._icv(aad, iv, ciphertext, tail)):
            raise BadIcvError("the ICV does not match: changed, or under another key")
        decryptor = ciphers.Cipher(self._aes, CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()


@dataclass(frozen=True, slots=True)
class CbcHmac(Cipher):
    """AES-CBC and an integrity transform, each with a key of its own."""

    mac: Integrity

    def _keyed(self, keymat: bytes) -> KeyedCipher:
        encryption, integrity = keymat[: self.encryption_octets], keymat[self.encryption_octets :]
        return _KeyedCbc(AES(encryption), integrity, self.mac)


def _cbc(key_bits: int, mac: Integrity) -> CbcHmac:
    return CbcHmac(
        EncryptionId.AES_CBC,
        key_bits,
        integrity=mac.id,
        name=f"aes{key_bits}-{mac.name}",
        encryption_octets=key_bits // 8,
        integrity_octets=mac.key_octets,
        iv_octets=_BLOCK_OCTETS,
        random_iv=True,
        icv_octets=mac.icv_octets,
        block_octets=_BLOCK_OCTETS,
        mac=mac,
    )


CBCS: tuple[CbcHmac, ...] = tuple(_cbc(bits, mac) for bits in (256, 128) for mac in INTEGRITIES)
"""Every pair of AES-CBC and HMAC here: the longer keys first, then the shorter ICVs."""
