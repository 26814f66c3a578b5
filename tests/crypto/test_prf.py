"""PRFs against RFC 4868, and prf+ against its definition written another way."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.prf import PRFS, Prf, prf
from hushwire.wire.registry import PrfId

LARGE = (
    b"This is a test using a larger than block-size key and a larger than block-size data. "
    b"The key needs to be hashed before being used by the HMAC algorithm."
)

# RFC 4868 §2.7.1: key, data, then the outputs for SHA-256, SHA-384 and SHA-512.
VECTORS = {
    "PRF-1": (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
        "faea9ea9076ede7f4af152e8b2fa9cb6",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ),
    "PRF-2": (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
        "8e2240ca5e69e2c78b3239ecfab21649",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
    "PRF-4": (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e"
        "6801dd23c4a7d679ccf8a386c674cffb",
        "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
        "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
    ),
    "PRF-5": (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
        "0c2ef6ab4030fe8296248df163f44952",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
    "PRF-6": (
        b"\xaa" * 131,
        LARGE,
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
        "a678cc31e799176d3860e6110c46523e",
        None,
    ),
}
HASHES = {"prfsha256": hashlib.sha256, "prfsha384": hashlib.sha384, "prfsha512": hashlib.sha512}


@pytest.mark.parametrize("case", VECTORS)
def test_a_published_output_comes_out(case: str) -> None:
    key, data, *outputs = VECTORS[case]
    for number, output in zip(
        (PrfId.HMAC_SHA2_256, PrfId.HMAC_SHA2_384, PrfId.HMAC_SHA2_512), outputs, strict=True
    ):
        function = prf(number)
        assert function is not None
        if output is not None:
            assert function(key, data).hex() == output


def independent_plus(name: str, key: bytes, seed: bytes) -> list[bytes]:
    """T1 | T2 | … T255 of RFC 7296 §2.13 by streaming HMAC objects, as a list of blocks."""
    blocks: list[bytes] = []
    for counter in range(1, 256):
        mac = hmac.new(key, digestmod=HASHES[name])
        if blocks:
            mac.update(blocks[-1])
        mac.update(seed)
        mac.update(counter.to_bytes(1, "big"))
        blocks.append(mac.digest())
    return blocks


@pytest.mark.parametrize("function", PRFS, ids=lambda p: p.name)
def test_prf_plus_is_its_definition_up_to_the_last_block(function: Prf) -> None:
    blocks = independent_plus(function.name, b"key", b"seed")
    everything = b"".join(blocks)
    assert function.plus(b"key", b"seed", 255 * function.octets) == everything
    for octets in (0, 1, function.octets - 1, function.octets, function.octets + 1, 1000):
        assert function.plus(b"key", b"seed", octets) == everything[:octets]


@pytest.mark.parametrize("function", PRFS, ids=lambda p: p.name)
def test_prf_plus_refuses_to_repeat_its_counter(function: Prf) -> None:
    for octets in (255 * function.octets + 1, -1):
        with pytest.raises(ValueError, match="at most"):
            function.plus(b"key", b"seed", octets)


@given(
    function=st.sampled_from(PRFS),
    key=st.binary(max_size=200),
    seed=st.binary(max_size=100),
    octets=st.integers(0, 300),
    more=st.integers(0, 300),
)
def test_a_longer_stream_begins_with_the_shorter(
    function: Prf, key: bytes, seed: bytes, octets: int, more: int
) -> None:
    stream = function.plus(key, seed, octets + more)
    assert len(stream) == octets + more
    assert stream[:octets] == function.plus(key, seed, octets)


def test_a_prf_is_found_by_its_number_only() -> None:
    assert [prf(p.id) for p in PRFS] == list(PRFS)
    assert [p.octets for p in PRFS] == [HASHES[p.name]().digest_size for p in PRFS]
    assert prf(PrfId.HMAC_SHA1) is None
    assert prf(0) is None
