"""Signature algorithms, named by AlgorithmIdentifiers in DER (RFC 7427 Appendix A, RFC 8420).

An identifier is compared as a blob (RFC 7427 §3), so that no ASN.1 of a peer's is ever interpreted.
What is not here is not used: nothing with SHA-1 (RFC 8247 §3.2), whatever a key could do.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from hushwire.records import dataclass
from hushwire.wire.registry import HashAlgorithm

VerifyingKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_SHA2: dict[HashAlgorithm, hashes.HashAlgorithm] = {
    HashAlgorithm.SHA2_256: hashes.SHA256(),
    HashAlgorithm.SHA2_384: hashes.SHA384(),
    HashAlgorithm.SHA2_512: hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a signature is made over data. Of the `identifiers`, all the same, the first is sent.

    `hash` is None where the algorithm hashes by itself, `padding` is an RSA key's.
    """

    identifiers: tuple[bytes, ...]
    hash: hashes.HashAlgorithm | None = None
    padding: padding.AsymmetricPadding | None = None

    def sign(self, key: SigningKey, data: bytes) -> bytes:
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if self.hash is None:
            raise TypeError("this algorithm is Ed25519, and the key is not")
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ec.ECDSA(self.hash))
        if self.padding is None:
            raise TypeError("this algorithm is ECDSA, and the key is RSA")
        return key.sign(data, self.padding, self.hash)

    def verify(self, key: VerifyingKey, signature: bytes, data: bytes) -> None:
        """Raises `cryptography.exceptions.InvalidSignature`."""
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
            return
        if self.hash is None:
            raise TypeError("this algorithm is Ed25519, and the key is not")
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(self.hash))
            return
        if self.padding is None:
            raise TypeError("this algorithm is ECDSA, and the key is RSA")
        key.verify(signature, data, self.padding, self.hash)


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body


_NULL = bytes.fromhex("0500")
_OID_PSS = bytes.fromhex("06092a864886f70d01010a")
_OID_MGF1 = bytes.fromhex("06092a864886f70d010108")
_OID_SHA2 = {
    HashAlgorithm.SHA2_256: bytes.fromhex("0609608648016503040201"),
    HashAlgorithm.SHA2_384: bytes.fromhex("0609608648016503040202"),
    HashAlgorithm.SHA2_512: bytes.fromhex("0609608648016503040203"),
}


def _pss(hashed: HashAlgorithm) -> tuple[bytes, ...]:
    """RSASSA-PSS with one hash for data and mask, and a salt of its length (A.4.3, RFC 4055).

    A hash's NULL parameters may be absent, and the trailer field, whose value is the default, there
    (as A.4.3 prints it). DER leaves it out, and that is what is sent.
    """
    salt = _der(0xA2, _der(0x02, bytes([_SHA2[hashed].digest_size])))
    forms = []
    for trailer, null, mask_null in product(
        (b"", bytes.fromhex("a303020101")), *[(_NULL, b"")] * 2
    ):
        digest = _der(0xA0, _der(0x30, _OID_SHA2[hashed], null))
        mask = _der(0xA1, _der(0x30, _OID_MGF1, _der(0x30, _OID_SHA2[hashed], mask_null)))
        forms.append(_der(0x30, _OID_PSS, _der(0x30, digest, mask, salt, trailer)))
    return tuple(forms)


_ED25519 = {HashAlgorithm.IDENTITY: Algorithm((bytes.fromhex("300506032b6570"),))}
ECDSA = {
    hashed: Algorithm((bytes.fromhex(f"300a06082a8648ce3d0403{last}"),), _SHA2[hashed])
    for hashed, last in zip(_SHA2, ("02", "03", "04"), strict=True)
}
"""RFC 7427 Appendix A.3."""
_RSA_PKCS1 = {
    hashed: Algorithm(
        (bytes.fromhex(f"300d06092a864886f70d0101{last}0500"),), _SHA2[hashed], padding.PKCS1v15()
    )
    for hashed, last in zip(_SHA2, ("0b", "0c", "0d"), strict=True)
}
_RSA_PSS = {
    hashed: Algorithm(
        _pss(hashed), digest, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
    )
    for hashed, digest in _SHA2.items()
}

# Only to say what a peer did: object identifiers of what is not done here, the most telling first.
_OTHERS = {
    bytes.fromhex("06032b6571"): "Ed448",
    bytes.fromhex("06072a8648ce3d0401"): "ECDSA with SHA-1",
    bytes.fromhex("06092a864886f70d010105"): "RSA with SHA-1",
    bytes.fromhex("06052b0e03021a"): "RSA with SHA-1",
    bytes.fromhex("06092a864886f70d0101"): "RSA of a form that is not allowed",
}


def algorithms(
    key: SigningKey | VerifyingKey, *, pkcs1: bool = False
) -> Mapping[HashAlgorithm, Algorithm]:
    """What a key signs with, by the hash that the other side must know."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return _ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return ECDSA
    return _RSA_PKCS1 if pkcs1 else _RSA_PSS


def identified(key: VerifyingKey, identifier: bytes) -> Algorithm | None:
    """The algorithm of this name, if a key of this kind makes such signatures."""
    known = [*algorithms(key).values(), *algorithms(key, pkcs1=True).values()]
    return next((one for one in known if identifier in one.identifiers), None)


def what(identifier: bytes) -> str:
    """How a person calls it."""
    kinds = {"Ed25519": (_ED25519,), "ECDSA": (ECDSA,), "RSA": (_RSA_PKCS1, _RSA_PSS)}
    for name, tables in kinds.items():
        if any(identifier in one.identifiers for table in tables for one in table.values()):
            return name
    return next(
        (name for oid, name in _OTHERS.items() if oid in identifier), "an unknown algorithm"
    )


def to_plain(signature: bytes, key_bits: int) -> bytes:
    """r and s one after the other, each as long as the curve's order (RFC 4754 §3)."""
    octets = (key_bits + 7) // 8
    return b"".join(part.to_bytes(octets, "big") for part in decode_dss_signature(signature))


def from_plain(signature: bytes, key_bits: int) -> bytes:
    """The same back again. Raises `ValueError` for another length."""
    octets = (key_bits + 7) // 8
    if len(signature) != 2 * octets:
        raise ValueError(f"a signature of {len(signature)} octets, where {2 * octets} belong")
    return encode_dss_signature(
        int.from_bytes(signature[:octets], "big"), int.from_bytes(signature[octets:], "big")
    )
