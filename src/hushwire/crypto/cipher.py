"""What ESP and IKE packets are protected with: one contract, however a cipher keeps it.

Secrecy and integrity always come together here: from one algorithm (`aead.py`), or from a cipher
and a MAC (`cbc.py`). Whoever seals and opens packets need not know which.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from hushwire.crypto.exchange import Rng
from hushwire.records import dataclass
from hushwire.wire.ike.payloads.sa import Transform
from hushwire.wire.registry import EncryptionId, IntegrityId, TransformType

BytesLike = bytes | bytearray | memoryview

system_rng: Rng = os.urandom
"""The randomness of the operating system, for whoever is not given another."""


class KeyedCipher(ABC):
    """A cipher with its keys, ready for one direction of one SA."""

    __slots__ = ()

    @abstractmethod
    def seal(
        self, iv: BytesLike, plaintext: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        """Ciphertext | ICV. The ICV covers `aad`, the IV, the ciphertext and `tail`.

        The caller must never seal twice with the same IV. Raises `ValueError` for an IV or a
        plaintext of a wrong length, and for a tail where the cipher cannot cover one.
        """

    @abstractmethod
    def open(
        self, iv: BytesLike, sealed: BytesLike, aad: BytesLike, tail: BytesLike = b""
    ) -> bytes:
        """The plaintext of ciphertext | ICV.

        Raises `BadIcvError` when anything but a packet sealed under these keys is given, one too
        short to hold an IV and an ICV included.
        """


@dataclass(frozen=True, slots=True)
class Cipher(ABC):
    """How packets are protected, by its IANA numbers and its strongSwan-style name.

    `key_bits` is the Key Length attribute, None where the transform has none (RFC 7634 §4).
    `integrity` is the transform that must go with `id`, None for an AEAD, which needs no other.
    `random_iv` says that the IV must be random, where another must only never come twice.
    `block_octets` is the multiple that the cipher itself wants its plaintext to be; ESP's own
    four-octet alignment (RFC 4303 §2.4) comes on top.
    """

    id: EncryptionId
    key_bits: int | None
    integrity: IntegrityId | None
    name: str
    encryption_octets: int
    integrity_octets: int
    iv_octets: int
    random_iv: bool
    icv_octets: int
    block_octets: int

    @property
    def keymat_octets(self) -> int:
        """Octets of KEYMAT for one direction: for encryption first, then for integrity.

        RFC 7296 §2.17. What an AEAD takes for its salt counts as encryption (RFC 4106 §8.1).
        """
        return self.encryption_octets + self.integrity_octets

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What names this cipher in a proposal (RFC 7296 §3.3.2)."""
        encryption = Transform(TransformType.ENCR, self.id, self.key_bits)
        if self.integrity is None:
            return (encryption,)
        return encryption, Transform(TransformType.INTEG, self.integrity)

    def keyed(self, keymat: bytes) -> KeyedCipher:
        """Raises `ValueError` unless `keymat` has exactly `keymat_octets`."""
        if len(keymat) != self.keymat_octets:
            raise ValueError(f"{self.name} takes {self.keymat_octets} octets of keying material")
        return self._keyed(keymat)

    @abstractmethod
    def _keyed(self, keymat: bytes) -> KeyedCipher: ...

    def iv(self, number: int, rng: Rng) -> bytes:
        """The IV for the packet with this number, which no other has under the same key.

        For an AEAD it may be anything that never comes twice (RFC 4106 §3.1, RFC 7634 §2): the
        number is that. For CBC it "MUST be chosen at random, and MUST be unpredictable", and not
        come from a counter (RFC 3602 §3). The counter, encrypted, would be as unpredictable and
        need no `rng`, but it is not what the RFC says, and would need a third key to be safe.
        """
        if self.random_iv:
            return rng(self.iv_octets)
        return number.to_bytes(self.iv_octets, "big")
