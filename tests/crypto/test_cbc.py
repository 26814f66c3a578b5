"""AES-CBC and HMAC-SHA2 against the vectors of their RFCs, and put together as RFC 4303 says."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from hushwire.crypto.cbc import CBCS, INTEGRITIES, CbcHmac
from hushwire.crypto.errors import BadIcvError

EVERY = pytest.mark.parametrize("suite", CBCS, ids=lambda c: c.name)

# RFC 3602 §4, the first four cases: key, IV, plaintext, ciphertext.
RFC_3602 = [
    (
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        b"Single block msg",
        "e353779c1079aeb82708942dbe77181a",
    ),
    (
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        bytes(range(32)),
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    ),
    (
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        b"This is a 48-byte message (exactly 3 AES blocks)",
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5"
        "021c19216bad525c8579695d83ba2684",
    ),
    (
        "56e47a38c5598974bc46903dba290349",
        "8ce82eefbea0da3c44699ed7db51b7d9",
        bytes(range(0xA0, 0xE0)),
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
        "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
    ),
]

# RFC 4868 §2.7.2: the octets of the key, the data, and the ICVs of 128, 192 and 256 bits. The
# keys of the fourth case for 384 and 512 bits are not regular: they are written out.
RFC_4868 = [
    (
        (b"\x0b" * 32, b"\x0b" * 48, b"\x0b" * 64),
        b"Hi There",
        "198a607eb44bfbc69903a0f1cf2bbdc5",
        "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
        "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
    ),
    (
        (b"Jefe" * 8, b"Jefe" * 12, b"Jefe" * 16),
        b"what do ya want for nothing?",
        "167f928588c5cc2eef8e3093caa0e87c",
        "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
        "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
    ),
    (
        (b"\xaa" * 32, b"\xaa" * 48, b"\xaa" * 64),
        b"\xdd" * 50,
        "cdcb1220d1ecccea91e53aba3092f962",
        "809f439be00274321d4a538652164b53554a508184a0c316",
        "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
    ),
    (
        (
            bytes(range(1, 33)),
            bytes(range(1, 33)) + bytes(range(10, 26)),
            bytes(range(1, 65)),
        ),
        b"\xcd" * 50,
        "372efcf9b40b35c2115b1346903d2ef4",
        "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c",
        "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108",
    ),
]


@pytest.mark.parametrize("case", range(4), ids=lambda n: f"case {n + 1}")
def test_the_ciphertexts_of_rfc_3602(case: int) -> None:
    key, iv, plaintext, ciphertext = RFC_3602[case]
    suites = [suite for suite in CBCS if suite.key_bits == 128]
    assert len(suites) == 3
    for suite in suites:
        keyed = suite.keyed(bytes.fromhex(key) + bytes(suite.integrity_octets))
        sealed = keyed.seal(bytes.fromhex(iv), plaintext, b"")
        assert sealed[: -suite.icv_octets].hex() == ciphertext
        assert keyed.open(bytes.fromhex(iv), sealed, b"") == plaintext


@pytest.mark.parametrize("case", range(4), ids=lambda n: f"AUTH-{n + 1}")
def test_the_icvs_of_rfc_4868(case: int) -> None:
    keys, data, *icvs = RFC_4868[case]
    assert len(INTEGRITIES) == len(icvs)
    for integrity, key, icv in zip(INTEGRITIES, keys, icvs, strict=True):
        assert len(key) == integrity.key_octets
        assert len(icv) == 2 * integrity.icv_octets
        mac = integrity.keyed(key)
        for cut in (0, 1, len(data)):
            assert mac(data[:cut], data[cut:]).hex() == icv


@EVERY
def test_the_icv_runs_over_everything_that_is_sent_and_the_tail(suite: CbcHmac) -> None:
    material = bytes(range(suite.keymat_octets))
    iv, tail = bytes(16), b"\0\0\0\7"
    sealed = suite.keyed(material).seal(iv, bytes(32), b"SPI, sequence number", tail)
    # RFC 7296 §2.17: the encryption key comes first; RFC 4868 §2.6: half the output is the ICV.
    whole = hmac.digest(
        material[suite.encryption_octets :],
        b"SPI, sequence number" + iv + sealed[:32] + tail,
        {16: hashlib.sha256, 24: hashlib.sha384, 32: hashlib.sha512}[suite.icv_octets],
    )
    assert sealed[32:] == whole[: len(whole) // 2]


@EVERY
def test_only_whole_blocks_are_sealed_or_opened(suite: CbcHmac) -> None:
    keyed = suite.keyed(bytes(suite.keymat_octets))
    for octets in (0, 1, 15, 17, 31):
        with pytest.raises(ValueError, match="blocks"):
            keyed.seal(bytes(16), bytes(octets), b"")
        # Even when the one who has the key vouches for them.
        mac = suite.mac.keyed(bytes(suite.integrity_octets))
        with pytest.raises(BadIcvError, match="blocks"):
            keyed.open(bytes(16), bytes(octets) + mac(bytes(16), bytes(octets)), b"")


@EVERY
def test_ivs_come_from_the_randomness_that_is_given(suite: CbcHmac) -> None:
    asked = []

    def rng(octets: int) -> bytes:
        asked.append(octets)
        return bytes([len(asked)]) * octets

    assert [suite.iv(1, rng), suite.iv(1, rng)] == [b"\1" * 16, b"\2" * 16]
    assert asked == [16, 16]
