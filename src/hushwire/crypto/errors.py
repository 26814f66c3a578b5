"""What can go wrong with cryptography, split by who is to blame."""

from __future__ import annotations


class CryptoError(Exception):
    """The common base. Its text never holds key material."""


class BadIcvError(CryptoError):
    """The packet: it was changed on the way, or sealed under another key (RFC 4303 §3.4.4.2)."""


class BadPublicValueError(CryptoError):
    """The peer: a public value that its key exchange method does not allow (RFC 6989 §2)."""


class BadSignatureError(CryptoError):
    """The peer: AUTH data that the trusted public key does not confirm (RFC 7427 §3)."""


class NoCommonHashError(CryptoError):
    """The peer: it announced no hash with which our private key can sign (RFC 7427 §4)."""


class KeyFormatError(CryptoError):
    """The user: a private or public key that cannot be read or is of a kind not used here."""


class CertificateFormatError(CryptoError):
    """The peer or the user: a certificate or revocation list that cannot be read."""


class ProposalFormatError(CryptoError):
    """The user: a proposal string that lacks an algorithm, repeats one or has one out of place."""


class UnknownAlgorithmError(ProposalFormatError):
    """The user: a name in a proposal string that is not, or not any more, an algorithm here.

    `nearest` is the name that was probably meant or should be used instead, None when nothing
    comes near.
    """

    def __init__(
        self, token: str, nearest: str | None, reason: str = "is not the name of an algorithm"
    ) -> None:
        hint = f"; use {nearest!r}" if nearest else ""
        super().__init__(f"{token!r} {reason}{hint}")
        self.token = token
        self.nearest = nearest
