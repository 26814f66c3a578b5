"""Private and public keys, and the AUTH data they make and confirm (RFC 7427, RFC 8420)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hushwire.crypto.errors import BadSignatureError, KeyFormatError, NoCommonHashError
from hushwire.crypto.exchange import Rng, random_ecp_key
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import HashAlgorithm

ED25519 = "ed25519"
_CURVES: dict[str, ec.EllipticCurve] = {
    "ecdsa-p256": ec.SECP256R1(),
    "ecdsa-p384": ec.SECP384R1(),
}
KINDS: tuple[str, ...] = (ED25519, *_CURVES)
"""Every kind of key here."""

SUPPORTED_HASHES: tuple[HashAlgorithm, ...] = (
    HashAlgorithm.SHA2_256,
    HashAlgorithm.SHA2_384,
    HashAlgorithm.SHA2_512,
    HashAlgorithm.IDENTITY,
)
"""What to announce in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420 §2)."""

# The AlgorithmIdentifiers in DER, to be compared as blobs (RFC 7427 §3); parameters are absent.
_ID_ED25519 = bytes.fromhex("300506032b6570")  # RFC 8420 Appendix A
_ID_ECDSA = {  # RFC 7427 Appendix A.3
    HashAlgorithm.SHA2_256: bytes.fromhex("300a06082a8648ce3d040302"),
    HashAlgorithm.SHA2_384: bytes.fromhex("300a06082a8648ce3d040303"),
    HashAlgorithm.SHA2_512: bytes.fromhex("300a06082a8648ce3d040304"),
}
_HASHES: dict[HashAlgorithm, hashes.HashAlgorithm] = {
    HashAlgorithm.SHA2_256: hashes.SHA256(),
    HashAlgorithm.SHA2_384: hashes.SHA384(),
    HashAlgorithm.SHA2_512: hashes.SHA512(),
}
# Only to say what a peer did: the object identifiers of other methods, found in its blob.
_OTHER_METHODS = {
    bytes.fromhex("2a864886f70d0101"): "RSA",
    bytes.fromhex("2b6571"): "Ed448",
    bytes.fromhex("2a8648ce3d0401"): "ECDSA with SHA-1",
}
_MAX_SPKI_OCTETS = 1024


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """A public key. Two are equal when they are the same key.

    `spki` is its SubjectPublicKeyInfo in DER, in the one canonical form, as a raw public key
    travels in a Certificate payload (RFC 7670 §3). `kind` is one of `KINDS`.
    """

    spki: bytes
    kind: str = field(compare=False)
    _key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey = field(compare=False)

    @classmethod
    def from_spki(cls, der: bytes) -> PublicKey:
        """Raises `KeyFormatError` for what is not such a key or is of a kind not used here."""
        if len(der) > _MAX_SPKI_OCTETS:
            raise KeyFormatError(f"a public key of {len(der)} octets: none here is that long")
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFormatError("this is not a public key (DER SubjectPublicKeyInfo)") from None
        return cls._of(key)

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Read `KIND:BASE64`, as `to_text` writes it. Raises `KeyFormatError`."""
        kind, colon, encoded = text.strip().partition(":")
        if not colon or kind not in KINDS:
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
    def _of(cls, key: object) -> PublicKey:
        kind = _kind_of(key)
        if isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
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
        signature = reader.rest()
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                if identifier != _ID_ED25519:
                    raise BadSignatureError(self._wrong_method(identifier))
                self._key.verify(signature, data)
            else:
                method = next((h for h, der in _ID_ECDSA.items() if der == identifier), None)
                if method is None:
                    raise BadSignatureError(self._wrong_method(identifier))
                self._key.verify(signature, data, ec.ECDSA(_HASHES[method]))
        except InvalidSignature:
            raise BadSignatureError(
                f"the signature is not one that the trusted {self.kind} key made over this"
            ) from None

    def _wrong_method(self, identifier: bytes) -> str:
        known = {_ID_ED25519: "Ed25519"} | dict.fromkeys(_ID_ECDSA.values(), "ECDSA")
        method = known.get(identifier) or next(
            (name for oid, name in _OTHER_METHODS.items() if oid in identifier),
            "an unknown algorithm",
        )
        return f"the peer signed with {method}, but its trusted key is {self.kind}"


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A private key, with the public key that belongs to it. Its repr shows the public one."""

    public: PublicKey
    _key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey = field(compare=False)

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
        """Read an unencrypted PEM private key (PKCS#8 or SEC 1). Raises `KeyFormatError`."""
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
        if isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            return cls(PublicKey._of(key.public_key()), key)
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
        return {
            ED25519: HashAlgorithm.IDENTITY,  # RFC 8420 §2
            "ecdsa-p256": HashAlgorithm.SHA2_256,
            "ecdsa-p384": HashAlgorithm.SHA2_384,
        }[self.public.kind]

    def sign(self, data: bytes, peer_hashes: frozenset[int]) -> bytes:
        """The Authentication Data of method 14 over `data` (RFC 7427 §3).

        ASN.1 Length | AlgorithmIdentifier | signature. `peer_hashes` are the hash algorithms in
        the peer's SIGNATURE_HASH_ALGORITHMS: no other may be used (§4). Raises
        `NoCommonHashError` when this key can use none of them.
        """
        own = self.hash_algorithm
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            usable = [own]
        else:
            usable = [own, *(h for h in _HASHES if h != own)]
        chosen = next((h for h in usable if h in peer_hashes), None)
        if chosen is None:
            raise NoCommonHashError(
                f"our {self.public.kind} key signs with {' or '.join(h.name for h in usable)}, "
                "and the peer announced none of that (SIGNATURE_HASH_ALGORITHMS); allow it at "
                "the peer, or use another kind of key here"
            )
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            identifier, signature = _ID_ED25519, self._key.sign(data)
        else:
            identifier = _ID_ECDSA[chosen]
            signature = self._key.sign(data, ec.ECDSA(_HASHES[chosen]))
        return bytes([len(identifier)]) + identifier + signature


def _kind_of(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return ED25519
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
