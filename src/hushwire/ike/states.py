"""The states of an IKE SA, each holding exactly what is known in it.

    initiator:  InitSent ──► IntermediateSent ──► AuthSent ──► Established ──► Closing ──► Closed
                    └────────────────────────────────┘ no additional key exchange
    responder:                                    HalfOpen ──► Established ──► Closing ──► Closed

    rekeyed by the peer:     Established ──► Replaced ──► Closed; the new IKE SA begins Established

From every state a failure leads to Closing (when the peer is to be told) or Closed.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from hushwire.crypto.exchange import KeyExchange, Offer
from hushwire.crypto.suites import IkeSuite
from hushwire.ike.children import Children
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import IkeKeys
from hushwire.ike.nat import NatView
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.protection import Protection
from hushwire.records import dataclass
from hushwire.sa.association import Encapsulation
from hushwire.wire.ike.message import Payload


class Role(Enum):
    """Who sent the first IKE_SA_INIT of this IKE SA."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True)
class InitOffer:
    """What the initiator keeps until the response to IKE_SA_INIT comes.

    `cookies` are all that the responder demanded; the last one counts. `asking`: ours was refused
    without a word, and this one only asks what the peer would take.
    """

    exchange: KeyExchange
    key: Offer = field(repr=False)
    nonce: bytes
    cookies: tuple[bytes, ...] = ()
    restarts: int = 0
    asking: bool = False


@dataclass(frozen=True, slots=True)
class IntAuth:
    """What AUTH has to cover of so many IKE_INTERMEDIATE exchanges (RFC 9242 §3.3.2).

    `i` and `r` are IntAuth_iN and IntAuth_rN.
    """

    count: int = 0
    i: bytes = b""
    r: bytes = b""

    @property
    def octets(self) -> bytes:
        """Nothing without any exchange. IKE_AUTH comes right after the last one."""
        message_id = self.count + 1
        return self.i + self.r + message_id.to_bytes(4, "big") if self.count else b""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a finished IKE_SA_INIT leaves: keys shared with somebody not yet proved.

    IKE_INTERMEDIATE exchanges replace the keys, and are counted in `int_auth`.

    `init_request` and `init_response` are the two messages octet for octet, for AUTH.
    `fragmentation`: both can put fragments of messages together (RFC 7383 §2.3).
    `ppk`: both have post-quantum preshared keys (RFC 8784).
    """

    suite: IkeSuite
    keys: IkeKeys
    protection: Protection
    ni: bytes
    nr: bytes
    init_request: bytes
    init_response: bytes
    nat: NatView
    encapsulation: Encapsulation
    peer_hashes: frozenset[int]
    fragmentation: bool = False
    int_auth: IntAuth = IntAuth()
    ppk: bool = False


@dataclass(frozen=True, slots=True)
class InitSent:
    peer: Peer
    offer: InitOffer
    request: bytes


@dataclass(frozen=True, slots=True)
class IntermediateSent:
    """`plain` is our request as AUTH has to cover it."""

    peer: Peer
    secrets: Secrets
    key: Offer = field(repr=False)
    plain: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthSent:
    """`close_by`: to be closed once the answer has come, or at this time without one."""

    peer: Peer
    secrets: Secrets
    inbound_spi: int
    close_by: float | None = None


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """The responder waits for IKE_INTERMEDIATE and IKE_AUTH until `until`, then forgets."""

    secrets: Secrets
    until: float


@dataclass(frozen=True, slots=True)
class Established:
    """Cannot be made without the proof that the peer's AUTH was verified."""

    secrets: Secrets
    verified: VerifiedPeer
    children: Children
    since: float

    def __post_init__(self) -> None:
        if not isinstance(self.verified, VerifiedPeer):
            raise TypeError("an IKE SA is established only by a VerifiedPeer")


@dataclass(frozen=True, slots=True)
class Replaced:
    """The peer has rekeyed this IKE SA, and is to delete it before `until`; else we do.

    If it has not got the response that made the new one, and a NAT has given it another address, it
    hears only what is sent on this one: its liveness is asked here too, after `liveness` seconds.
    """

    secrets: Secrets
    peer_name: str
    until: float
    liveness: float


@dataclass(frozen=True, slots=True)
class Closing:
    """We have told the peer, and wait for its acknowledgement until `until`.

    `unsaid` is what it has still to be told, when an earlier request of ours is in flight (§2.3).
    """

    secrets: Secrets
    peer_name: str
    until: float
    quiet: bool  # nothing to report at the end: the reason was reported before
    unsaid: tuple[Payload, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """Over. Until `until` retransmitted requests still get their cached response."""

    until: float


State = (
    InitSent | IntermediateSent | AuthSent | HalfOpen | Established | Replaced | Closing | Closed
)


def peer_name(state: State) -> str:
    """Our name for the peer; "" while a responder does not know it, and after the end."""
    if isinstance(state, InitSent | IntermediateSent | AuthSent):
        return state.peer.name
    if isinstance(state, Established):
        return state.verified.peer.name
    return state.peer_name if isinstance(state, Replaced | Closing) else ""
