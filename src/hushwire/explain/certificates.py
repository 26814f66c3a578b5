"""What a certificate failed by, as a typed value and as sentences for both ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hushwire.crypto.flaws import Flaw
from hushwire.explain.outcome import NotAuthenticated
from hushwire.records import dataclass
from hushwire.sa.identity import Identity

if TYPE_CHECKING:
    from hushwire.crypto.x509 import Certificate


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """Which certificate it is: its names, its number in hex, its time as people write it (UTC)."""

    subject: str
    issuer: str
    serial: str
    not_before: str
    not_after: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, certificate: Certificate) -> CertificateFacts:
        return cls(
            certificate.subject,
            certificate.issuer,
            f"{certificate.serial:x}",
            day(certificate.not_before),
            day(certificate.not_after),
            tuple(sorted(Identity(kind, data).text for kind, data in certificate.names)),
        )


@dataclass(frozen=True, slots=True)
class CertificateRefused(NotAuthenticated):
    """The peer's certificate, or its proof that it holds the key, failed one check.

    `certificate` is the one that failed, which may be an authority's; None when none could be read.
    `checked_at` is our clock's time.
    """

    identity: str
    flaw: Flaw
    detail: str
    certificate: CertificateFacts | None
    checked_at: str


def day(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-22 12:00 UTC."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "out of all time"


def sentence(event: CertificateRefused) -> str:
    """What failed, by which certificate, and what to do at which end."""
    what, cure = _WHAT[event.flaw], _CURE[event.flaw]
    lines = [
        f"{event.peer}: the peer says it is {event.identity}, and its certificate does not prove "
        f"it: {what}{_detail(event)}. Nothing was let through."
    ]
    shown = event.certificate
    if shown is not None:
        lines += [
            f"    certificate    {shown.subject}, serial {shown.serial}",
            f"    issued by      {shown.issuer}",
            f"    valid          {shown.not_before} to {shown.not_after} "
            f"(our clock: {event.checked_at})",
        ]
        if event.flaw is Flaw.WRONG_NAME:
            lines.append(f"    certifies      {', '.join(shown.names) or 'no name'}")
    lines.append(f"    {cure}")
    return "\n".join(lines)


def _detail(event: CertificateRefused) -> str:
    return f" ({event.detail})" if event.detail else ""


_WHAT = {
    Flaw.MISSING: "it showed none",
    Flaw.UNREADABLE: "it cannot be read",
    Flaw.WEAK_KEY: "a key in its chain is too weak, or of a kind that is not known here",
    Flaw.WEAK_SIGNATURE: "it, or an authority above it, is signed with a weak algorithm",
    Flaw.NOT_YET_VALID: "its time has not come yet",
    Flaw.EXPIRED: "its time is over",
    Flaw.UNKNOWN_ISSUER: "no authority in our ca_file has issued it, nor is there a chain to one",
    Flaw.BAD_SIGNATURE: "an authority of that name is known, but its key has not signed it",
    Flaw.NOT_AN_AUTHORITY: "it is issued by a certificate that may not issue any",
    Flaw.PATH_TOO_LONG: "too many certificates are between it and the authority",
    Flaw.KEY_USAGE: "its key is not meant for signatures",
    Flaw.PURPOSE: "it is meant for something else than IKE",
    Flaw.CRITICAL_EXTENSION: "it has a critical extension that is not known here",
    Flaw.NAME_CONSTRAINTS: "its authority may not certify this name",
    Flaw.REVOKED: "its authority has revoked it",
    Flaw.NO_CRL: "no current revocation list says that it is still good",
    Flaw.WRONG_NAME: "that is not among the names that it certifies",
    Flaw.WRONG_METHOD: "it comes with another kind of proof",
    Flaw.BAD_PROOF: "the proof is not by its key",
}
_CURE = {
    Flaw.MISSING: "Let the peer show it: send_cert = always in strongSwan's swanctl.conf, "
    "cert_file in a Hushwire's file. Or is it configured for a shared secret or a raw public key?",
    Flaw.UNREADABLE: "Have the peer's certificate issued anew, as X.509 version 3.",
    Flaw.WEAK_KEY: "Have it issued anew, with Ed25519, ECDSA (P-256, P-384, P-521), or RSA of 2048 "
    "bits or more.",
    Flaw.WEAK_SIGNATURE: "Have it issued anew, signed over SHA-256 or more.",
    Flaw.NOT_YET_VALID: "Is this host's clock right? Else wait, or have it issued anew.",
    Flaw.EXPIRED: "Is this host's clock right? Then have it issued anew, and put it in the old "
    "one's place at the peer (cert_file; strongSwan: swanctl/x509, then swanctl --load-creds).",
    Flaw.UNKNOWN_ISSUER: "Put the certificate of the peer's authority into our ca_file; or, where "
    "authorities stand between, let the peer show them (more certificates in cert_file; "
    "strongSwan: swanctl/x509ca).",
    Flaw.BAD_SIGNATURE: "Two authorities have the same name: the certificate of the other one, or "
    "its newer one, is missing in our ca_file. Or somebody has forged it.",
    Flaw.NOT_AN_AUTHORITY: "Have the authority's certificate issued with CA:TRUE and keyCertSign.",
    Flaw.PATH_TOO_LONG: "Have the peer's certificate issued by an authority higher up.",
    Flaw.KEY_USAGE: "Have it issued with the key usage digitalSignature.",
    Flaw.PURPOSE: "Have it issued without extended key usage, or with ipsecIKE in it; or, if the "
    'authority issues for web servers only, set key_purpose = "any" under the peer in our file.',
    Flaw.CRITICAL_EXTENSION: "Have it issued without this extension, or with it not critical.",
    Flaw.NAME_CONSTRAINTS: "Have it issued by an authority that may, or for another name.",
    Flaw.REVOKED: "Have a new one issued for the peer. Until then nobody should trust this one.",
    Flaw.NO_CRL: "Put the authority's newest list into our crl_file (or its address into crl_url); "
    'or set crl = "if-present" under the peer in our file.',
    Flaw.WRONG_NAME: "The peer's local id must be one of these names (local_id; strongSwan: local "
    "{ id = ... }), and id under the peer in our file the same; or have it issued with "
    "subjectAltName for the name.",
    Flaw.WRONG_METHOD: "The peer has to sign as RFC 7427 says: strongSwan does with auth = pubkey. "
    "RSA signatures of the old kind are with SHA-1, which RFC 8247 forbids.",
    Flaw.BAD_PROOF: "Does the peer's private key belong to its certificate? Else somebody has only "
    "the certificate, which is public, and answers in its place.",
}
