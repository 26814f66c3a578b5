"""From a certificate to an authority that is trusted: path validation (RFC 5280 §6, RFC 4945 §5).

pyca/cryptography reads, and verifies each signature. Its own path validation is that of the web: it
knows no Ed25519, wants a DNS name or an address in every certificate, and does not tell which check
failed. The checks here are in the order of what they cost, the signatures last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from itertools import pairwise

from hushwire.crypto.constraints import violation
from hushwire.crypto.crl import Crls, Revocation
from hushwire.crypto.flaws import Flaw, UntrustedError
from hushwire.crypto.x509 import Certificate
from hushwire.records import dataclass

MOST_CERTIFICATES = 6
"""In one chain, from the peer's to the authority."""
_MOST_SIGNATURES = 12
_IPSEC_IKE = "1.3.6.1.5.5.7.3.17"
_ANY_PURPOSE = "2.5.29.37.0"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe: the authorities, what they have revoked, and whether a list must be there.

    With `any_purpose` a certificate may be meant for something else than IKE, as those for web
    servers are.
    """

    anchors: tuple[Certificate, ...]
    crls: Crls = field(default_factory=Crls)
    revocation: Revocation = Revocation.IF_PRESENT
    any_purpose: bool = False


def verify(
    own: Certificate, others: Sequence[Certificate], trust: Trust, now: float
) -> tuple[Certificate, ...]:
    """The chain from `own` to one of the authorities. `now` is seconds since 1970.

    `others` may be anything, in any order (RFC 4945 §3.3.10). Raises `UntrustedError`.
    """
    _check_own(own, trust, now)
    return _Search(others, trust, now).up((own,))


def _check_own(own: Certificate, trust: Trust, now: float) -> None:
    """RFC 4945 §5.1.3.2 and §5.1.3.12."""
    _check_any(own, now)
    usage = own.key_usage
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise UntrustedError(Flaw.KEY_USAGE, own, "its key usage has no digitalSignature")
    purposes = own.purposes
    if purposes is None or trust.any_purpose or purposes & {_IPSEC_IKE, _ANY_PURPOSE}:
        return
    raise UntrustedError(
        Flaw.PURPOSE, own, f"its extended key usage is {', '.join(sorted(purposes))}"
    )


def _check_any(certificate: Certificate, now: float) -> None:
    """What holds for every certificate of a chain."""
    if certificate.key is None:
        raise UntrustedError(Flaw.WEAK_KEY, certificate, certificate.key_flaw)
    if now < certificate.not_before:
        raise UntrustedError(Flaw.NOT_YET_VALID, certificate)
    if now > certificate.not_after:
        raise UntrustedError(Flaw.EXPIRED, certificate)
    if certificate.critical:
        raise UntrustedError(Flaw.CRITICAL_EXTENSION, certificate, ", ".join(certificate.critical))


class _Search:
    """Every way up from one certificate; the first complaint counts where none leads there."""

    def __init__(self, others: Sequence[Certificate], trust: Trust, now: float) -> None:
        self._others = tuple(dict.fromkeys(others))
        self._trust = trust
        self._now = now
        self._signatures = _MOST_SIGNATURES

    def up(self, path: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
        last, complaint = path[-1], None
        for issuer in self._issuers(path):
            try:
                self._check_issuer(issuer, path)
                longer = (*path, issuer)
                if issuer not in self._trust.anchors:
                    return self.up(longer)
                self._check_path(longer)
            except UntrustedError as error:
                complaint = complaint or error
            else:
                return longer
        raise complaint or UntrustedError(Flaw.UNKNOWN_ISSUER, last)

    def _issuers(self, path: tuple[Certificate, ...]) -> list[Certificate]:
        """Who could have signed the last one: trusted authorities first."""
        candidates = [*self._trust.anchors, *(c for c in self._others if c not in path)]
        return [issuer for issuer in candidates if issuer.may_be_issuer_of(path[-1])]

    def _check_issuer(self, issuer: Certificate, path: tuple[Certificate, ...]) -> None:
        last = path[-1]
        _check_any(issuer, self._now)
        if not issuer.is_authority:
            raise UntrustedError(Flaw.NOT_AN_AUTHORITY, issuer, "its basic constraints say no CA")
        if issuer.key_usage is not None and not issuer.key_usage.key_cert_sign:
            raise UntrustedError(Flaw.NOT_AN_AUTHORITY, issuer, "its key usage has no keyCertSign")
        # §4.2.1.9: those between it and the peer's, without the self-issued.
        between = sum(not certificate.self_issued for certificate in path[1:])
        if issuer.path_length is not None and between > issuer.path_length:
            detail = f"{between} are between, and it allows {issuer.path_length}"
            raise UntrustedError(Flaw.PATH_TOO_LONG, issuer, detail)
        if len(path) >= MOST_CERTIFICATES:
            raise UntrustedError(Flaw.PATH_TOO_LONG, issuer, f"{MOST_CERTIFICATES} at most")
        if last.signature_flaw:
            raise UntrustedError(Flaw.WEAK_SIGNATURE, last, last.signature_flaw)
        self._signatures -= 1
        if self._signatures < 0:
            raise UntrustedError(Flaw.UNKNOWN_ISSUER, last, "too many certificates to try")
        if not issuer.signed(last):
            raise UntrustedError(Flaw.BAD_SIGNATURE, last)

    def _check_path(self, path: tuple[Certificate, ...]) -> None:
        """What needs the whole chain."""
        for place, authority in enumerate(path):
            for below in path[:place]:
                if below.self_issued and below is not path[0]:
                    continue  # §6.1.3 (b)
                if wrong := violation(authority, below):
                    raise UntrustedError(
                        Flaw.NAME_CONSTRAINTS, below, f"{authority.subject}: {wrong}"
                    )
        for certificate, issuer in pairwise(path):
            self._check_revocation(certificate, issuer)

    def _check_revocation(self, certificate: Certificate, issuer: Certificate) -> None:
        lists = [crl for crl in self._trust.crls.lists if crl.covers(certificate, issuer)]
        # Of several sources the worst counts (RFC 4945 §5.2.1), and a list that is too old, or too
        # new for our clock, does not make a revoked certificate good again.
        if any(certificate.serial in crl.serials for crl in lists):
            raise UntrustedError(Flaw.REVOKED, certificate)
        if self._trust.revocation is Revocation.IF_PRESENT:
            return
        if any(crl.current(self._now) for crl in lists):
            return
        detail = "the one there is is too old" if lists else f"there is none of {issuer.subject}"
        raise UntrustedError(Flaw.NO_CRL, certificate, detail)
