"""Every way a certificate can fail to prove who somebody is: each check has its own name."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from hushwire.crypto.errors import CryptoError

if TYPE_CHECKING:
    from hushwire.crypto.x509 import Certificate


class Flaw(StrEnum):
    """What is wrong with a certificate, its chain, or the proof made with it."""

    MISSING = "no certificate"
    UNREADABLE = "not readable"
    WEAK_KEY = "key too weak or not known here"
    WEAK_SIGNATURE = "signed with an algorithm that is too weak or not known here"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    UNKNOWN_ISSUER = "no chain to a trusted authority"
    BAD_SIGNATURE = "not signed by the key of its issuer"
    NOT_AN_AUTHORITY = "issued by a certificate that may issue none"
    PATH_TOO_LONG = "too many certificates between it and the authority"
    KEY_USAGE = "not meant for signatures"
    PURPOSE = "not meant for IKE"
    CRITICAL_EXTENSION = "a critical extension that is not known here"
    NAME_CONSTRAINTS = "a name that its authority may not certify"
    REVOKED = "revoked"
    NO_CRL = "no current revocation list"
    WRONG_NAME = "another name"
    WRONG_METHOD = "another method of authentication"
    BAD_PROOF = "not proved"


class UntrustedError(CryptoError):
    """The peer: its certificate does not prove anything. `certificate` is the one that fails."""

    def __init__(self, flaw: Flaw, certificate: Certificate | None, detail: str = "") -> None:
        super().__init__(f"{flaw.value}: {detail}" if detail else flaw.value)
        self.flaw = flaw
        self.certificate = certificate
        self.detail = detail
