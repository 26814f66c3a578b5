"""All IKE SAs of one host: the surface of the protocol.

    datagram(bytes, path, now) ─► header and cookie checks, before any state ─► session ─► effects

Every call returns the effects that it wants, in order, the last one always a `SetTimer`. The
endpoint has no clock, no randomness and no socket of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hushwire.crypto.exchange import Rng
from hushwire.explain.outcome import DuplicateClosed, PeerReplaced
from hushwire.ike.connections import may_try_tcp
from hushwire.ike.cookies import CookieJar
from hushwire.ike.effects import Effect, SetTimer
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import RELIABLE, IkeDrop, Incoming, Limits, Patience, Peer, Turn
from hushwire.ike.link import Link
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closed, Closing, Established, HalfOpen, InitSent, Role
from hushwire.ike.tasks import init
from hushwire.sa.association import FIRST_FREE_SPI, Address, Carrier, ChildSa, Encap, Path
from hushwire.wire.errors import (
    UnsupportedCriticalPayloadError,
    UnsupportedVersionError,
    WireError,
)
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.message import Message, build_plain, every, first
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.rules import check_outer
from hushwire.wire.registry import ExchangeType, NotifyType

# §2 asks for 3000. A stranger's 64 KiB of transforms would cost a tenth of a second to look at.
_LARGEST_INIT_OCTETS = 4096
_MAJOR_VERSION = 2


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


class Endpoint:
    """One host's IKEv2. `peers` are who may connect and whom `connect` may name."""

    def __init__(
        self,
        peers: Iterable[Peer],
        rng: Rng,
        now: float,
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._rng = rng
        self._patience = patience or Patience()
        self._limits = limits or Limits()
        self._sessions: dict[bytes, Session] = {}
        self._half_open: dict[tuple[bytes, Address], Session] = {}
        self._cookies = CookieJar(rng, now)
        self.drops: dict[IkeDrop, int] = dict.fromkeys(IkeDrop, 0)
        self._ending = False
        self._useless: dict[bytes, float] = {}  # own SPIs; the peer is to close them before this

    # What can be asked.

    def sessions(self) -> list[SessionView]:
        """The established IKE SAs."""
        return [view for session in self._sessions.values() if (view := _view(session))]

    def connected(self, name: str) -> bool:
        """Is there an established IKE SA with this peer?"""
        return any(
            isinstance(session.state, Established) and session.peer_name == name
            for session in self._sessions.values()
        )

    def busy(self, name: str) -> bool:
        """Is there an IKE SA with this peer, established or on the way?"""
        return any(
            session.peer_name == name and not isinstance(session.state, Closed | Closing)
            for session in self._sessions.values()
        )

    def streams(self) -> dict[Path, bool]:
        """The TCP connections that IKE SAs use: has one of them an established IKE SA?"""
        used: dict[Path, bool] = {}
        for session in self._sessions.values():
            path = session.link.path
            if path.carrier is Carrier.TCP and not isinstance(session.state, Closed):
                used[path] = used.get(path, False) or isinstance(session.state, Established)
        return used

    @property
    def idle(self) -> bool:
        """Nothing is under way any more: an orderly close is complete."""
        return all(isinstance(session.state, Closed) for session in self._sessions.values())

    def set_peer(self, peer: Peer) -> None:
        """Replace what is known of a peer, from the next negotiation on (its address changed)."""
        self._peers[peer.name] = peer

    # What can happen.

    def connect(self, name: str, path: Path, now: float) -> list[Effect]:
        """Begin an IKE SA with the peer of this name, unless there is one already.

        An attempt in UDP that is not answered yet does not stand in the way of one in TCP.
        """
        turn = self._turn(now)
        if not self._ending and not self._occupied(name, path.carrier):
            session = self._new_session(Role.INITIATOR, path, now)
            session.initial_contact = True
            session.connect(self._peers[name], turn)
        return self._done(turn)

    def datagram(self, data: bytes, path: Path, now: float) -> list[Effect]:
        """An IKE message from the wire, without the non-ESP marker. Never raises for its octets."""
        turn = self._turn(now)
        try:
            _check_size(data)
            message = Message.parse(data)
            check_outer(message)
        except UnsupportedVersionError:
            self._refuse_version(data, path, turn)
        except UnsupportedCriticalPayloadError as error:
            self._refuse_critical(data, path, error, turn)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            turn.distrust(path)
        else:
            self._dispatch(Incoming(message, data, path), turn)
        return self._done(turn)

    def reconnected(self, before: Path, path: Path, now: float) -> list[Effect]:
        """In place of our lost TCP connection `before` there is a new one."""
        turn = self._turn(now)
        for session in self._sessions.values():
            if session.link.path == before and not isinstance(session.state, Closed):
                session.reconnected(path, turn)
        return self._done(turn)

    def lost(self, path: Path, now: float) -> None:
        """A TCP connection of a peer's is gone. Under load, nobody is expected on another one."""
        half_open = [s for s in self._half_open.values() if isinstance(s.state, HalfOpen)]
        if len(half_open) >= self._limits.cookies_from:
            for session in half_open:
                if session.link.path == path:
                    session.state = Closed(now)

    def moved(self, inbound_spi: int, path: Path, now: float) -> list[Effect]:
        """The engine has got genuine ESP of this SA by another TCP connection of the peer's."""
        turn = self._turn(now)
        for session in self._sessions.values():
            state = session.state
            made = state.child if isinstance(state, Established) else None
            if made is not None and made.inbound_spi == inbound_spi:
                session.moved(path, turn)
        return self._done(turn)

    def timer(self, now: float) -> list[Effect]:
        """Do what is due."""
        turn = self._turn(now)
        for session in list(self._sessions.values()):
            deadline = session.deadline()
            if deadline is not None and deadline <= now:
                session.timer(turn)
        for spi, at in list(self._useless.items()):
            if at <= now:
                del self._useless[spi]
                useless = self._sessions.get(spi)
                if useless is not None:
                    useless.close_useless(turn)
        return self._done(turn)

    def heard(self, inbound_spi: int, at: float) -> None:
        """The engine accepted ESP on this SA at `at`: its peer needs no liveness check."""
        for session in self._sessions.values():
            state = session.state
            made = state.child if isinstance(state, Established) else None
            if made is not None and made.inbound_spi == inbound_spi:
                session.heard(at)

    def close(self, now: float) -> list[Effect]:
        """End every IKE SA in order, and begin no other. `idle` tells when all peers know."""
        turn = self._turn(now)
        self._ending = True
        for session in self._sessions.values():
            session.close(turn)
        return self._done(turn)

    # From a message to its session.

    def _dispatch(self, incoming: Incoming, turn: Turn) -> None:
        header = incoming.header
        if header.exchange == ExchangeType.IKE_SA_INIT and not header.response:
            self._init_request(incoming, turn)
            return
        own_spi = header.responder_spi if header.initiator else header.initiator_spi
        session = self._sessions.get(own_spi)
        if session is None or header.initiator == (session.role is Role.INITIATOR):
            # §2.21.4 allows an answer to an unknown SPI; silence gives a stranger nothing.
            turn.drop(IkeDrop.UNKNOWN_SPI)
            return
        before = session.state
        if header.exchange == ExchangeType.IKE_SA_INIT:
            session.init_response(incoming, turn)
            self._first_answered_wins(session, turn)
        else:
            session.redundant = self._has_another(session)
            session.protected(incoming, tuple(self._peers.values()), turn)
        if isinstance(session.state, Established) and not isinstance(before, Established):
            if session.state.child is None:
                self._useless[own_spi] = turn.now + self._limits.useless_seconds
            self._one_for_each_peer(session, turn)

    def _init_request(self, incoming: Incoming, turn: Turn) -> None:
        """A stranger's first message: nothing is kept, and no secret computed, before it is due."""
        header, path = incoming.header, incoming.path
        if header.initiator_spi in self._sessions:
            # Our own request, reflected: with a shared secret we would be our own peer.
            turn.drop(IkeDrop.UNEXPECTED)
            return
        known = self._half_open.get((header.initiator_spi, path.remote))
        if known is not None:
            known.repeat_init(incoming, turn)
            return
        allowed = self._allowed(path)
        # Silent where the carrier is not allowed: an initiator that got no answer tries the other.
        if self._ending or not allowed.carries(path.carrier) or self._taken(path):
            turn.drop(IkeDrop.REFUSED)
            return
        waiting = sum(isinstance(s.state, HalfOpen) for s in self._half_open.values())
        # RFC 9329 §6.3: a TCP connection has shown the address already.
        in_udp = path.carrier is Carrier.UDP
        if in_udp and waiting >= self._limits.cookies_from and not self._paid(incoming, turn):
            return
        if waiting >= self._limits.half_open:
            turn.drop(IkeDrop.TOO_MANY_HALF_OPEN)
            return
        own_spi = self._free_ike_spi()
        try:
            response, secrets = init.answer(allowed, incoming, own_spi, self._rng)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            return
        except NegotiationFailedError as failed:
            turn.drop(IkeDrop.REFUSED)
            if failed.notify is not None:
                self._tell_stranger(header, failed.notify, incoming.data, path, turn)
            if failed.outcome is not None:
                turn.report(failed.outcome)
            return
        session = self._new_session(Role.RESPONDER, path, turn.now, own_spi)
        self._half_open[header.initiator_spi, path.remote] = session
        session.answered_init(incoming, response, secrets)
        turn.send(response, path)

    def _paid(self, incoming: Incoming, turn: Turn) -> bool:
        """Under load a stranger first shows, by a cookie, that it receives where it says."""
        message, path = incoming.message, incoming.path
        nonce = first(message.payloads, Nonce)
        data = nonce.data if nonce else b""
        spi_i = message.header.initiator_spi
        cookies = [n.data for n in every(message.payloads, Notify) if n.type == NotifyType.COOKIE]
        if cookies and self._cookies.good(cookies[0], data, path.remote, spi_i, turn.now):
            return True
        cookie = self._cookies.bake(data, path.remote, spi_i, turn.now)
        turn.drop(IkeDrop.COOKIE_REQUIRED)
        turn.send(
            build_plain(_answer_to(message.header), (Notify(NotifyType.COOKIE, cookie),)),
            path,
        )
        return False

    def _allowed(self, path: Path) -> init.Allowed:
        """Who could be at this address: those configured there, else those without an address."""
        everybody = tuple(self._peers.values())
        there = [peer for peer in everybody if peer.address == path.remote.ip]
        anywhere = [peer for peer in everybody if peer.address is None]
        candidates = there or anywhere or list(everybody)
        wanted = {peer.encap for peer in candidates}
        return init.Allowed(
            candidates[0].name if len(candidates) == 1 else "",
            tuple(dict.fromkeys(p for peer in candidates for p in peer.ike_proposals)),
            wanted.pop() if len(wanted) == 1 else Encap.AUTO,
        )

    def _taken(self, path: Path) -> bool:
        """Does a TCP connection have its IKE SA already? It is for one only (RFC 9329 §6.1)."""
        return path.carrier is Carrier.TCP and path in self.streams()

    # Two IKE SAs with one peer.

    def _occupied(self, name: str, carrier: Carrier) -> bool:
        if carrier is Carrier.UDP:
            return self.busy(name)
        return any(
            session.peer_name == name
            and not isinstance(session.state, Closed | Closing)
            and not may_try_tcp(session.link, session.state)
            for session in self._sessions.values()
        )

    def _first_answered_wins(self, session: Session, turn: Turn) -> None:
        """Of two attempts, in UDP and in TCP, the one that is not answered yet ends."""
        if isinstance(session.state, AuthSent):
            for other in self._sessions.values():
                if isinstance(other.state, InitSent) and other.peer_name == session.peer_name:
                    other.close(turn)

    def _one_for_each_peer(self, new: Session, turn: Turn) -> None:
        """Both hosts may begin at once; and a peer that started anew replaces its older IKE SA.

        Of two IKE SAs that crossed, the one with the lowest of the four nonces is closed by the
        host that began it: the rule of RFC 7296 §2.8.1 for simultaneous rekeying.
        """
        name = new.peer_name
        for other in list(self._sessions.values()):
            if other is new or other.peer_name != name:
                continue
            state = other.state
            if isinstance(state, InitSent):
                other.close(turn)  # nobody has proved anything yet: it ends without a trace
            if not isinstance(state, Established):
                continue
            crossed = other.role is not new.role and new.created_at <= state.since
            if crossed:
                self._close_one(new, other, turn)
            elif new.role is Role.RESPONDER and new.initial_contact:
                turn.report(PeerReplaced(name))
                other.drop(turn)
            else:
                other.close(turn, quiet=True)

    def _has_another(self, session: Session) -> bool:
        """Is there, or may there be already at the peer, another IKE SA with the same peer?"""
        name = session.peer_name
        return any(
            other is not session
            and isinstance(other.state, AuthSent | Established)
            and other.peer_name == name
            for other in self._sessions.values()
        )

    def _close_one(self, new: Session, old: Session, turn: Turn) -> None:
        loser = min((new, old), key=_lowest_nonce)
        turn.report(DuplicateClosed(loser.peer_name))
        if loser.role is Role.INITIATOR:
            loser.close(turn, quiet=True)
        else:
            # The peer closes it; if it does not know the rule, we do, a little later.
            self._useless[loser.link.own_spi] = turn.now + self._limits.useless_seconds

    # Answers to strangers: one, plain, never larger than the request.

    def _tell_stranger(
        self, request: Header, notify: Notify, data: bytes, path: Path, turn: Turn
    ) -> None:
        response = build_plain(_answer_to(request), (notify,))
        if len(response) <= len(data):
            turn.send(response, path)

    def _refuse_version(self, data: bytes, path: Path, turn: Turn) -> None:
        # §2.5: tell the version that we do speak. Octets 19 and 20 to 24 are flags and message ID.
        turn.drop(IkeDrop.OTHER_VERSION)
        if len(data) < HEADER_OCTETS or data[19] & 0x20:
            return
        request = Header(
            data[:8], data[8:16], data[18], int.from_bytes(data[20:24], "big"),
            initiator=True, response=False,
        )  # fmt: skip
        self._tell_stranger(request, Notify(NotifyType.INVALID_MAJOR_VERSION), data, path, turn)

    def _refuse_critical(
        self, data: bytes, path: Path, error: UnsupportedCriticalPayloadError, turn: Turn
    ) -> None:
        # A protected message is parsed by its session: this one is a plain IKE_SA_INIT.
        turn.drop(IkeDrop.MALFORMED)
        try:
            header = Header.parse(data)
        except WireError:
            return
        if header.exchange == ExchangeType.IKE_SA_INIT and not header.response:
            notify = Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([error.payload_type]))
            self._tell_stranger(header, notify, data, path, turn)

    # Plumbing.

    def _turn(self, now: float) -> Turn:
        return Turn(now, self._rng, self.drops)

    def _done(self, turn: Turn) -> list[Effect]:
        self._forget_closed(turn.now)
        deadlines = [session.deadline() for session in self._sessions.values()]
        times = [at for at in (*deadlines, *self._useless.values()) if at is not None]
        return [*turn.effects, SetTimer(min(times, default=None))]

    def _forget_closed(self, now: float) -> None:
        gone = [
            session
            for session in self._sessions.values()
            if isinstance(session.state, Closed) and session.state.until <= now
        ]
        for session in gone:
            del self._sessions[session.link.own_spi]
        if gone:
            spis = {session.link.own_spi for session in gone}
            self._half_open = {
                key: session
                for key, session in self._half_open.items()
                if session.link.own_spi not in spis
            }

    def _new_session(
        self, role: Role, path: Path, now: float, own_spi: bytes | None = None
    ) -> Session:
        spi = own_spi or self._free_ike_spi()
        in_tcp = path.carrier is Carrier.TCP
        link = Link(role, spi, path, RELIABLE if in_tcp else self._patience)
        session = Session(link, now, self._free_esp_spi, self._limits)
        self._sessions[spi] = session
        return session

    def _free_ike_spi(self) -> bytes:
        while True:
            spi = self._rng(8)
            if any(spi) and spi not in self._sessions:
                return spi

    def _free_esp_spi(self) -> int:
        states = [session.state for session in self._sessions.values()]
        taken = {state.inbound_spi for state in states if isinstance(state, AuthSent)}
        taken |= {s.child.inbound_spi for s in states if isinstance(s, Established) and s.child}
        while True:
            spi = int.from_bytes(self._rng(4), "big")
            if spi >= FIRST_FREE_SPI and spi not in taken:
                return spi


def _check_size(data: bytes) -> None:
    """Raise `WireError` for an IKE_SA_INIT with more than any honest one has to say.

    Not of a higher version: that costs no more than its header, and may be a probe of the path.
    """
    if len(data) <= _LARGEST_INIT_OCTETS:
        return
    if data[17] >> 4 == _MAJOR_VERSION and data[18] == ExchangeType.IKE_SA_INIT:
        raise WireError(f"IKE_SA_INIT of {len(data)} octets")


def _answer_to(request: Header) -> Header:
    return Header(
        request.initiator_spi,
        request.responder_spi,
        request.exchange,
        request.message_id,
        initiator=False,
        response=True,
    )


def _lowest_nonce(session: Session) -> bytes:
    state = session.state
    if not isinstance(state, Established):
        raise TypeError("only established IKE SAs are compared")
    return min(state.secrets.ni, state.secrets.nr)


def _view(session: Session) -> SessionView | None:
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
