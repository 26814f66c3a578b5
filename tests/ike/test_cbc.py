"""The SK payload and its keys under AES-CBC with HMAC (RFC 7296 §2.14, §2.17, §3.14)."""

from __future__ import annotations

import hmac
import random
from dataclasses import replace

import pytest

from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.errors import BadIcvError
from hushwire.crypto.exchange import exchange
from hushwire.crypto.prf import PRFS, Prf
from hushwire.crypto.suites import EspSuite, IkeSuite
from hushwire.ike.keys import IkeKeys, Seed, derive_child_keys, derive_ike_keys
from hushwire.ike.protection import Protection
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Message, Payload, build_chain, build_sk_head
from hushwire.wire.ike.payloads.encrypted import Encrypted
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import ExchangeType, KeyExchangeId
from tests.wire import samples

EVERY = pytest.mark.parametrize("cipher", CBCS, ids=lambda cipher: cipher.name)
HEADER = samples.header(ExchangeType.IKE_AUTH)
HASHES = {16: "sha256", 24: "sha384", 32: "sha512"}
NONCES, SPIS = (bytes(range(32)), bytes(range(50, 90))), (b"initiatr", b"respondr")


def suite_of(cipher: Cipher, prf: Prf = PRFS[0]) -> IkeSuite:
    x25519 = exchange(KeyExchangeId.X25519)
    assert x25519 is not None
    return IkeSuite(cipher, prf, x25519)


def ends(cipher: Cipher, seed: int = 0) -> tuple[Protection, Protection, IkeKeys]:
    suite = suite_of(cipher)
    keys = derive_ike_keys(suite, b"secret", NONCES, SPIS)
    rng = random.Random(seed).randbytes
    return (
        Protection(suite, keys, rng, initiator=True),
        Protection(suite, keys, rng, initiator=False),
        keys,
    )


def encrypted(message: bytes) -> Encrypted:
    sealed = Message.parse(message).encrypted
    assert sealed is not None
    return sealed


def prf_plus(digest: str, key: bytes, seed: bytes, octets: int) -> bytes:
    """T1 = prf (K, S | 0x01), Tn = prf (K, Tn-1 | S | n) (§2.13)."""
    block, stream = b"", b""
    for n in range(1, 256):
        block = hmac.digest(key, block + seed + bytes([n]), digest)
        stream += block
    return stream[:octets]


@EVERY
@pytest.mark.parametrize("prf", PRFS, ids=lambda prf: prf.name)
def test_the_keys_are_cut_in_the_order_of_section_2_14(cipher: Cipher, prf: Prf) -> None:
    keys = derive_ike_keys(suite_of(cipher, prf), b"g^ir", NONCES, SPIS)
    parts = (keys.d, keys.ai, keys.ar, keys.ei, keys.er, keys.pi, keys.pr)
    integrity = {16: 32, 24: 48, 32: 64}[cipher.icv_octets]
    assert cipher.key_bits is not None
    assert [len(part) for part in parts] == [
        prf.octets,
        *[integrity] * 2,
        *[cipher.key_bits // 8] * 2,
        *[prf.octets] * 2,
    ]
    digest = prf.name.removeprefix("prf")
    skeyseed = hmac.digest(b"".join(NONCES), b"g^ir", digest)
    joined = b"".join(parts)
    assert joined == prf_plus(digest, skeyseed, b"".join(NONCES + SPIS), len(joined))


@EVERY
def test_child_keys_are_encryption_then_integrity_for_each_direction(cipher: Cipher) -> None:
    prf = PRFS[-1]
    first, second = derive_child_keys(prf, b"SK_d", Seed(*NONCES), EspSuite(cipher, esn=False))
    assert len(first) == len(second) == cipher.encryption_octets + cipher.integrity_octets
    whole = prf_plus("sha256", b"SK_d", b"".join(NONCES), 2 * len(first))
    assert first + second == whole


@EVERY
def test_the_icv_is_over_the_whole_message_from_the_first_octet_of_its_header(
    cipher: Cipher,
) -> None:
    initiator, responder, keys = ends(cipher)
    for end, key in ((initiator, keys.ai), (responder, keys.ar)):
        message = end.seal(HEADER, samples.CHAINS[2])
        covered, icv = message[: -cipher.icv_octets], message[-cipher.icv_octets :]
        whole = hmac.digest(key, covered, HASHES[cipher.icv_octets])
        assert icv == whole[: cipher.icv_octets]


@EVERY
@pytest.mark.parametrize("chain", samples.CHAINS)
def test_what_one_end_seals_the_other_opens(cipher: Cipher, chain: tuple[Payload, ...]) -> None:
    initiator, responder, _ = ends(cipher)
    for sender, receiver in ((initiator, responder), (responder, initiator)):
        sealed = encrypted(sender.seal(HEADER, chain))
        assert receiver.open_payloads(sealed) == chain
        with pytest.raises(BadIcvError):
            sender.open(sealed)  # §2.14: the two directions have their own keys


@EVERY
def test_messages_of_every_length_get_as_little_padding_as_fills_blocks(cipher: Cipher) -> None:
    initiator, responder, _ = ends(cipher)
    for octets in range(33):
        payloads = (VendorId(bytes(octets)),)
        sealed = encrypted(initiator.seal(HEADER, payloads))
        least = -(-(len(build_chain(payloads)[1]) + 1) // 16) * 16
        assert len(sealed.body) == 16 + least + cipher.icv_octets
        assert responder.open_payloads(sealed) == payloads


@EVERY
def test_every_flipped_bit_is_noticed_in_the_header_too(cipher: Cipher) -> None:
    initiator, responder, _ = ends(cipher)
    sealed = encrypted(initiator.seal(HEADER, samples.CHAINS[2]))
    whole, head = sealed.aad + sealed.body, len(sealed.aad)
    for bit in range(8 * len(whole)):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadIcvError):
            responder.open(replace(sealed, aad=bytes(spoilt[:head]), body=bytes(spoilt[head:])))
    for length in range(len(sealed.body)):
        with pytest.raises(BadIcvError):
            responder.open(replace(sealed, body=sealed.body[:length]))
    assert responder.open_payloads(sealed) == samples.CHAINS[2]


@EVERY
def test_ivs_are_new_for_every_message_and_come_from_the_randomness_that_is_given(
    cipher: Cipher,
) -> None:
    def ivs(seed: int) -> list[bytes]:
        initiator, *_ = ends(cipher, seed)
        return [encrypted(initiator.seal(HEADER, ())).body[:16] for _ in range(100)]

    assert len(set(ivs(0) + ivs(1))) == 200
    assert ivs(0) == ivs(0)


@pytest.mark.parametrize(
    ("padding", "good"),
    [
        (bytes(10) + b"\x0a", True),
        (b"\xaa" * 10 + b"\x0a", True),  # §3.14: any value …
        (b"\xaa" * 250 + b"\xfa", True),  # … and any length that fills blocks
        (bytes(10) + b"\x10", False),
        (bytes(10) + b"\xff", False),
    ],
)
def test_padding_of_any_content_and_length_is_taken_off(padding: bytes, good: bool) -> None:
    cipher = CBCS[0]
    _, responder, keys = ends(cipher)
    plaintext = b"chain" + padding
    head = build_sk_head(HEADER, 0, 16 + len(plaintext) + cipher.icv_octets)
    iv = bytes(16)
    body = cipher.keyed(keys.ei + keys.ai).seal(iv, plaintext, head)
    sealed = encrypted(head + iv + body)
    if good:
        assert responder.open(sealed) == b"chain"
    else:
        with pytest.raises(WireError, match="padding"):
            responder.open(sealed)
