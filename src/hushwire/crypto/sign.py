"""Private and public keys, and the AUTH data they make and confirm (RFC 7427, 8420, 4754)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hushwire.crypto import signatures
from hushwire.crypto.errors import BadSignatureError, KeyFormatError, NoCommonHashError
from hushwire.crypto.exchange import Rng, random_ecp_key
from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import AuthMethod, HashAlgorithm

ED25519 = "ed25519"
_CURVES: dict[str, ec.EllipticCurve] = {
    "ecdsa-p256": ec.SECP256R1(),
    "ecdsa-p384": ec.SECP384R1(),
    "ecdsa-p521": ec.SECP521R1(),
}
RSA = "rsa"
KINDS: tuple[str, ...] = (ED25519, *_CURVES)
"""Every kind of key that is made here; an RSA key is only read."""
LEAST_RSA_BITS = 2048  # RFC 8247 §3.1
MOST_RSA_BITS = 8192  # what a stranger may make us compute
_LARGEST_EXPONENT = 1 << 32

SUPPORTED_HASHES: tuple[HashAlgorithm, ...] = (
    HashAlgorithm.SHA2_256,
    HashAlgorithm.SHA2_384,
    HashAlgorithm.SHA2_512,
    HashAlgorithm.IDENTITY,
)
"""What to announce in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420 §2)."""

_MAX_SPKI_OCTETS = 1200  # an RSA key of 8192 bits has 1062


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """A public key. Two are equal when they are the same key.

    `spki` is its SubjectPublicKeyInfo in DER, in the one canonical form, as a raw public key
    travels in a Certificate payload (RFC 7670 §3). `kind` is one of `KINDS`.
    """

    spki: bytes
    kind: str = field(compare=False)
    _key: signatures.VerifyingKey = field(compare=False)

    @classmethod
    def from_spki(cls, der: bytes) -> PublicKey:
        """Raises `KeyFormatError` for what is not such a key or is of a kind not used here."""
        if len(der) > _MAX_SPKI_OCTETS:
            raise KeyFormatError(f"a public key of {len(der)} octets: none here is that long")
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFormatError("this is not a public key (DER SubjectPublicKeyInfo)") from None
        return cls.of(key)

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Read `KIND:BASE64`, as `to_text` writes it. Raises `KeyFormatError`."""
        kind, colon, encoded = text.strip().partition(":")
        if not colon or kind not in (*KINDS, RSA):
            raise KeyFormatError(
                f"a public key begins with its kind and a colon ({', '.join(KINDS)}), "
                "as `hushwire pubkey` prints it"
            )
        try:
            der = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise KeyFormatError(
                f"what follows {kind}: in the public key is not base64; was all of it copied?"
            ) from None
        public = cls.from_spki(der)
        if public.kind != kind:
            raise KeyFormatError(f"the public key says {kind}, but it is {public.kind}")
        return public

    @classmethod
    def of(cls, key: object) -> PublicKey:
        """A key of pyca/cryptography's. Raises `KeyFormatError` for a kind not used here."""
        kind = _kind_of(key)
        if isinstance(key, signatures.VerifyingKey):
            spki = key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return cls(spki, kind, key)
        raise KeyFormatError("this is a private key where a public key should be")

    def to_text(self) -> str:
        """`KIND:BASE64` of the SubjectPublicKeyInfo: one line for a configuration file."""
        return f"{self.kind}:{base64.b64encode(self.spki).decode('ascii')}"

    def __repr__(self) -> str:
        return f"PublicKey({self.to_text()!r})"

    @property
    def key_id(self) -> bytes:
        """20 octets that name the key: SHA-256 of `spki`, cut short."""
        return hashlib.sha256(self.spki).digest()[:20]

    def verify(self, data: bytes, auth_data: bytes) -> None:
        """Check the Authentication Data of method 14 over `data` (RFC 7427 §3).

        This key alone, never the peer, decides which signature algorithms can be meant. Raises
        `BadSignatureError`.
        """
        reader = Reader(auth_data, "AUTH data")
        try:
            identifier = reader.take(reader.u8())
        except WireError as error:
            raise BadSignatureError(str(error)) from None
        algorithm = signatures.identified(self._key, identifier)
        if algorithm is None:
            raise BadSignatureError(
                f"the peer signed with {signatures.what(identifier)}, "
                f"but its trusted key is {self.kind}"
            )
        self._confirm(algorithm, reader.rest(), data)

    @property
    def old_method(self) -> AuthMethod | None:
        """The method of RFC 4754, older than RFC 7427, that this key has: one for each curve."""
        return _OLD_METHODS.get(self.kind)

    def verify_old(self, data: bytes, auth_data: bytes) -> None:
        """The same for `old_method` (RFC 4754 §3). Raises `BadSignatureError`."""
        if not isinstance(self._key, ec.EllipticCurvePublicKey):
            raise BadSignatureError(f"a key of the kind {self.kind} has no such signature")
        try:
            signature = signatures.from_plain(auth_data, self._key.key_size)
        except ValueError as error:
            raise BadSignatureError(str(error)) from None
        self._confirm(signatures.ECDSA[_own_hash(self.kind)], signature, data)

    def _confirm(self, algorithm: signatures.Algorithm, signature: bytes, data: bytes) -> None:
        try:
            algorithm.verify(self._key, signature, data)
        except InvalidSignature:
            raise BadSignatureError(
                f"the signature is not one that the trusted {self.kind} key made over this"
            ) from None


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A private key, with the public key that belongs to it. Its repr shows the public one."""

    public: PublicKey
    _key: signatures.SigningKey = field(compare=False)

    @classmethod
    def generate(cls, kind: str = ED25519, rng: Rng = os.urandom) -> PrivateKey:
        """A new key of one of `KINDS`; the same octets from `rng` give the same key.

        Raises `KeyFormatError` for another kind.
        """
        if kind == ED25519:
            return cls._of(ed25519.Ed25519PrivateKey.from_private_bytes(rng(32)))
        if kind not in _CURVES:
            raise KeyFormatError(f"{kind!r} is not a kind of key here: {', '.join(KINDS)}")
        return cls._of(random_ecp_key(_CURVES[kind], rng))

    @classmethod
    def from_pem(cls, text: str) -> PrivateKey:
        """Read an unencrypted PEM private key (PKCS#8, SEC 1, PKCS#1). Raises `KeyFormatError`."""
        try:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        except TypeError:
            raise KeyFormatError(
                "the private key is locked with a passphrase; unlock it with "
                "`openssl pkey -in FILE -out UNLOCKED`"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFormatError(
                "this is not a private key in PEM (-----BEGIN PRIVATE KEY-----); "
                "`hushwire genkey` makes one"
            ) from None
        return cls._of(key)

    @classmethod
    def _of(cls, key: object) -> PrivateKey:
        _kind_of(key)
        if isinstance(key, signatures.SigningKey):
            return cls(PublicKey.of(key.public_key()), key)
        raise KeyFormatError("this is a public key where a private key should be")

    def to_pem(self) -> str:
        """PKCS#8 in PEM, not encrypted: only for a file that no one else can read."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode("ascii")

    def __repr__(self) -> str:
        return f"PrivateKey(public={self.public.to_text()!r})"

    @property
    def hash_algorithm(self) -> HashAlgorithm:
        """The hash that this key signs with when the peer leaves it the choice."""
        return _own_hash(self.public.kind)

    def sign(self, data: bytes, peer_hashes: frozenset[int], *, pkcs1: bool = False) -> bytes:
        """The Authentication Data of method 14 over `data` (RFC 7427 §3).

        ASN.1 Length | AlgorithmIdentifier | signature. `peer_hashes` are the hash algorithms in
        the peer's SIGNATURE_HASH_ALGORITHMS: no other may be used (§4). An RSA key makes RSASSA-PSS
        signatures, or with `pkcs1` those of PKCS #1 v1.5. Raises `NoCommonHashError` when this key
        can use none of the hashes.
        """
        own = self.hash_algorithm
        algorithms = signatures.algorithms(self._key, pkcs1=pkcs1)
        usable = sorted(algorithms, key=lambda hashed: hashed != own)  # the others stay in order
        chosen = next((h for h in usable if h in peer_hashes), None)
        if chosen is None:
            raise NoCommonHashError(
                f"our {self.public.kind} key signs with {' or '.join(h.name for h in usable)}, "
                "and the peer announced none of that (SIGNATURE_HASH_ALGORITHMS); allow it at "
                "the peer, or use another kind of key here"
            )
        identifier = algorithms[chosen].identifiers[0]
        signature = algorithms[chosen].sign(self._key, data)
        return bytes([len(identifier)]) + identifier + signature

    def sign_old(self, data: bytes) -> bytes:
        """The same for the public key's `old_method` (RFC 4754 §3).

        Raises `NoCommonHashError` when the key has none.
        """
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise NoCommonHashError(
                f"the peer knows no signatures of RFC 7427, and our {self.public.kind} key makes "
                "no other: the old one of RSA is with SHA-1, which RFC 8247 forbids; use a newer "
                "peer, or an ECDSA key here"
            )
        signature = signatures.ECDSA[self.hash_algorithm].sign(self._key, data)
        return signatures.to_plain(signature, self._key.key_size)


_OLD_METHODS = {
    "ecdsa-p256": AuthMethod.ECDSA_SHA256_P256,
    "ecdsa-p384": AuthMethod.ECDSA_SHA384_P384,
    "ecdsa-p521": AuthMethod.ECDSA_SHA512_P521,
}


def _own_hash(kind: str) -> HashAlgorithm:
    return {
        ED25519: HashAlgorithm.IDENTITY,  # RFC 8420 §2
        "ecdsa-p384": HashAlgorithm.SHA2_384,
        "ecdsa-p521": HashAlgorithm.SHA2_512,
    }.get(kind, HashAlgorithm.SHA2_256)


def _kind_of(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return ED25519
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        _check_rsa(key)
        return RSA
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        for kind, curve in _CURVES.items():
            if key.curve.name == curve.name:
                return kind
        what = f"a key on the curve {key.curve.name}"
    else:
        what = f"an {type(key).__name__.removesuffix('PublicKey').removesuffix('PrivateKey')} key"
    raise KeyFormatError(
        f"this is {what}; keys here are {', '.join(KINDS)}: `hushwire genkey` makes one"
    )


def _check_rsa(key: rsa.RSAPublicKey | rsa.RSAPrivateKey) -> None:
    bits = key.key_size
    if bits < LEAST_RSA_BITS:
        raise KeyFormatError(
            f"this is an RSA key of {bits} bits, and fewer than {LEAST_RSA_BITS} are too weak "
            "(RFC 8247)"
        )
    public = key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key
    if bits > MOST_RSA_BITS or public.public_numbers().e > _LARGEST_EXPONENT:
        raise KeyFormatError(
            f"this is an RSA key of {bits} bits, or with an exponent that costs too much to use; "
            f"keys here have {LEAST_RSA_BITS} to {MOST_RSA_BITS}"
        )
