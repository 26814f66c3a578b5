"""Keys against the formulas of RFC 7296 §2.13 to §2.17, computed here from HMAC alone."""

from __future__ import annotations

import hmac
import re

import pytest

from hushwire.crypto.suites import EspSuite, IkeSuite, parse_proposal
from hushwire.ike.keys import (
    Seed,
    derive_child_keys,
    derive_ike_keys,
    derive_mixed_ike_keys,
    derive_rekeyed_ike_keys,
    mix_ppk,
)
from hushwire.wire.registry import ProtocolId

NI, NR = bytes(range(32)), bytes(range(100, 150))
SPI_I, SPI_R = b"initiatr", b"respondr"
SECRET = bytes(range(200, 232))
CIPHERS = {"aes256gcm16": 36, "aes128gcm16": 20, "chacha20poly1305": 36}
HASHES = {"prfsha256": "sha256", "prfsha384": "sha384", "prfsha512": "sha512"}


def prf_plus(digest: str, key: bytes, seed: bytes, octets: int) -> bytes:
    """T1 = prf (K, S | 0x01), Tn = prf (K, Tn-1 | S | n) (§2.13)."""
    block, stream = b"", b""
    for n in range(1, 256):
        block = hmac.new(key, block + seed + bytes([n]), digest).digest()
        stream += block
    return stream[:octets]


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("prf", HASHES)
def test_ike_keys_are_cut_from_prf_plus_of_skeyseed(cipher: str, prf: str) -> None:
    text = f"{cipher}-{prf}-x25519"
    suite = IkeSuite.from_transforms(parse_proposal(text, ProtocolId.IKE))
    keys = derive_ike_keys(suite, SECRET, (NI, NR), (SPI_I, SPI_R))
    digest, size = HASHES[prf], hmac.new(b"", b"", HASHES[prf]).digest_size
    skeyseed = hmac.new(NI + NR, SECRET, digest).digest()
    joined = keys.d + keys.ei + keys.er + keys.pi + keys.pr
    assert joined == prf_plus(digest, skeyseed, NI + NR + SPI_I + SPI_R, len(joined))
    sizes = [len(key) for key in (keys.d, keys.ei, keys.er, keys.pi, keys.pr)]
    assert sizes == [size, CIPHERS[cipher], CIPHERS[cipher], size, size]


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("prf", HASHES)
def test_child_keys_are_cut_from_prf_plus_of_sk_d(cipher: str, prf: str) -> None:
    ike = IkeSuite.from_transforms(parse_proposal(f"aes256gcm16-{prf}-x25519", ProtocolId.IKE))
    esp = EspSuite.from_transforms(parse_proposal(cipher, ProtocolId.ESP))
    first, second = derive_child_keys(ike.prf, b"SK_d", Seed(NI, NR), esp)
    assert len(first) == len(second) == CIPHERS[cipher]
    assert first + second == prf_plus(HASHES[prf], b"SK_d", NI + NR, 2 * CIPHERS[cipher])


def test_an_additional_exchange_makes_all_keys_anew_from_sk_d() -> None:
    """RFC 9370 §2.2.2: SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr)."""
    suite = IkeSuite.from_transforms(
        parse_proposal("aes256gcm16-prfsha384-x25519-ke1_mlkem768", ProtocolId.IKE)
    )
    keys = derive_mixed_ike_keys(suite, b"SK_d", SECRET, (NI, NR), (SPI_I, SPI_R))
    skeyseed = hmac.new(b"SK_d", SECRET + NI + NR, "sha384").digest()
    joined = keys.d + keys.ei + keys.er + keys.pi + keys.pr
    assert joined == prf_plus("sha384", skeyseed, NI + NR + SPI_I + SPI_R, len(joined))


def test_a_ppk_changes_the_keys_for_auth_and_for_all_later_ones() -> None:
    """RFC 8784 §3: SK_d, SK_pi and SK_pr = prf+ (PPK, SK'); what encrypts stays."""
    suite = IkeSuite.from_transforms(parse_proposal("aes256gcm16-prfsha384-x25519", ProtocolId.IKE))
    old = derive_ike_keys(suite, SECRET, (NI, NR), (SPI_I, SPI_R))
    new = mix_ppk(suite.prf, old, b"a PPK of any length")
    for before, after in ((old.d, new.d), (old.pi, new.pi), (old.pr, new.pr)):
        assert after == hmac.new(b"a PPK of any length", before + b"\x01", "sha384").digest()
    assert (new.ei, new.er, new.ai, new.ar) == (old.ei, old.er, old.ai, old.ar)


def test_additional_exchanges_go_behind_the_nonces_of_create_child_sa() -> None:
    """RFC 9370 §2.2.4: SK(0) | Ni | Nr | SK(1) | ... SK(n)."""
    ike = IkeSuite.from_transforms(parse_proposal("aes256gcm16-prfsha384-x25519", ProtocolId.IKE))
    esp = EspSuite.from_transforms(parse_proposal("aes256gcm16", ProtocolId.ESP))
    seed = Seed(NI, NR, SECRET, b"one" + b"two")
    whole = SECRET + NI + NR + b"one" + b"two"
    first, second = derive_child_keys(ike.prf, b"SK_d", seed, esp)
    assert first + second == prf_plus("sha384", b"SK_d", whole, 72)
    keys = derive_rekeyed_ike_keys(ike, ike, b"SK_d", seed, (SPI_I, SPI_R))
    skeyseed = hmac.new(b"SK_d", whole, "sha384").digest()
    assert keys.d == prf_plus("sha384", skeyseed, NI + NR + SPI_I + SPI_R, 48)


def test_a_key_exchange_goes_before_the_nonces_of_a_rekeyed_child_sa() -> None:
    ike = IkeSuite.from_transforms(parse_proposal("aes256gcm16-prfsha384-x25519", ProtocolId.IKE))
    esp = EspSuite.from_transforms(parse_proposal("aes256gcm16", ProtocolId.ESP))
    first, second = derive_child_keys(ike.prf, b"SK_d", Seed(NI, NR, SECRET), esp)
    assert first + second == prf_plus("sha384", b"SK_d", SECRET + NI + NR, 72)


@pytest.mark.parametrize("old", HASHES)
@pytest.mark.parametrize("new", HASHES)
def test_a_rekeyed_ike_sa_has_skeyseed_from_the_old_prf_and_keys_from_the_new(
    old: str, new: str
) -> None:
    """§2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr)."""
    suites = [
        IkeSuite.from_transforms(parse_proposal(f"aes256gcm16-{prf}-x25519", ProtocolId.IKE))
        for prf in (new, old)
    ]
    sk_d = bytes(range(48))
    seed = Seed(NI, NR, SECRET)
    keys = derive_rekeyed_ike_keys(suites[0], suites[1], sk_d, seed, (SPI_I, SPI_R))
    skeyseed = hmac.new(sk_d, SECRET + NI + NR, HASHES[old]).digest()
    joined = keys.d + keys.ei + keys.er + keys.pi + keys.pr
    assert joined == prf_plus(HASHES[new], skeyseed, NI + NR + SPI_I + SPI_R, len(joined))


def test_keys_are_not_shown() -> None:
    suite = IkeSuite.from_transforms(parse_proposal("aes256gcm16-prfsha384-x25519", ProtocolId.IKE))
    keys = derive_ike_keys(suite, SECRET, (NI, NR), (SPI_I, SPI_R))
    assert repr(keys) == "IkeKeys()"
    assert not re.search(keys.d.hex(), str(keys))
