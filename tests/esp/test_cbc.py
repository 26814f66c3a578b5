"""AES-CBC with HMAC in ESP: RFC 3602's packets, and RFC 4303's ICV spelled out octet by octet."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from dataclasses import replace
from ipaddress import ip_network

import pytest

from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.suites import EspSuite
from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from hushwire.sa.selectors import from_network
from tests.esp.packets import inner
from tests.sa.pairs import mirror, pair

EVERY = pytest.mark.parametrize("cipher", CBCS, ids=lambda cipher: cipher.name)
AES128 = [cipher for cipher in CBCS if cipher.key_bits == 128]
LAST_32 = (1 << 32) - 1
HASHES = {16: hashlib.sha256, 24: hashlib.sha384, 32: hashlib.sha512}

# RFC 3602 §4, the two cases in tunnel mode: sequence number, IV, original packet, encrypted data.
RFC_3602 = {
    "case 7": (
        2,
        "f4e765244f6407adf13dc1380f673f37",
        "4500005409040000 4001f988c0a87b03c0a87bc8 08009f76a90a0100b49c083d"
        "02a2040008090a0b0c0d0e0f10111213 1415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f3031323334353637",
        "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8"
        "e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5"
        "c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
    ),
    "case 8": (
        5,
        "85d47224b5f3dd5d2101d4ea8dffab22",
        "45000044090c00004001f990c0a87b03c0a87bc8 0800d63caa0a0200c69c083da3de0300" + "ff" * 32,
        "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5"
        "0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3"
        "d2726d9b5ef6affc6d17a0decbb13892",
    ),
}


def rfc_pair(cipher: Cipher) -> tuple[ChildSa, ChildSa]:
    """The SA of the RFC's examples, and a key for the ICV, which they leave out."""
    key = bytes.fromhex("0123456789abcdef0123456789abcdef") + bytes(cipher.integrity_octets)
    subnet = (from_network(ip_network("192.168.123.0/24")),)
    sender = replace(
        pair(cipher, esn=False)[0],
        outbound_spi=0x8765,
        outbound_key=key,
        suite=EspSuite(cipher, esn=False),
        local_selectors=subnet,
        remote_selectors=subnet,
    )
    return sender, mirror(sender, "sender")


@pytest.mark.parametrize("cipher", AES128, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("case", RFC_3602)
def test_the_packets_of_rfc_3602(case: str, cipher: Cipher) -> None:
    sequence, iv, original, encrypted = RFC_3602[case]
    sender, receiver = rfc_pair(cipher)

    def rng(octets: int) -> bytes:
        assert octets == 16
        return bytes.fromhex(iv)

    sealed = OutboundSa(sender, sent=sequence - 1, rng=rng).seal(bytes.fromhex(original))
    assert sealed[: -cipher.icv_octets].hex() == f"00008765{sequence:08x}{iv}{encrypted}"
    assert InboundSa(receiver).open(sealed).inner == bytes.fromhex(original)


@EVERY
@pytest.mark.parametrize(
    ("esn", "sequence"),
    [
        (False, 1),
        (False, LAST_32),
        (True, 1),
        (True, LAST_32),
        (True, 1 << 32),
        (True, 7 << 32 | 9),
    ],
)
def test_the_icv_covers_the_packet_and_the_high_bits_that_are_not_sent(
    cipher: Cipher, esn: bool, sequence: int
) -> None:
    alice, _ = pair(cipher, esn=esn)
    sealed = OutboundSa(alice, sent=sequence - 1).seal(inner(20))
    # 20 octets and the trailer are two blocks.
    assert len(sealed) == 8 + 16 + 32 + cipher.icv_octets
    assert int.from_bytes(sealed[4:8], "big") == sequence & 0xFFFFFFFF
    sent, icv = sealed[: -cipher.icv_octets], sealed[-cipher.icv_octets :]
    high = (sequence >> 32).to_bytes(4, "big") if esn else b""
    key = alice.outbound_key[cipher.encryption_octets :]
    whole = hmac.digest(key, sent + high, HASHES[cipher.icv_octets])
    assert icv == whole[: cipher.icv_octets]


@EVERY
def test_with_esn_the_same_packet_in_another_subspace_is_refused(cipher: Cipher) -> None:
    alice, bob = pair(cipher, esn=True)
    sealed = OutboundSa(alice).seal(inner(20))
    inbound = InboundSa(bob)
    inbound.window.commit((1 << 32) + 5000)  # so number 1 is taken for 2^33 + 1
    with pytest.raises(EspDropError) as refused:
        inbound.open(sealed)
    assert refused.value.drop is Drop.BAD_ICV


@EVERY
def test_every_truncation_is_refused(cipher: Cipher) -> None:
    alice, bob = pair(cipher)
    sealed = OutboundSa(alice).seal(inner(60))
    inbound = InboundSa(bob)
    shortest = 8 + 16 + 16 + cipher.icv_octets
    for length in range(len(sealed) + 32):
        changed = sealed[:length] if length < len(sealed) else sealed + bytes(length + 1)
        octets = len(changed)
        whole = octets >= shortest and (octets - shortest) % 16 == 0
        with pytest.raises(EspDropError) as refused:
            inbound.open(changed)
        assert refused.value.drop is (Drop.BAD_ICV if whole else Drop.TRUNCATED), octets
    assert inbound.open(sealed).inner == inner(60)


@EVERY
def test_ivs_are_random_and_the_same_packet_never_looks_the_same(cipher: Cipher) -> None:
    outbound = OutboundSa(pair(cipher)[0])
    packets = [outbound.seal(inner(200)) for _ in range(500)]
    ivs = [packet[8:24] for packet in packets]
    assert len(set(ivs)) == len(ivs)
    assert len({packet[24:40] for packet in packets}) == len(packets)
    # Of two random IVs half of the bits differ: a counter would be far below (RFC 3602 §3).
    differing = [
        (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
        for one, other in itertools.pairwise(ivs)
    ]
    assert 60 < sum(differing) / len(differing) < 68
