"""RSA keys, and the ECDSA signatures that are older than RFC 7427."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hushwire.crypto.errors import BadSignatureError, KeyFormatError, NoCommonHashError
from hushwire.crypto.sign import KINDS, SUPPORTED_HASHES, PrivateKey, PublicKey
from hushwire.wire.registry import HashAlgorithm

DATA = b"what IKE_SA_INIT said | the nonce | prf(SK_p, ID)"
ALL = frozenset(SUPPORTED_HASHES)
KEYS = {kind: PrivateKey.generate(kind, lambda count: bytes(range(count))) for kind in KINDS}
SHA2 = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512)
SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")  # RFC 7427 Appendix A.1.2
DIGESTS = {
    HashAlgorithm.SHA2_256: hashes.SHA256(),
    HashAlgorithm.SHA2_384: hashes.SHA384(),
    HashAlgorithm.SHA2_512: hashes.SHA512(),
}


def split(auth_data: bytes) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and signature of well-formed AUTH data."""
    return auth_data[1 : 1 + auth_data[0]], auth_data[1 + auth_data[0] :]


def join(identifier: bytes, signature: bytes) -> bytes:
    return bytes([len(identifier)]) + identifier + signature


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


# RSA keys: read, not made.

RSA = rsa.generate_private_key(65537, 2048)


def rsa_key() -> PrivateKey:
    return PrivateKey.from_pem(pem(RSA))


def sent_as(pkcs1: bool) -> bytes:
    """RFC 7427 A.1.2; A.4.3 without the trailer field, whose value is the default."""
    if pkcs1:
        return SHA256_WITH_RSA
    return bytes.fromhex(
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    )


@pytest.mark.parametrize("pkcs1", [False, True])
@pytest.mark.parametrize("announced", SHA2)
def test_an_rsa_key_signs_both_ways_with_the_hash_that_the_peer_announced(
    pkcs1: bool, announced: HashAlgorithm
) -> None:
    key = rsa_key()
    auth_data = key.sign(DATA, frozenset({announced}), pkcs1=pkcs1)
    key.public.verify(DATA, auth_data)
    with pytest.raises(BadSignatureError, match="not one that the trusted rsa key made"):
        key.public.verify(DATA + b"!", auth_data)
    identifier, signature = split(auth_data)
    digest = DIGESTS[announced]
    how = padding.PKCS1v15() if pkcs1 else padding.PSS(padding.MGF1(digest), digest.digest_size)
    RSA.public_key().verify(signature, DATA, how, digest)
    if announced is HashAlgorithm.SHA2_256:
        assert identifier == sent_as(pkcs1)


def test_the_form_of_rsassa_pss_that_the_rfc_prints_is_read() -> None:
    """RFC 7427 A.4.3."""
    printed = bytes.fromhex(
        "304606092a864886f70d01010a3039a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101"
    )
    key = rsa_key()
    _, signature = split(key.sign(DATA, ALL))
    key.public.verify(DATA, join(printed, signature))


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("300d06092a864886f70d0101050500", "RSA with SHA-1"),
        ("300d06092a864886f70d01010a3000", "RSA of a form that is not allowed"),  # A.4.1
        (
            "303e06092a864886f70d01010a3031a00b300906052b0e03021a0500a118301606092a864886f70d"
            "010108300906052b0e03021a0500a203020114a303020101",
            "RSA with SHA-1",  # A.4.2
        ),
        ("300506032b6570", "Ed25519"),
        ("300a06082a8648ce3d040302", "ECDSA"),
    ],
)
def test_what_rfc_8247_forbids_of_rsa_is_named(identifier: str, name: str) -> None:
    key = rsa_key()
    _, signature = split(key.sign(DATA, ALL))
    with pytest.raises(BadSignatureError, match=name):
        key.public.verify(DATA, join(bytes.fromhex(identifier), signature))


def test_an_rsa_key_is_told_from_others_and_bounded() -> None:
    key = rsa_key()
    assert key.public.kind == "rsa"
    assert PublicKey.from_text(key.public.to_text()) == key.public
    with pytest.raises(KeyFormatError, match="1024 bits"):
        PrivateKey.from_pem(pem(rsa.generate_private_key(65537, 1024)))
    numbers = RSA.public_key().public_numbers()
    costly = rsa.RSAPublicNumbers((1 << 40) + 15, numbers.n).public_key()
    with pytest.raises(KeyFormatError, match="exponent"):
        PublicKey.of(costly)
    huge = rsa.RSAPublicNumbers(65537, (1 << 9000) + 1).public_key()
    with pytest.raises(KeyFormatError, match="9001 bits"):
        PublicKey.of(huge)


# The methods 9 to 11, older than RFC 7427.


@pytest.mark.parametrize(
    ("kind", "method", "octets"),
    [("ecdsa-p256", 9, 64), ("ecdsa-p384", 10, 96), ("ecdsa-p521", 11, 132)],
)
def test_old_ecdsa_signatures_are_two_numbers_of_the_curves_length(
    kind: str, method: int, octets: int
) -> None:
    """RFC 4754 §3."""
    key = KEYS[kind]
    assert key.public.old_method == method
    signature = key.sign_old(DATA)
    assert len(signature) == octets
    key.public.verify_old(DATA, signature)
    for spoilt in (
        signature[:-1],
        signature + b"\0",
        bytes(octets),
        b"\xff" * octets,
        signature[octets // 2 :] + signature[: octets // 2],
        b"",
    ):
        with pytest.raises(BadSignatureError):
            key.public.verify_old(DATA, spoilt)
    with pytest.raises(BadSignatureError):
        key.public.verify_old(DATA + b"!", signature)


def test_other_keys_have_no_old_signature_that_may_be_used() -> None:
    for key in (rsa_key(), KEYS["ed25519"]):
        assert key.public.old_method is None
        with pytest.raises(NoCommonHashError, match="RFC 8247"):
            key.sign_old(DATA)
        with pytest.raises(BadSignatureError):
            key.public.verify_old(DATA, bytes(64))
