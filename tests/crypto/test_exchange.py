"""Key exchanges against RFC 7748 and RFC 5903, and against public values that are none."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import EXCHANGES, KeyExchange, Rng, exchange
from hushwire.wire.registry import KeyExchangeId

P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
P521 = 2**521 - 1
P384 = 2**384 - 2**128 - 2**96 + 2**32 - 1


def method(number: KeyExchangeId) -> KeyExchange:
    found = exchange(number)
    assert found is not None
    return found


X25519 = method(KeyExchangeId.X25519)
ECP256 = method(KeyExchangeId.ECP_256)
ECP384 = method(KeyExchangeId.ECP_384)
ECP521 = method(KeyExchangeId.ECP_521)


def octets_of(*words: str) -> bytes:
    return bytes.fromhex("".join(words))


def fixed(octets: bytes) -> Rng:
    """Randomness that is these octets, to the last one."""

    def rng(count: int) -> bytes:
        assert count == len(octets)
        return octets

    return rng


def scalar(private: bytes) -> Rng:
    """Randomness of which an ECP group makes this private value: one less, in 64 bits more."""
    return fixed((int.from_bytes(private, "big") - 1).to_bytes(len(private) + 8, "big"))


# i, gix | giy, r, grx | gry, girx of RFC 5903 §8.1 and §8.2.
ECP_VECTORS = {
    "ecp256": (
        "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
        "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
        "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
        "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
        "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
        "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
        "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
    ),
    "ecp384": (
        "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655"
        "E35B538041E649EE3FAEF896783AB194",
        "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6"
        "DE3AC808ACB4BDB4C88732AEE95F41AA"
        "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38E"
        "EB9FCFF3C2C947DAE69B4C634573A81C",
        "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942"
        "E0308312916B8ED2960E4BD55A7448FC",
        "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D"
        "0D1AC43A0336DEF96FDA41D0774A3571"
        "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FF"
        "F83FA40142209DFF5EAAD96DB9E6386C",
        "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4"
        "D603135569B9E9D09CF5D4A270F59746",
    ),
}
# RFC 7748 §6.1, in the same order.
X25519_VECTOR = (
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
)


@pytest.mark.parametrize(
    ("group", "vector", "randomness"),
    [
        (X25519, X25519_VECTOR, fixed),
        (ECP256, ECP_VECTORS["ecp256"], scalar),
        (ECP384, ECP_VECTORS["ecp384"], scalar),
    ],
    ids=["RFC 7748 §6.1", "RFC 5903 §8.1", "RFC 5903 §8.2"],
)
def test_both_sides_of_a_published_exchange(
    group: KeyExchange, vector: tuple[str, ...], randomness: Callable[[bytes], Rng]
) -> None:
    i, public_i, r, public_r, secret = (octets_of(text) for text in vector)
    offer = group.offer(randomness(i))
    assert offer.public == public_i
    assert group.answer(offer.public, randomness(r)) == (public_r, secret)
    assert offer.finish(public_r) == secret


@pytest.mark.parametrize(
    ("private", "public", "secret"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (  # the public value's highest bit is set, and must be ignored
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_is_the_function_of_rfc_7748(private: str, public: str, secret: str) -> None:
    offer = X25519.offer(fixed(octets_of(private)))
    assert offer.finish(octets_of(public)) == octets_of(secret)


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


@pytest.mark.parametrize(
    "public",
    [
        little(0),
        little(1),
        little(2**255 - 19 - 1),
        little(2**255 - 19),
        little(2**255 - 19 + 1),
        octets_of("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        octets_of("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ],
    ids=["0", "1", "p-1", "p", "p+1", "order 8", "order 8, the other"],
)
def test_x25519_refuses_every_point_of_small_order(public: bytes) -> None:
    with pytest.raises(BadPublicValueError, match="small order"):
        X25519.answer(public, os.urandom)
    with pytest.raises(BadPublicValueError, match="small order"):
        X25519.offer(os.urandom).finish(public)


@pytest.mark.parametrize("group", EXCHANGES, ids=lambda e: e.name)
def test_a_public_value_has_one_length(group: KeyExchange) -> None:
    public = group.offer(os.urandom).public
    assert len(public) == group.public_octets
    for wrong in (b"", public[:-1], public + b"\0", b"\x04" + public, b"\0" * 1000):
        with pytest.raises(BadPublicValueError, match=f"{group.public_octets} octets"):
            group.answer(wrong, os.urandom)
        with pytest.raises(BadPublicValueError, match=f"{group.answer_octets} octets"):
            group.offer(os.urandom).finish(wrong)


@pytest.mark.parametrize(("group", "prime"), [(ECP256, P256), (ECP384, P384), (ECP521, P521)])
def test_an_ecp_group_refuses_what_is_not_a_point(group: KeyExchange, prime: int) -> None:
    size = group.public_octets // 2
    good = group.offer(os.urandom).public
    x, y = good[:size], good[size:]
    changed = bytearray(good)
    changed[-1] ^= 1
    bad = {
        "zero": bytes(2 * size),
        "all ones": b"\xff" * (2 * size),
        "off the curve": bytes(changed),
        "x and y swapped": y + x,
        "x is the prime": prime.to_bytes(size, "big") + y,
        "y is zero": x + bytes(size),
        "x is zero": bytes(size) + y,
        "y is the prime": x + prime.to_bytes(size, "big"),
    }
    for what, public in bad.items():
        with pytest.raises(BadPublicValueError, match=group.name):
            pytest.fail(f"{what} was taken: {group.answer(public, os.urandom)}")


def test_an_ecp_coordinate_above_the_prime_is_refused_though_its_remainder_is_on_the_curve() -> (
    None
):
    # x = 5 is on P-256, and so would x = 5 + p be if it were reduced first (RFC 6989 §2.3).
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    y = pow(5**3 - 3 * 5 + b, (P256 + 1) // 4, P256)
    y_octets = y.to_bytes(32, "big")
    ECP256.answer((5).to_bytes(32, "big") + y_octets, os.urandom)
    with pytest.raises(BadPublicValueError):
        ECP256.answer((5 + P256).to_bytes(32, "big") + y_octets, os.urandom)


def _secret_octets(group: KeyExchange) -> int:
    if group.is_kem or group is X25519:
        return 32
    return group.public_octets // (2 if group.name.startswith("ecp") else 1)


@settings(max_examples=25, deadline=None)
@given(group=st.sampled_from(EXCHANGES), seeds=st.tuples(st.binary(), st.binary()))
def test_both_sides_agree_and_the_same_randomness_gives_the_same(
    group: KeyExchange, seeds: tuple[bytes, bytes]
) -> None:
    def rng_of(seed: bytes) -> Rng:
        return lambda count: (seed + b"\x01" * count)[:count]

    offer = group.offer(rng_of(seeds[0]))
    public, secret = group.answer(offer.public, rng_of(seeds[1]))
    assert offer.finish(public) == secret
    assert len(secret) == _secret_octets(group)
    assert len(public) == group.answer_octets
    assert group.offer(rng_of(seeds[0])).public == offer.public


@pytest.mark.parametrize("group", [ECP256, ECP384], ids=lambda e: e.name)
@pytest.mark.parametrize("octet", [b"\0", b"\xff"])
def test_the_worst_randomness_still_gives_a_private_value(group: KeyExchange, octet: bytes) -> None:
    offer = group.offer(lambda count: octet * count)
    public, secret = group.answer(offer.public, os.urandom)
    assert offer.finish(public) == secret


def test_an_offer_does_not_show_its_private_value() -> None:
    text = repr(X25519.offer(fixed(b"K" * 32)))
    assert "KKKK" not in text
    assert "finish" not in text


def test_a_method_is_found_by_its_number_only() -> None:
    assert [exchange(e.method) for e in EXCHANGES] == list(EXCHANGES)
    assert exchange(KeyExchangeId.NONE) is None
    assert exchange(KeyExchangeId.ML_KEM_512) is None
