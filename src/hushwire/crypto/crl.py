"""Certificate revocation lists (RFC 5280 §5, profile RFC 4945 §5.2)."""

from __future__ import annotations

import re
import warnings
from dataclasses import field
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from hushwire.crypto.dn import name_text
from hushwire.crypto.errors import CertificateFormatError
from hushwire.crypto.x509 import Certificate, signature_flaw
from hushwire.records import dataclass

MOST_OCTETS = 16 << 20
"""Of one list: several hundred thousand revoked certificates."""

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


class Revocation(StrEnum):
    """What there must be before a certificate is believed not to be revoked."""

    IF_PRESENT = "if-present"
    REQUIRE = "require"


class Crls:
    """The lists that are known now. Who keeps them up to date puts newer ones in their place."""

    __slots__ = ("lists",)

    def __init__(self, *lists: Crl) -> None:
        self.lists = lists


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """What one authority has revoked. Times are seconds since 1970, `until` None has no end.

    `flaw` says why nothing can be concluded from this list, whoever signed it; or "".
    """

    issuer: str
    since: float
    until: float | None
    serials: frozenset[int] = field(repr=False)
    flaw: str
    _scope: x509.IssuingDistributionPoint | None
    _pyca: x509.CertificateRevocationList = field(repr=False)

    @classmethod
    def from_file(cls, octets: bytes) -> tuple[Crl, ...]:
        """One list in DER, or any number in PEM. Raises `CertificateFormatError`."""
        if len(octets) > MOST_OCTETS:
            raise CertificateFormatError(f"a revocation list of more than {MOST_OCTETS >> 20} MiB")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = (
                    [x509.load_pem_x509_crl(part) for part in _PEM.findall(octets)]
                    if b"-----BEGIN" in octets
                    else [x509.load_der_x509_crl(octets)]
                )
                lists = tuple(cls._read(one) for one in found)
        except Exception as error:  # as in `Certificate.from_der`
            raise CertificateFormatError(
                "this is not a revocation list (-----BEGIN X509 CRL-----, or DER)"
            ) from error
        if not lists:
            raise CertificateFormatError("there is no -----BEGIN X509 CRL----- in it")
        return lists

    @classmethod
    def _read(cls, read: x509.CertificateRevocationList) -> Crl:
        known = {extension.oid: extension for extension in read.extensions}
        scope = known.pop(ExtensionOID.ISSUING_DISTRIBUTION_POINT, None)
        critical = [oid.dotted_string for oid, e in known.items() if e.critical]
        flaw = signature_flaw(read)
        if critical:
            # A delta CRL has one too: it must not pass for a whole one (RFC 4945 §5.2.2.4.1).
            flaw = f"it has the critical extension {critical[0]}, which is not known here"
        until = read.next_update_utc
        return cls(
            issuer=name_text(read.issuer),
            since=read.last_update_utc.timestamp(),
            until=None if until is None else until.timestamp(),
            serials=frozenset(revoked.serial_number for revoked in read),
            flaw=flaw,
            _scope=None if scope is None else scope.value,
            _pyca=read,
        )

    @property
    def series(self) -> tuple[str, object]:
        """Whose it is, and about which certificates: the newest list of a series has them all."""
        return self.issuer, self._scope

    def current(self, now: float) -> bool:
        return self.since <= now and (self.until is None or now < self.until)

    def covers(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Is this the issuer's own list, and one that this certificate would be on?"""
        return self._in_scope(certificate) and self.is_by(issuer)

    def is_by(self, issuer: Certificate) -> bool:
        """Is this the issuer's own list, and one from which something can be concluded?"""
        if self.flaw or self._pyca.issuer != issuer.pyca.subject:
            return False
        if issuer.key_usage is not None and not issuer.key_usage.crl_sign:
            return False
        try:
            return self._pyca.is_signature_valid(issuer.pyca.public_key())  # type: ignore[arg-type]
        except Exception:  # a key of another kind than the signature
            return False

    def _in_scope(self, certificate: Certificate) -> bool:
        """RFC 5280 §6.3.3 (b): against a list that is put in the place of another one."""
        scope = self._scope
        if scope is None:
            return True
        if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
            return False
        if scope.only_contains_user_certs and certificate.is_authority:
            return False
        if scope.only_contains_ca_certs and not certificate.is_authority:
            return False
        if scope.full_name is None:
            return scope.relative_name is None
        urls = [
            name.value
            for name in scope.full_name
            if isinstance(name, x509.UniformResourceIdentifier)
        ]
        return any(url in certificate.urls for url in urls)
