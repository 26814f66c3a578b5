"""Certificates and revocation lists of strangers: judged, or refused in our own words."""

from __future__ import annotations

from contextlib import suppress

from hushwire.crypto.chain import Trust, verify
from hushwire.crypto.crl import Crl, Crls
from hushwire.crypto.errors import CertificateFormatError
from hushwire.crypto.flaws import UntrustedError
from hushwire.crypto.x509 import Certificate
from hushwire.explain.certificates import CertificateFacts
from tests.crypto.pki import NOW, authority, issue, revoked

_CA = authority()
_BOB = issue(by=_CA, names=["bob.example", "bob@example.org", "192.0.2.2"])


def certificate(data: bytes) -> None:
    """Read, shown, and measured against an authority that has not signed it."""
    with suppress(CertificateFormatError, UntrustedError):
        read = Certificate.from_der(data)
        assert CertificateFacts.of(read).subject.isprintable()
        verify(read, (read, _CA.certificate), Trust((_CA.certificate,)), NOW.timestamp())
        assert read == _BOB.certificate


def revocation_list(data: bytes) -> None:
    """Read, and asked about a certificate."""
    with suppress(CertificateFormatError, UntrustedError):
        trust = Trust((_CA.certificate,), Crls(*Crl.from_file(data)))
        verify(_BOB.certificate, (), trust, NOW.timestamp())


TARGETS = {"certificate": certificate, "revocation_list": revocation_list}
SEEDS = {
    "certificate": [_BOB.der, authority("CN=Between", by=_CA).der],
    "revocation_list": [revoked(_CA, 1, 2)],
}
