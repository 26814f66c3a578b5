"""X.509 certificates (RFC 5280, profile RFC 4945): read whole, once, or refused.

All ASN.1 is read by pyca/cryptography, which reads late: here everything that is ever asked of a
certificate is read at once, so that nothing hostile is left to be found afterwards.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from hushwire.crypto.dn import name_text
from hushwire.crypto.errors import CertificateFormatError, KeyFormatError
from hushwire.crypto.sign import PublicKey
from hushwire.records import dataclass
from hushwire.wire.registry import IdType

MOST_OCTETS = 16384
"""Of one certificate. Honest ones have 500 to 3000."""
_MOST_NAMES = 100

_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
    }
)
"""Whatever else is critical makes a certificate useless (RFC 5280 §4.2)."""

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """One certificate. Times are seconds since 1970, UTC; names of DNS and mail in lower case.

    `names` is every identity that it certifies: those of subjectAltName, and the subject in DER if
    there is one (RFC 4945 §3.1). `key` is None where `key_flaw` says why it cannot be used, and
    `signature_flaw` is "" where the issuer's algorithm is a strong one. `path_length` is how many
    authorities may follow below this one. `key_usage` and `purposes` are None where nothing limits
    them. `critical` are the critical extensions not understood here. `urls` are where its issuer
    publishes a list of what it has revoked.
    """

    der: bytes = field(repr=False)
    subject: str
    issuer: str
    serial: int
    not_before: float
    not_after: float
    names: frozenset[tuple[IdType, bytes]]
    key: PublicKey | None
    key_flaw: str
    signature_flaw: str
    is_authority: bool
    path_length: int | None
    key_usage: x509.KeyUsage | None
    purposes: frozenset[str] | None
    constraints: x509.NameConstraints | None
    critical: tuple[str, ...]
    key_id: bytes | None
    issuer_key_id: bytes | None
    urls: tuple[str, ...]
    pyca: x509.Certificate = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    @classmethod
    def from_der(cls, der: bytes) -> Certificate:
        """Raises `CertificateFormatError` for whatever is not a certificate that can be judged."""
        if len(der) > MOST_OCTETS:
            raise CertificateFormatError(
                f"a certificate of {len(der)} octets, {MOST_OCTETS} at most"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # about what RFC 5280 forbids
                return cls._read(der, x509.load_der_x509_certificate(der))
        except CertificateFormatError:
            raise
        except Exception as error:
            # The library has a dozen kinds of complaint about hostile octets, and may get more.
            raise CertificateFormatError(f"not a certificate that can be read: {error}") from error

    @classmethod
    def _read(cls, der: bytes, read: x509.Certificate) -> Certificate:
        if read.version is not x509.Version.v3:
            raise CertificateFormatError(
                "a certificate of an old version: X.509 version 3 is needed"
            )
        known = {extension.oid: extension for extension in read.extensions}
        basic = _value(known, ExtensionOID.BASIC_CONSTRAINTS, x509.BasicConstraints)
        purposes = _value(known, ExtensionOID.EXTENDED_KEY_USAGE, x509.ExtendedKeyUsage)
        own = _value(known, ExtensionOID.SUBJECT_KEY_IDENTIFIER, x509.SubjectKeyIdentifier)
        above = _value(known, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, x509.AuthorityKeyIdentifier)
        key, key_flaw = _key(read)
        return cls(
            der=der,
            subject=name_text(read.subject),
            issuer=name_text(read.issuer),
            serial=read.serial_number,
            not_before=read.not_valid_before_utc.timestamp(),
            not_after=read.not_valid_after_utc.timestamp(),
            names=_names(
                read.subject,
                _value(known, ExtensionOID.SUBJECT_ALTERNATIVE_NAME, x509.SubjectAlternativeName),
            ),
            key=key,
            key_flaw=key_flaw,
            signature_flaw=signature_flaw(read),
            is_authority=basic is not None and basic.ca,
            path_length=None if basic is None else basic.path_length,
            key_usage=_value(known, ExtensionOID.KEY_USAGE, x509.KeyUsage),
            purposes=None if purposes is None else frozenset(p.dotted_string for p in purposes),
            constraints=_value(known, ExtensionOID.NAME_CONSTRAINTS, x509.NameConstraints),
            critical=tuple(
                oid.dotted_string
                for oid, extension in known.items()
                if extension.critical and oid not in _UNDERSTOOD
            ),
            key_id=None if own is None else own.digest,
            issuer_key_id=None if above is None else above.key_identifier,
            urls=distribution_urls(
                _value(known, ExtensionOID.CRL_DISTRIBUTION_POINTS, x509.CRLDistributionPoints)
            ),
            pyca=read,
        )

    @property
    def authority_hash(self) -> bytes:
        """How a Certificate Request names this authority: 20 octets (RFC 7296 §3.7)."""
        spki = b"" if self.key is None else self.key.spki
        return hashlib.sha1(spki, usedforsecurity=False).digest()

    @property
    def self_issued(self) -> bool:
        return self.pyca.subject == self.pyca.issuer

    def may_be_issuer_of(self, other: Certificate) -> bool:
        """By name and key identifier; the signature is not looked at."""
        ids = self.key_id, other.issuer_key_id
        return self.pyca.subject == other.pyca.issuer and (None in ids or ids[0] == ids[1])

    def signed(self, other: Certificate) -> bool:
        """Is the signature on the other one by this one's key?"""
        if self.key is None or other.signature_flaw:
            return False
        try:
            other.pyca.verify_directly_issued_by(self.pyca)
        except Exception:  # not signed, or of another kind than the key; whatever it is: no
            return False
        return True


def authorities_hash(certificates: tuple[Certificate, ...]) -> bytes:
    """The Certification Authority field of a Certificate Request (RFC 7296 §3.7)."""
    return b"".join(dict.fromkeys(certificate.authority_hash for certificate in certificates))


def signature_flaw(signed: x509.Certificate | x509.CertificateRevocationList) -> str:
    """Why the algorithm that this is signed with is not taken, or ""."""
    oid = signed.signature_algorithm_oid
    if oid not in _SIGNATURES:
        return f"it is signed with {oid._name}, which is too weak or not known here"
    hashed = signed.signature_hash_algorithm
    if hashed is not None and not isinstance(hashed, _STRONG_HASHES):
        return f"it is signed over {hashed.name}, which is too weak or not known here"
    parameters = signed.signature_algorithm_parameters
    if isinstance(parameters, padding.PSS) and not isinstance(
        parameters.mgf._algorithm, _STRONG_HASHES
    ):
        return "it is signed with RSASSA-PSS over a weak hash"
    return ""


def distribution_urls(points: x509.CRLDistributionPoints | None) -> tuple[str, ...]:
    """Of whole lists by the issuer itself, those that HTTP can fetch."""
    return tuple(
        name.value
        for point in points or ()
        if point.crl_issuer is None and point.reasons is None
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
        and name.value.startswith(("http://", "https://"))
    )


def _value(
    known: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]],
    oid: x509.ObjectIdentifier,
    kind: type[_Kind],
) -> _Kind | None:
    extension = known.get(oid)
    if extension is None:
        return None
    if not isinstance(extension.value, kind):
        raise CertificateFormatError(f"its extension {oid.dotted_string} is not what it should be")
    return extension.value


def _key(read: x509.Certificate) -> tuple[PublicKey | None, str]:
    try:
        return PublicKey.of(read.public_key()), ""
    except KeyFormatError as error:
        return None, str(error)
    except Exception as error:  # of a kind, or with parameters, that the library does not know
        return None, f"its key cannot be read: {error}"


def _names(
    subject: x509.Name, alternative: x509.SubjectAlternativeName | None
) -> frozenset[tuple[IdType, bytes]]:
    names = {(IdType.DER_ASN1_DN, subject.public_bytes())} if subject.rdns else set()
    for name in alternative or ():
        if isinstance(name, x509.DNSName):
            names.add((IdType.FQDN, name.value.lower().encode()))
        elif isinstance(name, x509.RFC822Name):
            names.add((IdType.RFC822_ADDR, name.value.lower().encode()))
        elif isinstance(name, x509.IPAddress):
            packed = getattr(name.value, "packed", b"")  # a network is no identity
            kind = IdType.IPV4_ADDR if len(packed) == 4 else IdType.IPV6_ADDR
            if packed:
                names.add((kind, packed))
    if len(names) > _MOST_NAMES:
        raise CertificateFormatError(f"it has {len(names)} names, {_MOST_NAMES} at most")
    return frozenset(names)
