"""Every IKE SA of one host, by its SPI, and the SPIs that are free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hushwire.crypto.exchange import Rng
from hushwire.ike.inputs import RELIABLE, Limits, Patience
from hushwire.ike.link import Link
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closed, Established, HalfOpen, Role
from hushwire.sa.association import FIRST_FREE_SPI, Address, Carrier, ChildSa, Path


class Sessions:
    """`half_open` finds those of strangers by their SPI and address (RFC 7296 §2.1)."""

    def __init__(self, rng: Rng, patience: Patience, limits: Limits) -> None:
        self._rng = rng
        self._patience = patience
        self.limits = limits
        self._by_spi: dict[bytes, Session] = {}
        self.half_open: dict[tuple[bytes, Address], Session] = {}

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
            made = state.child if isinstance(state, Established) else None
            if made is not None and made.inbound_spi == inbound_spi:
                return session
        return None

    def new(self, role: Role, path: Path, now: float, own_spi: bytes | None = None) -> Session:
        spi = own_spi or self.free_ike_spi()
        in_tcp = path.carrier is Carrier.TCP
        link = Link(role, spi, path, RELIABLE if in_tcp else self._patience)
        session = Session(link, now, self._free_esp_spi, self.limits)
        self._by_spi[spi] = session
        return session

    def waiting(self) -> list[Session]:
        """Those whose initiator has not proved anything yet."""
        return [s for s in self.half_open.values() if isinstance(s.state, HalfOpen)]

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

    def _free_esp_spi(self) -> int:
        states = [session.state for session in self]
        taken = {state.inbound_spi for state in states if isinstance(state, AuthSent)}
        taken |= {s.child.inbound_spi for s in states if isinstance(s, Established) and s.child}
        while True:
            spi = int.from_bytes(self._rng(4), "big")
            if spi >= FIRST_FREE_SPI and spi not in taken:
                return spi


@dataclass(frozen=True, slots=True)
class SessionView:
    """What `status` shows of one established IKE SA. Times in the caller's seconds."""

    peer: str
    role: Role
    identity: str
    method: str
    path: Path
    ike_suite: str
    since: float
    initiator_spi: bytes
    responder_spi: bytes
    child: ChildSa | None


def view(session: Session) -> SessionView | None:
    """None unless it is established."""
    state = session.state
    if not isinstance(state, Established):
        return None
    return SessionView(
        peer=session.peer_name,
        role=session.role,
        identity=state.verified.identity.text,
        method=state.verified.method,
        path=session.link.path,
        ike_suite=state.secrets.suite.name,
        since=state.since,
        initiator_spi=session.link.initiator_spi,
        responder_spi=session.link.responder_spi,
        child=state.child,
    )
