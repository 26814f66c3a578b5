"""What holds for every cipher, an AEAD or not: the contract of `crypto.cipher`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.aead import AEADS
from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher, KeyedCipher
from hushwire.crypto.ciphers import CIPHERS, cipher, ciphers_of
from hushwire.crypto.errors import BadIcvError
from hushwire.wire.ike.payloads.sa import Transform
from hushwire.wire.registry import EncryptionId, IntegrityId, TransformType

EVERY = pytest.mark.parametrize("suite", CIPHERS, ids=lambda c: c.name)
TEXT = b"attack at dawn!!" * 2  # two blocks of AES


def keyed(suite: Cipher, *, first_octet: int = 0) -> KeyedCipher:
    return suite.keyed(bytes((n + first_octet) & 0xFF for n in range(suite.keymat_octets)))


def parts(suite: Cipher) -> dict[str, bytes]:
    """Everything that goes into `open`."""
    iv, aad = bytes(range(suite.iv_octets)), b"SPI and number"
    tail = b"high" if suite.integrity else b""
    sealed = keyed(suite).seal(iv, TEXT, aad, tail)
    assert len(sealed) == len(TEXT) + suite.icv_octets
    return {"iv": iv, "sealed": sealed, "aad": aad, "tail": tail}


@EVERY
def test_any_changed_bit_is_refused(suite: Cipher) -> None:
    good = parts(suite)
    assert keyed(suite).open(**good) == TEXT
    for part, octets in good.items():
        for bit in range(len(octets) * 8):
            changed = bytearray(octets)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BadIcvError, match="ICV"):
                keyed(suite).open(**good | {part: bytes(changed)})


@EVERY
def test_every_other_length_is_refused(suite: Cipher) -> None:
    good = parts(suite)
    for octets in range(len(good["sealed"])):
        with pytest.raises(BadIcvError):
            keyed(suite).open(**good | {"sealed": good["sealed"][:octets]})
        with pytest.raises(BadIcvError):
            keyed(suite).open(**good | {"sealed": good["sealed"] + bytes(octets + 1)})
    for octets in {0, 7, 8, 9, 12, 15, 16, 17} - {suite.iv_octets}:
        with pytest.raises(BadIcvError, match="IV"):
            keyed(suite).open(**good | {"iv": bytes(octets)})
        with pytest.raises(ValueError, match="IV"):
            keyed(suite).seal(bytes(octets), TEXT, b"")


@EVERY
def test_every_octet_of_the_keying_material_matters(suite: Cipher) -> None:
    good = parts(suite)
    material = bytes(range(suite.keymat_octets))
    for index in range(suite.keymat_octets):
        other = bytearray(material)
        other[index] ^= 1
        if suite.integrity and index < suite.encryption_octets:
            # Authentic by the other key, and something else.
            assert suite.keyed(bytes(other)).open(**good) != TEXT
        else:
            with pytest.raises(BadIcvError):
                suite.keyed(bytes(other)).open(**good)


@EVERY
def test_keying_material_has_one_length(suite: Cipher) -> None:
    for octets in (0, suite.encryption_octets - 1, suite.keymat_octets - 1):
        with pytest.raises(ValueError, match=str(suite.keymat_octets)):
            suite.keyed(bytes(octets))
    with pytest.raises(ValueError, match=str(suite.keymat_octets)):
        suite.keyed(bytes(suite.keymat_octets + 1))


@EVERY
def test_no_key_shows_in_a_repr(suite: Cipher) -> None:
    assert "KKKK" not in repr(suite.keyed(b"K" * suite.keymat_octets))


def test_a_cipher_is_found_by_its_numbers_and_key_length_only() -> None:
    assert [cipher(c.id, c.key_bits, c.integrity) for c in CIPHERS] == list(CIPHERS)
    assert cipher(EncryptionId.AES_GCM_16, 256, IntegrityId.NONE) is AEADS[0]
    assert cipher(EncryptionId.AES_GCM_16, None) is None
    assert cipher(EncryptionId.AES_GCM_16, 192) is None
    # RFC 7634 §4: the Key Length attribute must not be there.
    assert cipher(EncryptionId.CHACHA20_POLY1305, 256) is None
    # An AEAD has no other integrity, and CBC needs one.
    assert cipher(EncryptionId.AES_GCM_16, 256, IntegrityId.HMAC_SHA2_256_128) is None
    assert cipher(EncryptionId.AES_CBC, 256) is None
    assert cipher(EncryptionId.AES_CBC, 192, IntegrityId.HMAC_SHA2_256_128) is None
    assert cipher(EncryptionId.AES_CBC, 256, 2) is None
    assert cipher(0, None) is None


def test_a_proposal_is_made_of_ciphers() -> None:
    assert ciphers_of(()) == ()
    assert ciphers_of(AEADS[0].transforms) == AEADS[:1]
    assert ciphers_of(t for c in CBCS for t in c.transforms) == CBCS
    assert ciphers_of([Transform(TransformType.INTEG, 12)]) == ()
    assert ciphers_of([Transform(TransformType.ENCR, 12, 256)]) == ()
    assert ciphers_of(CBCS[1].transforms) == (CBCS[1],)


@given(
    suite=st.sampled_from(CIPHERS),
    iv=st.binary(min_size=16, max_size=16),
    blocks=st.integers(1, 8),
    aad=st.binary(max_size=40),
)
def test_what_is_sealed_opens_again(suite: Cipher, iv: bytes, blocks: int, aad: bytes) -> None:
    plaintext = bytes(16 * blocks)
    iv = iv[: suite.iv_octets]
    sealed = keyed(suite).seal(iv, plaintext, aad)
    assert len(sealed) == len(plaintext) + suite.icv_octets
    assert keyed(suite).open(iv, sealed, aad) == plaintext
    view = memoryview(bytearray(sealed))
    assert keyed(suite).open(memoryview(iv), view, bytearray(aad)) == plaintext
    assert keyed(suite).seal(bytearray(iv), memoryview(plaintext), memoryview(aad)) == sealed
