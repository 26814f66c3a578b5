"""How an IKE SA ends: by our wish, by the peer's, by a failure (RFC 7296 §1.4.1, §2.21)."""

from __future__ import annotations

from dataclasses import replace

from hushwire.explain.outcome import ClosedByUs, Failure, PeerMisbehaved
from hushwire.ike.inputs import Turn
from hushwire.ike.session import Session
from hushwire.ike.states import (
    AuthSent,
    Closed,
    Closing,
    Established,
    HalfOpen,
    InitSent,
    Secrets,
)
from hushwire.ike.tasks import informational
from hushwire.wire.ike.message import Payload
from hushwire.wire.registry import ExchangeType

_LINGER_SECONDS = 5.0  # how long a closed IKE SA still repeats its last response


def close(session: Session, turn: Turn, *, quiet: bool = False) -> None:
    """Orderly: tell the peer, and wait for its word as long as `Limits.close_seconds`."""
    state = session.state
    if isinstance(state, Established):
        _remove_child(session, turn)
        say_goodbye(
            session,
            state.secrets,
            informational.DELETE_IKE_SA,
            session.peer_name,
            turn,
            quiet=quiet,
        )
    elif isinstance(state, AuthSent):
        # The peer may be up by now, and our one request is in flight: wait for its answer.
        if state.close_by is None:
            session.state = replace(state, close_by=turn.now + session.limits.close_seconds)
    elif isinstance(state, InitSent | HalfOpen):
        closed(session, turn)


def close_useless(session: Session, turn: Turn) -> None:
    """It is a duplicate, or has no CHILD_SA, and the peer has not closed it in time."""
    state = session.state
    if isinstance(state, Established) and state.child is None:
        name = session.peer_name
        end(session, PeerMisbehaved(name, "IKE_AUTH", "it keeps an IKE SA without a tunnel"), turn)
        say_goodbye(session, state.secrets, informational.DELETE_IKE_SA, name, turn)
    elif isinstance(state, Established):
        close(session, turn, quiet=True)


def drop(session: Session, turn: Turn) -> None:
    """Forget this IKE SA without a word: the peer itself has forgotten it."""
    fail(session, None, turn)


def say_goodbye(
    session: Session,
    secrets: Secrets,
    payloads: tuple[Payload, ...],
    name: str,
    turn: Turn,
    *,
    quiet: bool = True,
) -> None:
    # §2.3: with a liveness check in flight, the peer may take no other request before it.
    unsaid = payloads if session.link.window.busy else ()
    session.state = Closing(secrets, name, turn.now + session.limits.close_seconds, quiet, unsaid)
    if not unsaid:
        session.link.request(secrets, ExchangeType.INFORMATIONAL, payloads, turn)


def answered(session: Session, state: Closing, turn: Turn) -> None:
    session.link.window.answered()
    if state.unsaid:
        session.state = replace(state, unsaid=())
        session.link.request(state.secrets, ExchangeType.INFORMATIONAL, state.unsaid, turn)
    else:
        has_closed(session, state, turn, acknowledged=True)


def has_closed(session: Session, state: Closing, turn: Turn, *, acknowledged: bool) -> None:
    if not state.quiet:
        turn.report(ClosedByUs(state.peer_name, acknowledged))
    closed(session, turn)


def fail(session: Session, outcome: Failure | None, turn: Turn) -> None:
    end(session, outcome, turn)
    closed(session, turn)


def end(session: Session, outcome: Failure | None, turn: Turn) -> None:
    _remove_child(session, turn)
    if outcome is not None:
        turn.report(outcome)


def closed(session: Session, turn: Turn) -> None:
    session.link.window.answered()
    session.state = Closed(turn.now + _LINGER_SECONDS)


def _remove_child(session: Session, turn: Turn) -> None:
    state = session.state
    if isinstance(state, Established) and state.child is not None:
        turn.remove_sa(state.child.inbound_spi)
