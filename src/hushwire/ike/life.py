"""What time brings to an IKE SA: retransmission, liveness, another TCP connection."""

from __future__ import annotations

from hushwire.explain.outcome import ClosedByUs, Reconnected
from hushwire.ike import closing, connections
from hushwire.ike.failure import silence
from hushwire.ike.inputs import TCP_AFTER_TRIES, Turn
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closed, Closing, Established, HalfOpen
from hushwire.ike.tasks import informational
from hushwire.sa.association import Path
from hushwire.wire.registry import ExchangeType

# Another TCP connection (RFC 9329 §6.1).


def reconnected(session: Session, path: Path, turn: Turn) -> None:
    """We opened a new connection for this IKE SA, because the one before was lost."""
    session.state = state = connections.move(session.link, session.state, path, turn)
    if isinstance(state, Established):
        # A request that the peer knows already, sent once more, does not make it follow.
        session.unconfirmed = 2 if session.link.window.busy else 1
        if session.unconfirmed == 1:
            _ask_whether_it_lives(session, state, turn)


def confirmed(session: Session, state: Established, turn: Turn) -> None:
    if session.unconfirmed == 1:
        turn.report(Reconnected(session.peer_name, str(session.link.path.remote.ip)))
    elif session.unconfirmed == 2:
        _ask_whether_it_lives(session, state, turn)
    session.unconfirmed = max(0, session.unconfirmed - 1)


def moved(session: Session, path: Path, turn: Turn) -> None:
    """A genuine packet of the peer's, no repetition, came by this path."""
    session.state = connections.follow(session.link, session.state, path, turn)


def _ask_whether_it_lives(session: Session, state: Established, turn: Turn) -> None:
    """An empty INFORMATIONAL (§2.4); by coming it also shows the path that we use."""
    session.link.request(state.secrets, ExchangeType.INFORMATIONAL, informational.LIVENESS, turn)


# Time.


def timer(session: Session, turn: Turn) -> None:
    """Do what is due at `turn.now`."""
    state = session.state
    deadline = session.link.window.deadline
    if isinstance(state, HalfOpen) and turn.now >= state.until:
        session.state = Closed(turn.now)
    elif isinstance(state, Closing) and turn.now >= state.until:
        closing.has_closed(session, state, turn, acknowledged=False)
    elif isinstance(state, AuthSent) and _due(state.close_by, turn.now):
        turn.report(ClosedByUs(state.peer.name, acknowledged=False))
        closing.closed(session, turn)
    elif _due(deadline, turn.now):
        _retransmit(session, turn)
    elif (
        isinstance(state, Established)
        and deadline is None
        and turn.now >= session.heard_at + state.verified.peer.liveness
    ):
        _ask_whether_it_lives(session, state, turn)  # nothing heard for a while


def _retransmit(session: Session, turn: Turn) -> None:
    window = session.link.window
    tries, seconds = window.sent, window.waited(turn.now)
    data = window.again(turn.now)
    if data is not None:
        turn.send(data, session.link.path)
        if tries == TCP_AFTER_TRIES and connections.may_try_tcp(session.link, session.state):
            turn.try_tcp(session.peer_name)
        return
    if isinstance(session.state, Closing):
        closing.has_closed(session, session.state, turn, acknowledged=False)
        return
    closing.fail(
        session, silence(session.link, session.state, session.peer_name, tries, seconds), turn
    )


def _due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
