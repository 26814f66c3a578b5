"""Keys and AUTH data, read and made by OpenSSL's own tool on the other side."""

from __future__ import annotations

import base64
import datetime
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.errors import BadSignatureError, KeyFormatError, NoCommonHashError
from hushwire.crypto.sign import KINDS, SUPPORTED_HASHES, PrivateKey, PublicKey
from hushwire.wire.registry import HashAlgorithm

DATA = b"what IKE_SA_INIT said | the nonce | prf(SK_p, ID)"
ALL = frozenset(SUPPORTED_HASHES)
# The same keys in every process: pytest-xdist wants the same names of tests everywhere.
KEYS = {kind: PrivateKey.generate(kind, lambda count: bytes(range(count))) for kind in KINDS}
NIST = ("ecdsa-p256", "ecdsa-p384")
SHA2 = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512)
DIGESTS = {
    HashAlgorithm.SHA2_256: "sha256",
    HashAlgorithm.SHA2_384: "sha384",
    HashAlgorithm.SHA2_512: "sha512",
}
# RFC 7427 Appendix A.3 and RFC 8420 Appendix A.1.
IDENTIFIERS = {
    HashAlgorithm.SHA2_256: bytes.fromhex("300a06082a8648ce3d040302"),
    HashAlgorithm.SHA2_384: bytes.fromhex("300a06082a8648ce3d040303"),
    HashAlgorithm.SHA2_512: bytes.fromhex("300a06082a8648ce3d040304"),
    HashAlgorithm.IDENTITY: bytes.fromhex("300506032b6570"),
}
SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")  # RFC 7427 Appendix A.1.2

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")


def openssl(*arguments: str | Path) -> str:
    command = ["openssl", *(str(argument) for argument in arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def split(auth_data: bytes) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and signature of well-formed AUTH data."""
    return auth_data[1 : 1 + auth_data[0]], auth_data[1 + auth_data[0] :]


def join(identifier: bytes, signature: bytes) -> bytes:
    return bytes([len(identifier)]) + identifier + signature


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_signs_what_its_public_key_confirms(kind: str) -> None:
    key = KEYS[kind]
    identifier, _ = split(key.sign(DATA, ALL))
    assert identifier == IDENTIFIERS[key.hash_algorithm]
    key.public.verify(DATA, key.sign(DATA, ALL))


@pytest.mark.parametrize("kind", NIST)
@pytest.mark.parametrize("announced", SHA2)
def test_ecdsa_takes_the_one_hash_that_the_peer_announced(
    kind: str, announced: HashAlgorithm
) -> None:
    key = KEYS[kind]
    auth_data = key.sign(DATA, frozenset({announced, HashAlgorithm.IDENTITY, 1, 77}))
    assert split(auth_data)[0] == IDENTIFIERS[announced]
    key.public.verify(DATA, auth_data)


@pytest.mark.parametrize(
    ("kind", "announced", "lacking"),
    [
        ("ed25519", frozenset(SHA2), "IDENTITY"),
        ("ed25519", frozenset(), "IDENTITY"),
        ("ecdsa-p256", frozenset({HashAlgorithm.IDENTITY}), "SHA2_256 or SHA2_384 or SHA2_512"),
        ("ecdsa-p384", frozenset({HashAlgorithm.SHA1}), "SHA2_384 or SHA2_256 or SHA2_512"),
    ],
)
def test_a_hash_that_was_not_announced_is_not_used(
    kind: str, announced: frozenset[int], lacking: str
) -> None:
    with pytest.raises(NoCommonHashError, match=lacking):
        KEYS[kind].sign(DATA, announced)


def test_the_algorithm_identifiers_are_those_of_a_certificate() -> None:
    """X.509 writes the same AlgorithmIdentifier twice, by the library's own ASN.1 layer."""
    algorithms: dict[HashAlgorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None] = {
        HashAlgorithm.SHA2_256: hashes.SHA256(),
        HashAlgorithm.SHA2_384: hashes.SHA384(),
        HashAlgorithm.SHA2_512: hashes.SHA512(),
        HashAlgorithm.IDENTITY: None,
    }
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "alice")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for number, algorithm in algorithms.items():
        kind = "ed25519" if algorithm is None else "ecdsa-p256"
        key = serialization.load_pem_private_key(KEYS[kind].to_pem().encode(), None)
        assert not isinstance(key, x25519.X25519PrivateKey)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day)  # type: ignore[arg-type]
        certificate = builder.sign(key, algorithm)  # type: ignore[arg-type]
        der = certificate.public_bytes(serialization.Encoding.DER)
        identifier, _ = split(KEYS[kind].sign(DATA, frozenset({number})))
        # Ed25519's key algorithm in the SubjectPublicKeyInfo has the same identifier.
        assert der.count(identifier) == (3 if algorithm is None else 2)


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("ed25519", HashAlgorithm.IDENTITY),
        *((kind, number) for kind in NIST for number in SHA2),
    ],
)
def test_openssl_confirms_our_signature_and_we_confirm_its(
    kind: str, number: HashAlgorithm, tmp_path: Path
) -> None:
    key = KEYS[kind]
    identifier, signature = split(key.sign(DATA, frozenset({number})))
    for name, octets in {
        "private.pem": key.to_pem().encode(),
        "spki.der": key.public.spki,
        "identifier.der": identifier,
        "data": DATA,
        "signature": signature,
    }.items():
        (tmp_path / name).write_bytes(octets)

    digest = ("-digest", DIGESTS[number]) if number in DIGESTS else ()
    common = ("-rawin", "-in", tmp_path / "data", *digest)
    public = ("-pubin", "-inkey", tmp_path / "spki.der", "-keyform", "DER")
    assert "Successfully" in openssl(
        "pkeyutl", "-verify", *public, *common, "-sigfile", tmp_path / "signature"
    )
    parsed = openssl("asn1parse", "-inform", "DER", "-in", tmp_path / "identifier.der")
    assert ("ED25519" if number not in DIGESTS else f"ecdsa-with-{number.name[:3]}") in parsed

    private = ("-inkey", tmp_path / "private.pem", "-out", tmp_path / "theirs")
    openssl("pkeyutl", "-sign", *private, *common)
    key.public.verify(DATA, join(identifier, (tmp_path / "theirs").read_bytes()))


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("ed25519", ("genpkey", "-algorithm", "ED25519")),
        ("ecdsa-p256", ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")),
        ("ecdsa-p384", ("ecparam", "-name", "secp384r1", "-genkey", "-noout")),  # SEC 1
    ],
)
def test_a_key_that_openssl_made_is_read(kind: str, arguments: tuple[str, ...]) -> None:
    key = PrivateKey.from_pem(openssl(*arguments))
    assert key.public.kind == kind
    assert PrivateKey.from_pem(key.to_pem()) == key


def wrong_key(kind: str) -> bytes:
    return PrivateKey.generate(kind).sign(DATA, ALL)


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_or_other_data_is_not_confirmed(kind: str) -> None:
    key = KEYS[kind]
    with pytest.raises(BadSignatureError, match=kind):
        key.public.verify(DATA, wrong_key(kind))
    with pytest.raises(BadSignatureError, match=kind):
        key.public.verify(DATA + b"!", key.sign(DATA, ALL))


@pytest.mark.parametrize("kind", KINDS)
def test_no_truncated_or_longer_auth_data_is_confirmed(kind: str) -> None:
    key = KEYS[kind]
    auth_data = key.sign(DATA, ALL)
    for octets in range(len(auth_data)):
        with pytest.raises(BadSignatureError):
            key.public.verify(DATA, auth_data[:octets])
    for tail in (b"\0", b"\0" * 1000):
        with pytest.raises(BadSignatureError):
            key.public.verify(DATA, auth_data + tail)


def test_the_trusted_key_and_never_the_peer_decides_the_method() -> None:
    for kind, key in KEYS.items():
        for own, identifier in IDENTIFIERS.items():
            if (own == HashAlgorithm.IDENTITY) != (kind == "ed25519"):
                _, signature = split(key.sign(DATA, ALL))
                with pytest.raises(BadSignatureError, match=f"its trusted key is {kind}"):
                    key.public.verify(DATA, join(identifier, signature))
        for other in set(KINDS) - {kind}:
            with pytest.raises(BadSignatureError):
                key.public.verify(DATA, wrong_key(other))


def test_an_identifier_of_another_ecdsa_hash_does_not_confirm_the_signature() -> None:
    key = KEYS["ecdsa-p256"]
    _, signature = split(key.sign(DATA, frozenset({HashAlgorithm.SHA2_256})))
    with pytest.raises(BadSignatureError):
        key.public.verify(DATA, join(IDENTIFIERS[HashAlgorithm.SHA2_384], signature))


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_that_signs_with_rsa_is_told_apart(kind: str) -> None:
    signature = rsa.generate_private_key(65537, 2048).sign(
        DATA, padding.PKCS1v15(), hashes.SHA256()
    )
    with pytest.raises(BadSignatureError, match=f"signed with RSA.*is {kind}"):
        KEYS[kind].public.verify(DATA, join(SHA256_WITH_RSA, signature))


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("3009" + "06072a8648ce3d0401", "ECDSA with SHA-1"),
        ("300506032b6571", "Ed448"),
        ("300c" + "06082a8648ce3d040302" + "0500", "unknown"),  # NULL parameters
        ("", "unknown"),
    ],
)
def test_an_algorithm_that_is_not_allowed_is_named(identifier: str, name: str) -> None:
    key = KEYS["ecdsa-p256"]
    _, signature = split(key.sign(DATA, ALL))
    with pytest.raises(BadSignatureError, match=name):
        key.public.verify(DATA, join(bytes.fromhex(identifier), signature))


@given(kind=st.sampled_from(KINDS), auth_data=st.binary(max_size=200))
def test_no_random_auth_data_is_confirmed(kind: str, auth_data: bytes) -> None:
    with pytest.raises(BadSignatureError):
        KEYS[kind].public.verify(DATA, auth_data)


@given(kind=st.sampled_from(KINDS), signature=st.binary(max_size=120))
def test_no_random_signature_is_confirmed(kind: str, signature: bytes) -> None:
    identifier = IDENTIFIERS[KEYS[kind].hash_algorithm]
    with pytest.raises(BadSignatureError):
        KEYS[kind].public.verify(DATA, join(identifier, signature))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_randomness_gives_the_same_key(kind: str) -> None:
    def rng(octet: int) -> PrivateKey:
        return PrivateKey.generate(kind, lambda count: bytes([octet]) * count)

    assert rng(1) == rng(1)
    assert rng(1).to_pem() == rng(1).to_pem()
    assert rng(1) != rng(2)
    assert PrivateKey.generate(kind) != PrivateKey.generate(kind, os.urandom)


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_key_survives_text_and_spki(kind: str) -> None:
    public = KEYS[kind].public
    assert public.to_text().startswith(f"{kind}:")
    for again in (
        PublicKey.from_text(public.to_text()),
        PublicKey.from_text(f"  {public.to_text()}\n"),
        PublicKey.from_spki(public.spki),
    ):
        assert again == public
        assert again.spki == public.spki
        assert len({again, public}) == 1
        assert again.key_id == public.key_id
        assert again.kind == kind
    assert len(public.key_id) == 20
    assert public != PrivateKey.generate(kind).public


def test_an_ed25519_key_is_text_as_everyone_knows_it() -> None:
    # RFC 8410 §10.1 has this very key.
    text = "ed25519:MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    public = PublicKey.from_text(text)
    assert public.to_text() == text
    assert repr(public) == f"PublicKey({text!r})"
    private = PrivateKey.from_pem(
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        "-----END PRIVATE KEY-----\n"
    )
    assert private.public == public


def test_the_same_point_in_another_encoding_is_the_same_key() -> None:
    public = KEYS["ecdsa-p256"].public
    key = serialization.load_der_public_key(public.spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    short = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    # SubjectPublicKeyInfo { id-ecPublicKey, prime256v1 }, then a BIT STRING of the short point.
    der = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + short
    assert der != public.spki
    assert PublicKey.from_spki(der) == public


ED = KEYS["ed25519"].public


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with its kind"),
        ("MCow", "begins with its kind"),
        ("ssh-ed25519 AAAA", "begins with its kind"),
        ("dsa:MIIB", "begins with its kind"),
        ("ed25519:", "not a public key"),
        ("ed25519:MCow", "not a public key"),
        ("ed25519:MCow…", "not base64"),
        ("ed25519:" + ED.to_text()[8:-5], "not base64"),
        ("ecdsa-p256:" + ED.to_text()[8:], "says ecdsa-p256, but it is ed25519"),
        ("ed25519:" + base64.b64encode(bytes(1201)).decode(), "1201 octets"),
        ("ed25519:" + base64.b64encode(ED.spki + b"\0").decode(), "not a public key"),
        ("ed25519:" + base64.b64encode(ED.spki[:-1]).decode(), "not a public key"),
    ],
)
def test_what_is_not_a_public_key_is_explained(text: str, message: str) -> None:
    with pytest.raises(KeyFormatError, match=message):
        PublicKey.from_text(text)


def pkcs8(
    key: rsa.RSAPrivateKey
    | ed448.Ed448PrivateKey
    | ec.EllipticCurvePrivateKey
    | x25519.X25519PrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    ).decode()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (ed448.Ed448PrivateKey.generate(), "Ed448"),
        (x25519.X25519PrivateKey.generate(), "X25519"),
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
    ],
    ids=["RSA of 1024 bits", "Ed448", "X25519", "secp256k1"],
)
def test_a_key_of_another_kind_is_named(
    key: rsa.RSAPrivateKey
    | ed448.Ed448PrivateKey
    | ec.EllipticCurvePrivateKey
    | x25519.X25519PrivateKey,
    name: str,
) -> None:
    with pytest.raises(KeyFormatError, match=name):
        PrivateKey.from_pem(pkcs8(key))
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(KeyFormatError, match=name):
        PublicKey.from_spki(spki)


def test_a_private_key_that_cannot_be_read_is_explained() -> None:
    locked = pkcs8(
        ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(KeyFormatError, match="passphrase"):
        PrivateKey.from_pem(locked)
    public_pem = f"-----BEGIN PUBLIC KEY-----\n{ED.to_text()[8:]}\n-----END PUBLIC KEY-----\n"
    for text in ("", "secret", public_pem, locked[:60], "\udcff"):
        with pytest.raises(KeyFormatError, match="hushwire genkey"):
            PrivateKey.from_pem(text)
    with pytest.raises(KeyFormatError, match="'rsa'"):
        PrivateKey.generate("rsa")


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_shows_only_its_public_key(kind: str) -> None:
    key = KEYS[kind]
    assert repr(key) == f"PrivateKey(public={key.public.to_text()!r})"
