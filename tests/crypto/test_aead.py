"""AEADs against their published vectors."""

from __future__ import annotations

import pytest

from hushwire.crypto.aead import AEADS
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import cipher
from hushwire.crypto.errors import BadIcvError
from hushwire.wire.registry import EncryptionId

CHACHA = cipher(EncryptionId.CHACHA20_POLY1305, None)
AES128 = cipher(EncryptionId.AES_GCM_16, 128)
AES256 = cipher(EncryptionId.AES_GCM_16, 256)

SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you "
    b"only one tip for the future, sunscreen would be it."
)

# name: cipher, key, salt, IV, AAD, plaintext, ciphertext | ICV
VECTORS = {
    "RFC 8439 §2.8.2": (
        CHACHA,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "07000000",
        "4041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        SUNSCREEN.hex(),
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691",
    ),
    "RFC 7634 Appendix A, ESP": (
        CHACHA,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "a0a1a2a3",
        "1011121314151617",
        "0102030400000005",
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
        "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f303132333435363701020204",
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
        "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
        "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
        "76aaa8266b7fb0f7b11b369907e1ad43",
    ),
    "RFC 7634 Appendix B, IKE": (
        CHACHA,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "a0a1a2a3",
        "1011121314151617",
        "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029",
        "0000000c000040010000000a00",
        "610394701f8d017f7c129248896b71bfe25236efd7cdc67066906315b2",
    ),
    "draft-mcgrew-gcm-test-01 §4, 128 bits, ESN": (
        AES128,
        "4c80cdefbb5d10da906ac73c3613a634",
        "2e443b68",
        "4956ed7e3b244cfe",
        "000043218765432100000000",
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
        "00000000045f736970045f756470037369700963796265726369747902646b00"
        "0021000101020201",
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
        "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
        "61bc17d768fd9732"
        "459018148f6cbe722fd04796562dfdb4",
    ),
    "draft-mcgrew-gcm-test-01 §4, 128 bits": (
        AES128,
        "feffe9928665731c6d6a8f9467308308",
        "cafebabe",
        "facedbaddecaf888",
        "0000a5f80000000a",
        "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100"
        "0001000000000000037369700963796265726369747902646b00000100010001",
        "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
        "3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1"
        "83b70d3aa8bc6ee4c309e9d85a41ad4a",
    ),
    "draft-mcgrew-gcm-test-01 §4, 256 bits": (
        AES256,
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "11223344",
        "0102030405060708",
        "4a2cbfe300000002",
        "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
        "7002400020bf0000020405b40101040201020201",
        "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
        "748a637985771d347f0545659f14e99def842d8e"
        "b335f4eecfdbf831824b4c4915956c96",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_packet_is_sealed_and_opened(name: str) -> None:
    suite, *rest = VECTORS[name]
    assert suite is not None
    key, salt, iv, aad, plaintext, sealed = (bytes.fromhex(text) for text in rest)
    keyed = suite.keyed(key + salt)
    assert keyed.seal(iv, plaintext, aad) == sealed
    assert keyed.open(iv, sealed, aad) == plaintext
    # The engine slices with memoryview and reuses its buffers.
    view = memoryview(bytearray(sealed))
    assert keyed.open(memoryview(iv), view, bytearray(aad)) == plaintext
    assert keyed.seal(bytearray(iv), memoryview(plaintext), memoryview(aad)) == sealed


@pytest.mark.parametrize("suite", AEADS, ids=lambda c: c.name)
def test_the_key_and_the_salt_both_matter(suite: Cipher) -> None:
    assert suite.integrity_octets == 0
    sealed = suite.keyed(bytes(suite.keymat_octets)).seal(bytes(8), b"abc", b"")
    salt = suite.keymat_octets - 4
    for index in (0, salt - 1, salt, suite.keymat_octets - 1):
        other = bytearray(suite.keymat_octets)
        other[index] = 1
        with pytest.raises(BadIcvError):
            suite.keyed(bytes(other)).open(bytes(8), sealed, b"")


@pytest.mark.parametrize("suite", AEADS, ids=lambda c: c.name)
def test_nothing_after_the_ciphertext_is_left_out_in_silence(suite: Cipher) -> None:
    keyed = suite.keyed(bytes(suite.keymat_octets))
    with pytest.raises(ValueError, match="AAD"):
        keyed.seal(bytes(8), b"abc", b"", b"tail")
    with pytest.raises(ValueError, match="AAD"):
        keyed.open(bytes(8), keyed.seal(bytes(8), b"abc", b""), b"", b"tail")


def test_ivs_are_the_numbers_of_the_packets() -> None:
    for suite in AEADS:
        assert [suite.iv(n, bytes) for n in (1, 258)] == [b"\0" * 7 + b"\1", b"\0" * 6 + b"\1\2"]
