"""Everything that a negotiation can come to, as typed values.

The protocol reports these instead of writing log lines; `sentences.py` turns them into words, and
`run --once` into an exit code. Proposals are in strongSwan's notation, selectors as networks.
"""

from __future__ import annotations

from enum import Enum

from hushwire.records import dataclass


class Cause(Enum):
    """Why an attempt or a tunnel ended, as far as a script needs to tell the cases apart."""

    NOT_AUTHENTICATED = "not authenticated"
    NO_PROPOSAL = "no proposal in common"
    NOT_REACHED = "peer not reached"
    OTHER = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One step that went well, or a fact worth a sentence. `peer` is our name for it, or ""."""

    peer: str


@dataclass(frozen=True, slots=True)
class Failure(Event):
    """An attempt that ended, or a tunnel that did."""

    @property
    def cause(self) -> Cause:
        return Cause.OTHER


@dataclass(frozen=True, slots=True)
class NotAuthenticated(Failure):
    """One side has not proved to the other who it is."""

    @property
    def cause(self) -> Cause:
        return Cause.NOT_AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Connecting(Event):
    """The first IKE_SA_INIT went out to `address`, inside TCP if `tcp_port` is not 0."""

    address: str
    tcp_port: int = 0


@dataclass(frozen=True, slots=True)
class AskingPeer(Event):
    """It refused our proposals without a word, and is asked once what it would take."""


@dataclass(frozen=True, slots=True)
class PeerAnswered(Event):
    """IKE_SA_INIT is complete: a shared secret with somebody at `address`, nobody proved yet."""

    address: str
    ike_suite: str
    nat: str  # "" or which side is behind a NAT


@dataclass(frozen=True, slots=True)
class Authenticated(Event):
    """The peer's AUTH payload was verified."""

    identity: str
    method: str


@dataclass(frozen=True, slots=True)
class TunnelUp(Event):
    """The CHILD_SA is installed in both directions."""

    initiator: bool
    ike_suite: str
    esp_suite: str
    encapsulation: str
    local: tuple[str, ...]
    remote: tuple[str, ...]
    mode: str = "tunnel"


@dataclass(frozen=True, slots=True)
class Rekeyed(Event):
    """New keys for `what`: "CHILD_SA" or "IKE SA". `initiator`: this side began."""

    what: str
    suite: str
    initiator: bool


@dataclass(frozen=True, slots=True)
class RekeyFailed(Event):
    """No new keys for `what`; the old ones go on. Next attempt in `seconds`, 0: the peer's."""

    what: str
    why: str
    seconds: float
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class DuplicateClosed(Event):
    """Both hosts started at once; one of the two IKE SAs is closed (RFC 7296 §2.8 by analogy)."""


@dataclass(frozen=True, slots=True)
class ConnectionLost(Event):
    """The TCP connection to `address` that a tunnel of ours runs in is gone; the tunnel is not."""

    address: str
    why: str


@dataclass(frozen=True, slots=True)
class Reconnected(Event):
    """The tunnel goes on in a new TCP connection."""

    address: str


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """The tunnel goes on between other addresses (RFC 4555); `refused`: why it cannot."""

    local: str
    remote: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class PeerReplaced(Event):
    """The peer started anew: its older IKE SA is gone (INITIAL_CONTACT, RFC 7296 §2.4)."""


@dataclass(frozen=True, slots=True)
class ClosedByUs(Event):
    """Our Delete was acknowledged, or waited for long enough."""

    acknowledged: bool


@dataclass(frozen=True, slots=True)
class ClosedByPeer(Failure):
    """The peer sent a Delete."""


@dataclass(frozen=True, slots=True)
class PeerSilent(Failure):
    """No response to a request, after all retransmissions.

    `tcp` says what came of TCP, which was tried as well; "" when it was not.
    """

    address: str
    exchange: str
    tries: int
    seconds: float
    was_up: bool
    in_tcp: bool = False
    tcp: str = ""

    @property
    def cause(self) -> Cause:
        return Cause.NOT_REACHED


@dataclass(frozen=True, slots=True)
class NoConnection(Failure):
    """No TCP connection to the peer could be opened."""

    address: str
    port: int
    why: str

    @property
    def cause(self) -> Cause:
        return Cause.NOT_REACHED


@dataclass(frozen=True, slots=True)
class NoProposal(Failure):
    """No suite in common. `theirs` is empty when the peer did not say what it would take.

    `asked`: it did not say so by itself, but was shown everything that we can do; `theirs` is what
    it chose of that, if anything.

    `transport`: we asked for transport mode, and some peers refuse that in this way.
    """

    protocol: str  # "IKE" or "ESP"
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    refused_by_us: bool
    transport: bool = False
    asked: bool = False

    @property
    def cause(self) -> Cause:
        return Cause.NO_PROPOSAL


@dataclass(frozen=True, slots=True)
class PeerNotAuthenticated(NotAuthenticated):
    """The peer's AUTH is not what its configured secret or key would make."""

    identity: str
    method: str
    detail: str


@dataclass(frozen=True, slots=True)
class UnknownPeer(NotAuthenticated):
    """Somebody proved nothing yet and is nobody of ours. `key` is the raw public key it showed."""

    identity: str
    address: str
    key: str


@dataclass(frozen=True, slots=True)
class WrongIdentity(NotAuthenticated):
    """The peer answered as somebody else than the configuration expects."""

    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class RefusedUs(NotAuthenticated):
    """The peer answered AUTHENTICATION_FAILED: our proof did not convince it."""

    our_identity: str
    method: str


@dataclass(frozen=True, slots=True)
class SelectorsUnacceptable(Failure):
    """The traffic selectors of the two sides do not overlap (TS_UNACCEPTABLE).

    `their_*` are empty when the peer judged: it does not tell what it would have taken.
    `transport`: we asked for transport mode, and some peers refuse that in this way.
    """

    our_local: tuple[str, ...]
    our_remote: tuple[str, ...]
    their_local: tuple[str, ...]
    their_remote: tuple[str, ...]
    transport: bool = False


@dataclass(frozen=True, slots=True)
class ModeConflict(Failure):
    """One side wants transport mode, the other tunnel mode (RFC 7296 §1.3.1)."""

    ours: str
    theirs: str

    @property
    def cause(self) -> Cause:
        return Cause.NO_PROPOSAL


@dataclass(frozen=True, slots=True)
class EncapsulationConflict(Failure):
    """One side insists on UDP encapsulation, the other does not do it."""


@dataclass(frozen=True, slots=True)
class RefusedByPeer(Failure):
    """The peer answered with an error notification that has no outcome of its own."""

    exchange: str
    notify: str


@dataclass(frozen=True, slots=True)
class PeerMisbehaved(Failure):
    """A message that decrypted, or a first response, breaks the protocol."""

    exchange: str
    detail: str


@dataclass(frozen=True, slots=True)
class Retrying(Event):
    """The next attempt comes by itself."""

    seconds: float
