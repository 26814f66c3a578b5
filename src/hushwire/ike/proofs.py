"""AUTH payloads (RFC 7296 §2.15, RFC 7427, RFC 7670), and the proof that one was verified.

`VerifiedPeer` cannot be made without a successful `verify`, and the established state cannot be
made without a `VerifiedPeer`: no path through the state machine can forget the check.
"""

from __future__ import annotations

import hmac

from hushwire.crypto.errors import BadSignatureError, CryptoError
from hushwire.crypto.prf import Prf
from hushwire.ike.inputs import Peer, Psk, RawKeys
from hushwire.sa.identity import Identity
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.registry import AuthMethod

_KEY_PAD = b"Key Pad for IKEv2"
_VERIFICATION = object()


class ProofError(Exception):
    """An AUTH payload could not be made, or is not what the credential would make."""


class VerifiedPeer:
    """Proof that the peer's AUTH payload was verified against the credential of `peer`."""

    __slots__ = ("identity", "method", "peer")

    def __init__(self, verification: object, peer: Peer, identity: Identity, method: str) -> None:
        if verification is not _VERIFICATION:
            raise TypeError("only hushwire.ike.proofs.verify makes a VerifiedPeer")
        self.peer = peer
        self.identity = identity
        self.method = method


def method_name(credential: Psk | RawKeys) -> str:
    """How a person calls this way of authentication."""
    return "shared secret" if isinstance(credential, Psk) else "public key"


def signed_octets(
    prf: Prf, sk_p: bytes, message: bytes, other_nonce: bytes, identification: bytes
) -> bytes:
    """RealMessage | NonceData of the other side | prf(SK_p, RestOfIDPayload) (§2.15)."""
    return message + other_nonce + prf(sk_p, identification)


def make(
    credential: Psk | RawKeys, prf: Prf, octets: bytes, peer_hashes: frozenset[int]
) -> Authentication:
    """Our AUTH payload. Raises `ProofError` when the peer lacks the hash that our key needs."""
    if isinstance(credential, Psk):
        return Authentication(AuthMethod.SHARED_KEY_MIC, _psk_mic(credential, prf, octets))
    try:
        signature = credential.own.sign(octets, peer_hashes)
    except CryptoError as error:
        raise ProofError(str(error)) from error
    return Authentication(AuthMethod.DIGITAL_SIGNATURE, signature)


def verify(
    peer: Peer, identity: Identity, auth: Authentication, prf: Prf, octets: bytes
) -> VerifiedPeer:
    """Check the peer's AUTH payload with the credential that our configuration names for it.

    The configuration decides the method, never the peer. Raises `ProofError` with the reason.
    """
    credential = peer.credential
    expected = (
        AuthMethod.SHARED_KEY_MIC if isinstance(credential, Psk) else AuthMethod.DIGITAL_SIGNATURE
    )
    if auth.method != expected:
        raise ProofError(
            f"it authenticates by {_method_text(auth.method)}, "
            f"and we expect a {method_name(credential)}"
        )
    if isinstance(credential, Psk):
        if not hmac.compare_digest(_psk_mic(credential, prf, octets), auth.data):
            raise ProofError("its shared secret is not ours")
    else:
        try:
            credential.peer.verify(octets, auth.data)
        except BadSignatureError as error:
            raise ProofError(f"its signature is not by the configured public key ({error})") from (
                error
            )
    return VerifiedPeer(_VERIFICATION, peer, identity, method_name(credential))


def _psk_mic(credential: Psk, prf: Prf, octets: bytes) -> bytes:
    return prf(prf(credential.secret, _KEY_PAD), octets)


def _method_text(method: int) -> str:
    names = {
        AuthMethod.RSA_SIGNATURE: "an RSA signature of the old kind (method 1)",
        AuthMethod.SHARED_KEY_MIC: "a shared secret",
        AuthMethod.DIGITAL_SIGNATURE: "a digital signature",
    }
    try:
        return names[AuthMethod(method)]
    except ValueError:
        return f"method {method}"
