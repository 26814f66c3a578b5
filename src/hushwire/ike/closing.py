"""How an IKE SA ends: by our wish, by the peer's, by a failure (RFC 7296 §1.4.1, §2.21)."""

from __future__ import annotations

from dataclasses import replace

from hushwire.explain.outcome import ClosedByPeer, ClosedByUs, Failure, PeerMisbehaved
from hushwire.ike.inputs import Turn
from hushwire.ike.session import Session
from hushwire.ike.states import (
    AuthSent,
    Closed,
    Closing,
    Established,
    HalfOpen,
    InitSent,
    IntermediateSent,
    Replaced,
    Secrets,
)
from hushwire.ike.tasks import informational
from hushwire.wire.ike.message import Payload
from hushwire.wire.registry import ExchangeType

_LINGER_SECONDS = 5.0  # how long a closed IKE SA still repeats its last response


def close(
    session: Session, turn: Turn, *, quiet: bool = False, heir: Session | None = None
) -> None:
    """Orderly: tell the peer, and wait for its word as long as `Limits.close_seconds`.

    With an `heir`, what is on its way by the CHILD_SAs still arrives.
    """
    state = session.state
    if isinstance(state, Established):
        end(session, None, turn, heir=heir)
        delete_ike_sa(session, state.secrets, session.peer_name, turn, quiet=quiet)
    elif isinstance(state, Replaced):
        # It may not know yet of the IKE SA that goes on.
        delete_ike_sa(session, state.secrets, session.peer_name, turn)
    elif isinstance(state, AuthSent):
        # The peer may be up by now, and our one request is in flight: wait for its answer.
        if state.close_by is None:
            session.state = replace(state, close_by=turn.now + session.limits.close_seconds)
    elif isinstance(state, InitSent | IntermediateSent | HalfOpen):
        closed(session, turn)


def close_useless(session: Session, turn: Turn) -> None:
    """It is a duplicate, or has no CHILD_SA, and the peer has not closed it in time."""
    state = session.state
    if isinstance(state, Established) and not state.children.live:
        name = session.peer_name
        end(session, PeerMisbehaved(name, "IKE_AUTH", "it keeps an IKE SA without a tunnel"), turn)
        delete_ike_sa(session, state.secrets, name, turn)
    elif (heir := session.sessions.another(session)) is not None:
        close(session, turn, quiet=True, heir=heir)


def without_tunnel(session: Session, state: Established, turn: Turn) -> None:
    """The last CHILD_SA is gone, and the IKE SA goes with it."""
    name = state.verified.peer.name
    end(session, ClosedByPeer(name), turn)
    delete_ike_sa(session, state.secrets, name, turn)


def drop(session: Session, turn: Turn) -> None:
    """Forget this IKE SA without a word: the peer itself has forgotten it."""
    fail(session, None, turn)


def delete_ike_sa(
    session: Session, secrets: Secrets, name: str, turn: Turn, *, quiet: bool = True
) -> None:
    """Tell the peer that this IKE SA is no more."""
    say_goodbye(session, secrets, informational.DELETE_IKE_SA, name, turn, quiet=quiet)


def say_goodbye(
    session: Session,
    secrets: Secrets,
    payloads: tuple[Payload, ...],
    name: str,
    turn: Turn,
    *,
    quiet: bool = True,
) -> None:
    """The last request on this IKE SA."""
    # §2.3: with another request in flight, the peer may take none before it.
    unsaid = payloads if session.link.window.busy else ()
    session.state = Closing(secrets, name, turn.now + session.limits.close_seconds, quiet, unsaid)
    if not unsaid:
        session.link.request(secrets, ExchangeType.INFORMATIONAL, payloads, turn)


def answered(session: Session, state: Closing, turn: Turn) -> None:
    """The response to the last request, or to the one before it."""
    session.link.window.answered()
    session.doing = None
    if state.unsaid:
        session.state = replace(state, unsaid=())
        session.link.request(state.secrets, ExchangeType.INFORMATIONAL, state.unsaid, turn)
    else:
        has_closed(session, state, turn, acknowledged=True)


def has_closed(session: Session, state: Closing, turn: Turn, *, acknowledged: bool) -> None:
    """The peer knows, or has had its time."""
    if not state.quiet:
        turn.report(ClosedByUs(state.peer_name, acknowledged))
    closed(session, turn)


def fail(
    session: Session, outcome: Failure | None, turn: Turn, heir: Session | None = None
) -> None:
    """Over, and nobody is to be told."""
    end(session, outcome, turn, heir=heir)
    closed(session, turn)


def end(
    session: Session, outcome: Failure | None, turn: Turn, *, heir: Session | None = None
) -> None:
    """Everything that depends on it ends too; an heir keeps what has still to drain."""
    state, rival = session.state, session.rival
    if isinstance(state, Established):
        if heir is not None and isinstance(heir.state, Established):
            for child in state.children:
                state.children.drain(child, turn.now + session.limits.drain_seconds, turn)
            heir.state.children.take(state.children)
        state.children.clear(turn)
    if rival is not None:
        session.rival = None
        rival.predecessor = None
        close(rival, turn, quiet=True)
    stranger = isinstance(state, HalfOpen)
    if outcome is not None and (not stranger or session.sessions.news.take(turn.now)):
        turn.report(outcome)


def closed(session: Session, turn: Turn) -> None:
    """Nothing more is sent but repeated responses."""
    session.link.window.answered()
    session.doing = None
    session.state = Closed(turn.now + _LINGER_SECONDS)
