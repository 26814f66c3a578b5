"""Two IKE SAs with one peer: both hosts began at once, or one of them started anew."""

from __future__ import annotations

import math

from hushwire.explain.outcome import DuplicateClosed, PeerReplaced
from hushwire.ike import closing, life
from hushwire.ike.connections import may_try_tcp
from hushwire.ike.inputs import Turn
from hushwire.ike.session import Session
from hushwire.ike.sessions import Sessions
from hushwire.ike.states import (
    AuthSent,
    Closed,
    Closing,
    Established,
    InitSent,
    IntermediateSent,
    Replaced,
    Role,
)
from hushwire.sa.association import Carrier

_RESPONSE_SECONDS = 1.0  # after that the peer has got what we sent


class Rivals:
    """Decides which of several IKE SAs with one peer goes on."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def occupied(self, name: str, carrier: Carrier) -> bool:
        """Does an IKE SA with this peer stand in the way of another attempt?"""
        return any(
            session.peer_name == name
            and not isinstance(session.state, Closed | Closing | Replaced)
            and (carrier is Carrier.UDP or not may_try_tcp(session.link, session.state))
            for session in self._sessions
        )

    def under_way(self, name: str) -> bool:
        """Is an attempt with this peer not finished yet?"""
        return any(
            session.peer_name == name
            and isinstance(session.state, InitSent | IntermediateSent | AuthSent)
            for session in self._sessions
        )

    def first_answered_wins(self, session: Session, turn: Turn) -> None:
        """Of two attempts, in UDP and in TCP, the one that is not answered yet ends."""
        if isinstance(session.state, IntermediateSent | AuthSent):
            for other in self._sessions:
                if isinstance(other.state, InitSent) and other.peer_name == session.peer_name:
                    closing.close(other, turn)

    def established(self, new: Session, turn: Turn) -> None:
        """Both hosts may begin at once; and a peer that started anew replaces its older IKE SA.

        Of two IKE SAs that crossed, the one with the lowest of the four nonces is closed by the
        host that began it: the rule of RFC 7296 §2.8.1 for simultaneous rekeying.
        """
        name = new.peer_name
        if isinstance(new.state, Established) and not new.state.children.live:
            self._doubt(new, turn)
        for other in self._sessions:
            if other is new or other.peer_name != name or other.predecessor is not None:
                continue  # what is decided about its predecessor holds for it
            state = other.state
            if isinstance(state, InitSent | IntermediateSent):
                closing.close(other, turn)  # nobody has proved anything yet: it leaves no trace
            if not isinstance(state, Established):
                continue
            crossed = other.role is not new.role and new.created_at <= state.since
            if crossed and not other.heir:
                self._close_one(new, other, turn)
            elif new.role is Role.INITIATOR and _is_known(other):
                closing.close(other, turn, quiet=True, heir=new)
            elif new.role is Role.INITIATOR:
                # The peer's, whose response is on its way, before a Delete can be understood.
                other.useless_at, other.rests_on = turn.now + _RESPONSE_SECONDS, other
            elif new.initial_contact:
                turn.report(PeerReplaced(name))
                closing.drop(other, turn)
            else:
                # §2.8.3: a reauthentication. The peer closes the old one when it is on the new one;
                # not before it has our response, and then its Delete may be lost.
                other.useless_at, other.rests_on = turn.now + _RESPONSE_SECONDS, new

    def timer(self, turn: Turn) -> None:
        """Close what the peer should have closed."""
        for session in self._sessions:
            if session.useless_at > turn.now or session.predecessor is not None:
                continue
            other = session.rests_on
            if other is not None and not _is_known(other):
                session.useless_at = turn.now + _RESPONSE_SECONDS
                _ask(other, turn)
                continue
            session.useless_at, session.rests_on = math.inf, None
            closing.close_useless(session, turn)

    def _close_one(self, new: Session, old: Session, turn: Turn) -> None:
        loser, winner = sorted((new, old), key=_lowest_nonce)
        turn.report(DuplicateClosed(loser.peer_name))
        if loser.role is Role.INITIATOR:
            # The other one is the peer's, and our response that gives it to the peer on its way.
            loser.useless_at, loser.rests_on = turn.now + _RESPONSE_SECONDS, winner
        else:
            # The peer closes it, when it has our response; if it does not know the rule, we do, a
            # little later.
            self._doubt(loser, turn)
            loser.rests_on = loser

    def _doubt(self, session: Session, turn: Turn) -> None:
        session.useless_at = turn.now + self._sessions.limits.useless_seconds


def _is_known(session: Session) -> bool:
    """Has the peer shown that it has this IKE SA? Until then it may have only the one before."""
    state = session.state
    if not isinstance(state, Established):
        return True
    return session.heard_at > state.since or not any(child.awaits for child in state.children)


def _ask(session: Session, turn: Turn) -> None:
    """The answer shows that it is known."""
    if isinstance(session.state, Established) and not session.link.window.busy:
        life.ask_whether_it_lives(session, session.state, turn)


def _lowest_nonce(session: Session) -> bytes:
    state = session.state
    if not isinstance(state, Established):
        raise TypeError("only established IKE SAs are compared")
    return min(state.secrets.ni, state.secrets.nr)
