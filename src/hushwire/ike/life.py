"""What time brings to an IKE SA: retransmission, liveness, another TCP connection."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hushwire.explain.outcome import ClosedByUs, Reconnected
from hushwire.ike import closing, connections, inheritance, renewal, roaming
from hushwire.ike.children import Stage
from hushwire.ike.failure import silence
from hushwire.ike.inputs import TCP_AFTER_TRIES, Turn
from hushwire.ike.jobs import DeleteChildren, Liveness
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closed, Closing, Established, HalfOpen, InitSent, Replaced
from hushwire.ike.tasks import informational, init
from hushwire.sa.association import Path
from hushwire.wire.registry import ExchangeType

# Another TCP connection (RFC 9329 §6.1).


def reconnected(session: Session, path: Path, turn: Turn) -> None:
    """We opened a new connection for this IKE SA, because the one before was lost."""
    state = session.state
    connections.move(session.link, state, path, turn)
    if isinstance(state, Established):
        # A request that the peer knows already, sent once more, does not make it follow.
        session.unconfirmed = 2 if session.link.window.busy else 1
        if session.unconfirmed == 1:
            ask_whether_it_lives(session, state, turn)


def confirmed(session: Session, state: Established, turn: Turn) -> None:
    """The peer has answered a request of ours."""
    if session.unconfirmed == 1:
        turn.report(Reconnected(session.peer_name, str(session.link.path.remote.ip)))
    elif session.unconfirmed == 2:
        ask_whether_it_lives(session, state, turn)
    session.unconfirmed = max(0, session.unconfirmed - 1)


def moved(session: Session, path: Path, turn: Turn) -> None:
    """A genuine packet of the peer's, no repetition, came by this path."""
    connections.follow(session.link, session.state, path, turn)


def ask_whether_it_lives(session: Session, state: Established | Replaced, turn: Turn) -> None:
    """An empty INFORMATIONAL (§2.4); by coming it also shows the path that we use."""
    session.doing = job = Liveness()
    session.link.request(state.secrets, job.exchange, informational.LIVENESS, turn)


# Time.

DOUBT_TRIES = 2
"""A peer that is said to have forgotten us, and does not answer so often, may have started anew."""


def deadline(session: Session) -> float:
    """When `timer` or `work` has something to do."""
    state, window = session.state, session.link.window
    if isinstance(state, Closed):  # most of them, where many connect and go
        return state.until
    times = [math.inf if window.deadline is None else window.deadline, session.link.gathers_until]
    if isinstance(state, HalfOpen | Closing | Replaced):
        times.append(state.until)
    if isinstance(state, AuthSent) and state.close_by is not None:
        times.append(state.close_by)
    if isinstance(state, Replaced) and not window.busy:
        times.append(session.heard_at + state.liveness)
    if isinstance(state, Established):
        times.append(state.children.deadline)
        if session.predecessor is None:
            times.append(session.useless_at)
        if session.awaited is not None:
            times.append(session.awaited.until)
            if not window.busy:
                times.append(session.heard_at + state.verified.peer.liveness)
        elif not window.busy and session.predecessor is None:
            rekeys = [max(child.rekey_at, child.known_at) for child in state.children.live]
            deletes = [child.known_at for child in state.children if child.stage is Stage.DELETING]
            times += [
                max(session.retry_at, min([session.rekey_at, *rekeys])),
                session.retry_at if session.wants_child else math.inf,
                min(deletes, default=math.inf),
                session.reauth_at,
                session.heard_at + state.verified.peer.liveness,
            ]
    return min(times)


def timer(session: Session, turn: Turn) -> None:
    """Do what is due at `turn.now`; what begins an exchange is left to `work`."""
    state = session.state
    session.link.forget_fragments(turn.now)
    if isinstance(state, HalfOpen) and turn.now >= state.until:
        session.state = Closed(turn.now)
    elif isinstance(state, Closing) and turn.now >= state.until:
        closing.has_closed(session, state, turn, acknowledged=False)
    elif isinstance(state, Replaced) and turn.now >= state.until:
        closing.delete_ike_sa(session, state.secrets, state.peer_name, turn)
    elif isinstance(state, AuthSent) and _due(state.close_by, turn.now):
        turn.report(ClosedByUs(state.peer.name, acknowledged=False))
        closing.closed(session, turn)
    elif _due(session.link.window.deadline, turn.now):
        _retransmit(session, turn)
    if isinstance(state, Established):
        state.children.expire(turn)
        if session.awaited is not None and turn.now >= session.awaited.until:
            session.awaited = None


def work(session: Session, turn: Turn) -> None:
    """Begin the exchange that is wanted most, if one is and none is under way."""
    state = session.state
    if session.link.window.busy:
        return
    if isinstance(state, Replaced):
        roaming.announce(session, state, turn)
        if not session.link.window.busy and turn.now >= session.heard_at + state.liveness:
            ask_whether_it_lives(session, state, turn)
    if not isinstance(state, Established) or session.predecessor is not None:
        return
    children, may_make = state.children, turn.now >= session.retry_at
    if roaming.wants(session):
        roaming.inform(session, state, turn)
    elif session.awaited is not None:  # what the peer has begun goes first
        if turn.now >= session.heard_at + state.verified.peer.liveness:
            ask_whether_it_lives(session, state, turn)
    elif children.deleting(turn.now) or session.unwanted:
        _delete_children(session, state, turn)
    elif may_make and session.rekey_at <= turn.now:
        inheritance.begin(session, state, turn)
    elif may_make and (old := children.worn_out(turn.now)) is not None:
        renewal.begin(session, state, old, turn)
    elif may_make and session.wants_child:
        renewal.begin(session, state, None, turn)
    elif session.reauth_at <= turn.now:
        session.reauth_at = turn.now + session.limits.refused_seconds
        turn.reauthenticate(session.peer_name)
    elif session.doubtful or turn.now >= session.heard_at + state.verified.peer.liveness:
        if roaming.check(session, state):  # nothing heard for a while
            roaming.inform(session, state, turn)
        else:
            ask_whether_it_lives(session, state, turn)


def used(session: Session, spi: int, octets: int, packets: int, turn: Turn) -> None:
    """So much has gone through the CHILD_SA with this inbound SPI."""
    state = session.state
    child = state.children.inbound(spi) if isinstance(state, Established) else None
    if child is None or not isinstance(state, Established):
        return
    most = state.verified.peer.lifetimes
    if _passed(most.child_octets, octets) or _passed(most.child_packets, packets):
        child.rekey_at = min(child.rekey_at, turn.now)


def wear_out(session: Session, turn: Turn, *, ike: bool) -> None:
    """Somebody wants new keys now."""
    state = session.state
    if isinstance(state, Established) and ike:
        session.rekey_at = min(session.rekey_at, turn.now)
    elif isinstance(state, Established):
        for child in state.children.live:
            child.rekey_at = min(child.rekey_at, turn.now)


def near_end(session: Session, spi: int, turn: Turn) -> None:
    """The CHILD_SA with this inbound SPI has few sequence numbers left (RFC 4303 §3.3.3)."""
    state = session.state
    child = state.children.inbound(spi) if isinstance(state, Established) else None
    if child is not None:
        child.rekey_at = min(child.rekey_at, turn.now)


def unanswered(session: Session, packets: Mapping[int, tuple[int, int]], now: float) -> bool:
    """Whether packets go to the peer and none come, so that it has to be asked.

    So many its CHILD_SAs have carried out and in, by inbound SPI.
    """
    state = session.state
    if not isinstance(state, Established):
        return False
    counts = [packets.get(child.sa.inbound_spi, (0, 0)) for child in state.children]
    out, came = sum(one for one, _ in counts), sum(one for _, one in counts)
    if session.unanswered.carried(out, came, now, state.verified.peer.liveness):
        session.doubtful = True
        return True
    return False


def _passed(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit


def _delete_children(session: Session, state: Established, turn: Turn) -> None:
    going = state.children.deleting(turn.now)
    spis = [child.sa.inbound_spi for child in going] + session.unwanted
    session.unwanted = []
    session.doing = job = DeleteChildren(going)
    session.link.request(state.secrets, job.exchange, informational.delete_children(spis), turn)


def deleted_children(session: Session, state: Established, job: DeleteChildren, turn: Turn) -> None:
    """The peer has deleted them too."""
    for child in job.children:
        state.children.drain(child, turn.now + session.limits.drain_seconds, turn)
    renewal.without_tunnel(session, state, turn)


def _retransmit(session: Session, turn: Turn) -> None:
    window = session.link.window
    tries, seconds = window.sent, window.waited(turn.now)
    roaming.search(session, tries)
    if session.doubtful and tries >= DOUBT_TRIES:
        session.doubtful = False
        turn.reauthenticate(session.peer_name)
    if session.link.retransmit(turn):
        if tries == TCP_AFTER_TRIES and connections.may_try_tcp(session.link, session.state):
            turn.try_tcp(session.peer_name)
        return
    state, job = session.state, session.doing
    if session.rival is not None:
        # The peer may have gone on with the IKE SA that it made, and forgotten this one.
        inheritance.inherit(session.rival, turn)
        closing.closed(session, turn)
    elif isinstance(state, Closing):
        closing.has_closed(session, state, turn, acknowledged=False)
    elif isinstance(state, Replaced):
        closing.closed(session, turn)
    elif isinstance(state, InitSent) and state.offer.asking:
        closing.fail(session, init.unanswered_question(state), turn)
    else:
        exchange = job.exchange if job else ExchangeType.INFORMATIONAL
        closing.fail(session, silence(session.link, state, exchange, tries, seconds), turn)


def _due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
