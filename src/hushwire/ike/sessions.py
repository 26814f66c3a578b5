"""Every IKE SA of one host, by its SPI, and the SPIs that are free."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hushwire.crypto.exchange import Rng
from hushwire.ike.crowd import Crowd
from hushwire.ike.inputs import RELIABLE, Limits, Patience
from hushwire.ike.jobs import MakeChild
from hushwire.ike.link import Link
from hushwire.ike.mobility import Surroundings
from hushwire.ike.rates import Bucket
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closed, Established, HalfOpen, Role
from hushwire.ike.tasks.rekey import NewIke
from hushwire.sa.association import FIRST_FREE_SPI, Address, Carrier, ChildSa, Path

_NEWS_RATE, _NEWS_BURST = 0.2, 10.0
_FORSAKEN_TRIES = 2


class Sessions:
    """`half_open` finds those of strangers by their SPI and address (RFC 7296 §2.1).

    `news`: how often it is reported what strangers do wrong; it is counted always.
    """

    def __init__(self, rng: Rng, patience: Patience, limits: Limits) -> None:
        self._rng = rng
        self._patience = patience
        self.limits = limits
        self.surroundings = Surroundings()
        self._by_spi: dict[bytes, Session] = {}
        self.half_open: dict[tuple[bytes, Address], Session] = {}
        self.crowd = Crowd()
        self.news = Bucket(_NEWS_RATE, _NEWS_BURST, -math.inf)

    def __iter__(self) -> Iterator[Session]:
        """In the order in which they began. Sessions may come and go meanwhile."""
        return iter(tuple(self._by_spi.values()))

    def __len__(self) -> int:
        return len(self._by_spi)

    def __contains__(self, own_spi: object) -> bool:
        return own_spi in self._by_spi

    def get(self, own_spi: bytes) -> Session | None:
        """The one that has this SPI on our side."""
        return self._by_spi.get(own_spi)

    def of_child(self, inbound_spi: int) -> Session | None:
        """The one whose CHILD_SA has this inbound SPI."""
        for session in self:
            state = session.state
            if isinstance(state, Established) and state.children.inbound(inbound_spi):
                return session
        return None

    def another(self, session: Session) -> Session | None:
        """The newest other IKE SA with the same peer that is established and has CHILD_SAs."""
        return next(reversed(self._others(session)), None)

    def only_other(self, session: Session) -> Session | None:
        """The same, unless there are several that the peer may have."""
        others = self._others(session)
        if len(others) > 1:
            others = [other for other in others if not _is_forsaken(other)]
        return others[0] if len(others) == 1 else None

    def _others(self, session: Session) -> list[Session]:
        return [
            other
            for other in self
            if other is not session
            and other.peer_name == session.peer_name
            and isinstance(other.state, Established)
            and other.state.children.live
        ]

    def has_another(self, session: Session) -> bool:
        """Is there, or may there be already at the peer, another IKE SA with the same peer?"""
        return any(
            other is not session
            and isinstance(other.state, AuthSent | Established)
            and other.peer_name == session.peer_name
            for other in self
        )

    def new(self, role: Role, path: Path, now: float, own_spi: bytes | None = None) -> Session:
        spi = own_spi or self.free_ike_spi()
        return self._add(Link(role, spi, path, self._patience_for(path)), now)

    def successor(self, old: Session, role: Role, own_spi: bytes, now: float) -> Session:
        """A rekeyed IKE SA, where the old one was; message IDs begin at 0 again (§2.18)."""
        path = old.link.path
        link = Link(role, own_spi, path, self._patience_for(path), opener=old.link.opener)
        link.datagram_octets = old.link.datagram_octets
        return self._add(link, now)

    def _add(self, link: Link, now: float) -> Session:
        session = Session(link, now, self)
        self._by_spi[link.own_spi] = session
        return session

    def _patience_for(self, path: Path) -> Patience:
        return RELIABLE if path.carrier is Carrier.TCP else self._patience

    def has_changed(self, session: Session) -> None:
        """It is in another state."""
        if not isinstance(session.state, HalfOpen):
            self.crowd.leave(session)

    def unproved_octets(self) -> int:
        """Of fragments that are kept for those who have not proved anything."""
        return sum(session.link.gathered_octets for session in self.crowd.all())

    def forget_closed(self, now: float) -> None:
        """Drop those that have nothing more to repeat."""
        gone = [
            session
            for session in self
            if isinstance(session.state, Closed) and session.state.until <= now
        ]
        for session in gone:
            del self._by_spi[session.link.own_spi]
        if gone:
            spis = {session.link.own_spi for session in gone}
            self.half_open = {
                key: session
                for key, session in self.half_open.items()
                if session.link.own_spi not in spis
            }

    def free_ike_spi(self) -> bytes:
        while True:
            spi = self._rng(8)
            if any(spi) and spi not in self._by_spi:
                return spi

    def free_esp_spi(self) -> int:
        taken = {spi for session in self for spi in _inbound_spis(session)}
        while True:
            spi = int.from_bytes(self._rng(4), "big")
            if spi >= FIRST_FREE_SPI and spi not in taken:
                return spi


def _is_forsaken(session: Session) -> bool:
    """Has the peer shown nothing since its IKE_AUTH, and not answered what we ask?

    Then it never got our response, and has given that attempt up (RFC 7296 §2.4).
    """
    state = session.state
    return (
        isinstance(state, Established)
        and session.heard_at <= state.since
        and all(child.awaits for child in state.children)
        and session.link.window.sent >= _FORSAKEN_TRIES
    )


def _inbound_spis(session: Session) -> list[int]:
    state, job = session.state, session.doing
    spis = [job.kept.inbound_spi] if isinstance(job, MakeChild) else []
    awaited = session.awaited
    if awaited is not None and not isinstance(awaited.agreed.terms, NewIke):
        spis.append(awaited.agreed.terms.inbound_spi)
    if isinstance(state, AuthSent):
        spis.append(state.inbound_spi)
    if isinstance(state, Established):
        spis += [child.sa.inbound_spi for child in state.children]
    return spis


@dataclass(frozen=True, slots=True)
class SessionView:
    """What `status` shows of one established IKE SA. Times in the caller's seconds.

    `up_since`: when the peer was authenticated; rekeying changes nothing about that. `child` is the
    CHILD_SA in use, with its times; `children` are all, old ones that drain too.
    """

    peer: str
    role: Role
    identity: str
    method: str
    path: Path
    ike_suite: str
    since: float
    up_since: float
    initiator_spi: bytes
    responder_spi: bytes
    rekey_at: float
    child: ChildSa | None
    child_since: float
    child_rekey_at: float
    children: tuple[ChildSa, ...]


def view(session: Session) -> SessionView | None:
    """None unless it is established and has its CHILD_SAs."""
    state = session.state
    if not isinstance(state, Established) or session.predecessor is not None:
        return None
    child = state.children.current
    return SessionView(
        peer=session.peer_name,
        role=session.role,
        identity=state.verified.identity.text,
        method=state.verified.method,
        path=session.link.path,
        ike_suite=state.secrets.suite.name,
        since=state.since,
        up_since=session.up_since,
        initiator_spi=session.link.initiator_spi,
        responder_spi=session.link.responder_spi,
        rekey_at=session.rekey_at,
        child=child.sa if child else None,
        child_since=child.since if child else state.since,
        child_rekey_at=child.rekey_at if child else math.inf,
        children=tuple(child.sa for child in state.children),
    )
