"""AUTH payloads (RFC 7296 §2.15), and the proof that the peer's was verified.

`VerifiedPeer` cannot be made without a successful `verify`, and the established state cannot be
made without a `VerifiedPeer`: no path through the state machine can forget the check.
"""

from __future__ import annotations

from hushwire.crypto.prf import Prf
from hushwire.ike.credentials import Claim, Credential
from hushwire.ike.inputs import Peer
from hushwire.sa.identity import Identity
from hushwire.wire.ike.payloads.authentication import Authentication

_VERIFICATION = object()


class VerifiedPeer:
    """Proof that the peer's AUTH payload was verified against the credential of `peer`."""

    __slots__ = ("identity", "method", "peer")

    def __init__(self, verification: object, peer: Peer, identity: Identity, method: str) -> None:
        if verification is not _VERIFICATION:
            raise TypeError("only hushwire.ike.proofs.verify makes a VerifiedPeer")
        self.peer = peer
        self.identity = identity
        self.method = method


def signed_octets(
    prf: Prf, sk_p: bytes, message: bytes, other_nonce: bytes, identification: bytes
) -> bytes:
    """RealMessage | NonceData of the other side | prf(SK_p, RestOfIDPayload) (§2.15)."""
    return message + other_nonce + prf(sk_p, identification)


def make(
    credential: Credential, prf: Prf, octets: bytes, peer_hashes: frozenset[int]
) -> Authentication:
    """Our AUTH payload. Raises `ProofError` when the peer lacks the hash that our key needs."""
    return credential.sign(prf, octets, peer_hashes)


def verify(peer: Peer, claim: Claim, prf: Prf, octets: bytes, wall: float) -> VerifiedPeer:
    """Check the peer's AUTH payload with the credential that our configuration names for it.

    The configuration decides the method, never the peer. `wall` is seconds since 1970. Raises
    `ProofError` or `UntrustedError` with the reason.
    """
    peer.credential.check(claim, prf, octets, wall)
    return VerifiedPeer(_VERIFICATION, peer, claim.identity, peer.credential.name)
