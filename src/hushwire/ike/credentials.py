"""The ways to prove who one is, and what each shows, asks for and believes.

One class for each; `ike/tasks/auth.py` knows none of them, only these answers:

    shown()    our Certificate payloads
    wanted()   our Certificate Requests
    sign()     our AUTH payload over the octets of RFC 7296 §2.15
    check()    the peer's AUTH payload, and the certificates it came with

A new way is one more class, and one more name in `Credential`. What reads certificates is loaded
where it is used: that takes long, and few tunnels have any.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, ClassVar

from hushwire.crypto.errors import BadSignatureError, CertificateFormatError, CryptoError
from hushwire.crypto.flaws import Flaw, UntrustedError
from hushwire.crypto.prf import Prf
from hushwire.crypto.sign import PrivateKey, PublicKey
from hushwire.records import dataclass
from hushwire.sa.identity import Identity
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.registry import AuthMethod, CertEncoding, IdType

if TYPE_CHECKING:
    from hushwire.crypto import x509
    from hushwire.crypto.chain import Trust

_KEY_PAD = b"Key Pad for IKEv2"


class ProofError(Exception):
    """An AUTH payload could not be made, or is not what the credential would make."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the other side says: who it is, the proof, and all that it shows beside it."""

    identity: Identity
    auth: Authentication
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Psk:
    """Shared key message integrity code (RFC 7296 §2.15)."""

    secret: bytes = field(repr=False)

    name: ClassVar[str] = "shared secret"

    def shown(self) -> tuple[Certificate, ...]:
        return ()

    def wanted(self) -> tuple[CertificateRequest, ...]:
        return ()

    def sign(self, prf: Prf, octets: bytes, _peer_hashes: frozenset[int]) -> Authentication:
        return Authentication(AuthMethod.SHARED_KEY_MIC, self._mic(prf, octets))

    def check(self, claim: Claim, prf: Prf, octets: bytes, _wall: float) -> None:
        _expect(claim.auth, self.name, AuthMethod.SHARED_KEY_MIC)
        if not hmac.compare_digest(self._mic(prf, octets), claim.auth.data):
            raise ProofError("its shared secret is not ours")

    def _mic(self, prf: Prf, octets: bytes) -> bytes:
        return prf(prf(self.secret, _KEY_PAD), octets)


@dataclass(frozen=True, slots=True)
class RawKeys:
    """Raw public keys, known to each other beforehand (RFC 7670)."""

    own: PrivateKey = field(repr=False)
    peer: PublicKey

    name: ClassVar[str] = "public key"

    def shown(self) -> tuple[Certificate, ...]:
        return (Certificate(CertEncoding.RAW_PUBLIC_KEY, self.own.public.spki),)

    def wanted(self) -> tuple[CertificateRequest, ...]:
        return (CertificateRequest(CertEncoding.RAW_PUBLIC_KEY, b""),)

    def sign(self, _prf: Prf, octets: bytes, peer_hashes: frozenset[int]) -> Authentication:
        return Authentication(AuthMethod.DIGITAL_SIGNATURE, _signed(self.own, octets, peer_hashes))

    def check(self, claim: Claim, _prf: Prf, octets: bytes, _wall: float) -> None:
        _expect(claim.auth, self.name, AuthMethod.DIGITAL_SIGNATURE)
        try:
            self.peer.verify(octets, claim.auth.data)
        except BadSignatureError as error:
            raise ProofError(f"its signature is not by the configured public key ({error})") from (
                error
            )


@dataclass(frozen=True, slots=True)
class Certificates:
    """X.509 on both sides (RFC 7296 §3.6, RFC 4945).

    `chain` is ours, the certificate of `own` first, then those that lead to its authority. With
    `pkcs1` an RSA key signs as PKCS #1 v1.5 does, for peers that know no RSASSA-PSS.
    """

    own: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    trust: Trust = field(repr=False)
    pkcs1: bool = False

    name: ClassVar[str] = "certificate"

    def shown(self) -> tuple[Certificate, ...]:
        return tuple(Certificate(CertEncoding.X509_SIGNATURE, one.der) for one in self.chain)

    def wanted(self) -> tuple[CertificateRequest, ...]:
        return (_request(self.trust.anchors),)

    def sign(self, _prf: Prf, octets: bytes, peer_hashes: frozenset[int]) -> Authentication:
        if peer_hashes:
            data = _signed(self.own, octets, peer_hashes, pkcs1=self.pkcs1)
            return Authentication(AuthMethod.DIGITAL_SIGNATURE, data)
        # A peer older than RFC 7427.
        try:
            data = self.own.sign_old(octets)
        except CryptoError as error:
            raise ProofError(str(error)) from error
        return Authentication(self.own.public.old_method or AuthMethod.DIGITAL_SIGNATURE, data)

    def check(self, claim: Claim, _prf: Prf, octets: bytes, wall: float) -> None:
        """Raises `UntrustedError`. What costs a signature comes last."""
        from hushwire.crypto import chain

        if claim.auth.method == AuthMethod.SHARED_KEY_MIC:
            raise UntrustedError(Flaw.WRONG_METHOD, None, method_text(claim.auth.method))
        own, others = _read(claim.certificates)
        _check_name(claim.identity, own)
        key = own.key
        methods = {AuthMethod.DIGITAL_SIGNATURE, key.old_method if key else None}
        if claim.auth.method not in methods:
            raise UntrustedError(Flaw.WRONG_METHOD, own, method_text(claim.auth.method))
        chain.verify(own, others, self.trust, wall)
        if key is None:
            raise UntrustedError(Flaw.WEAK_KEY, own, own.key_flaw)
        try:
            if claim.auth.method == AuthMethod.DIGITAL_SIGNATURE:
                key.verify(octets, claim.auth.data)
            else:
                key.verify_old(octets, claim.auth.data)
        except BadSignatureError as error:
            raise UntrustedError(Flaw.BAD_PROOF, own, str(error)) from error


Credential = Psk | RawKeys | Certificates


def certificates_wanted(credentials: Iterable[Credential]) -> CertificateRequest | None:
    """Of somebody who can be any of several peers: whom their authorities have certified."""
    anchors = tuple(
        anchor
        for credential in credentials
        if isinstance(credential, Certificates)
        for anchor in credential.trust.anchors
    )
    if not anchors:
        return None
    return _request(anchors)


def _request(anchors: tuple[x509.Certificate, ...]) -> CertificateRequest:
    from hushwire.crypto.x509 import authorities_hash

    return CertificateRequest(CertEncoding.X509_SIGNATURE, authorities_hash(anchors))


def _read(payloads: Sequence[Certificate]) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The peer's own certificate, which comes first (RFC 7296 §3.6), and all others."""
    from hushwire.crypto import x509

    shown = [
        payload.data for payload in payloads if payload.encoding == CertEncoding.X509_SIGNATURE
    ]
    if not shown:
        raise UntrustedError(Flaw.MISSING, None)
    try:
        own = x509.Certificate.from_der(shown[0])
    except CertificateFormatError as error:
        raise UntrustedError(Flaw.UNREADABLE, None, str(error)) from error
    others = []
    for der in shown[1:]:
        try:
            others.append(x509.Certificate.from_der(der))
        except CertificateFormatError:
            continue  # RFC 4945 §3.3.10.2: it may not be needed
    return own, tuple(others)


def _check_name(identity: Identity, certificate: x509.Certificate) -> None:
    """RFC 4945 §3.1: the identity stands in the certificate, in the place for its type."""
    names = [Identity(kind, data) for kind, data in certificate.names]
    if identity.type == IdType.KEY_ID or not any(identity.is_same_as(name) for name in names):
        raise UntrustedError(Flaw.WRONG_NAME, certificate)


def _signed(
    key: PrivateKey, octets: bytes, peer_hashes: frozenset[int], *, pkcs1: bool = False
) -> bytes:
    try:
        return key.sign(octets, peer_hashes, pkcs1=pkcs1)
    except CryptoError as error:
        raise ProofError(str(error)) from error


def _expect(auth: Authentication, name: str, method: AuthMethod) -> None:
    """The configuration decides the method, never the peer."""
    if auth.method != method:
        raise ProofError(f"it authenticates by {method_text(auth.method)}, and we expect a {name}")


def method_text(method: int) -> str:
    """How a person calls an authentication method."""
    names = {
        AuthMethod.RSA_SIGNATURE: "an RSA signature of the old kind (method 1)",
        AuthMethod.SHARED_KEY_MIC: "a shared secret",
        AuthMethod.DIGITAL_SIGNATURE: "a digital signature",
    }
    try:
        return names.get(AuthMethod(method), "an ECDSA signature of the old kind")
    except ValueError:
        return f"method {method}"
