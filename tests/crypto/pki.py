"""Authorities and certificates for tests, as good or as bad as a test wants them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from hushwire.crypto.crl import Crl
from hushwire.crypto.dn import dn_from_text
from hushwire.crypto.sign import PrivateKey
from hushwire.crypto.x509 import Certificate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""The day on which tests judge, unless they say otherwise."""
DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Digest = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
KINDS = ("ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa")


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """They take long to make: the same one for the same number."""
    return rsa.generate_private_key(65537, bits)


def new_key(kind: str) -> Key:
    if kind == "rsa":
        return rsa_key()
    return serialization.load_pem_private_key(PrivateKey.generate(kind).to_pem().encode(), None)  # type: ignore[return-value]


@dataclass(frozen=True)
class Entity:
    """Somebody with a key and a certificate."""

    key: Key
    pyca: x509.Certificate

    @property
    def certificate(self) -> Certificate:
        return Certificate.from_der(self.der)

    @property
    def der(self) -> bytes:
        return self.pyca.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.pyca.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @property
    def private_key(self) -> PrivateKey:
        return PrivateKey.from_pem(self.key_pem)


def issue(
    subject: str = "O=Example, CN=bob",
    *,
    by: Entity | None = None,
    kind: str = "ecdsa-p256",
    key: Key | None = None,
    names: Sequence[str] = (),
    ca: bool = False,
    path_length: int | None = None,
    now: datetime = NOW,
    since: timedelta = -DAY,
    until: timedelta = 30 * DAY,
    usage: Sequence[str] | None = None,
    purposes: Sequence[str] = (),
    basic: bool = True,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    digest: Digest | None = None,
    pss: bool = False,
    serial: int | None = None,
) -> Entity:
    """A certificate; without `by` one that signs itself. `usage` are bits of key usage."""
    own = key or new_key(kind)
    issuer_key = by.key if by else own
    name = _name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.pyca.subject if by else name)
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(text) for text in names]), critical=not subject
        )
    if usage is None and ca:
        usage = ("key_cert_sign", "crl_sign")
    if usage is not None:
        builder = builder.add_extension(_usage(usage), critical=True)
    if purposes:
        oids = [x509.ObjectIdentifier(purpose) for purpose in purposes]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    chosen = _digest(issuer_key, digest)
    salted = (
        padding.PSS(padding.MGF1(chosen), padding.PSS.DIGEST_LENGTH) if pss and chosen else None
    )
    return Entity(own, builder.sign(issuer_key, chosen, rsa_padding=salted))


def authority(subject: str = "O=Example, CN=Example CA", **more: object) -> Entity:
    """One that signs itself, or `by` another one."""
    return issue(subject, ca=True, **more)  # type: ignore[arg-type]


def revoked(
    by: Entity,
    *serials: int,
    now: datetime = NOW,
    since: timedelta = -DAY,
    until: timedelta | None = 7 * DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: Key | None = None,
) -> bytes:
    """A revocation list in PEM; with `key` signed by somebody else's."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.pyca.subject)
        .last_update(now + since)
        # pyca/cryptography makes none without it.
        .next_update(now + (until or 7 * DAY))
    )
    for serial in serials:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(now + since)
            .build()
        )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signer = key or by.key
    made = builder.sign(signer, _digest(signer, None))
    return made.public_bytes(serialization.Encoding.PEM)


def crl(by: Entity, *serials: int, **more: object) -> Crl:
    """The same, read."""
    (read,) = Crl.from_file(revoked(by, *serials, **more))  # type: ignore[arg-type]
    return read


def _digest(key: Key, digest: Digest | None) -> Digest | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()


def _name(text: str) -> x509.Name:
    return x509.Name.from_bytes(dn_from_text(text)) if text else x509.Name([])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


def _usage(bits: Sequence[str]) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{bit: bit in bits for bit in every})
