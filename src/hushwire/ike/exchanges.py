"""Protected messages: from the message window to the exchange that they belong to.

window (new, repeated, outside?) ─► open SK, gather fragments ─► rules ─► task ─► effects
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hushwire.crypto.errors import BadIcvError
from hushwire.explain.outcome import ClosedByPeer, PeerMisbehaved
from hushwire.ike import closing, followups, inheritance, life, opening, renewal, roaming
from hushwire.ike.children import Children, Stage
from hushwire.ike.failure import exchange_name
from hushwire.ike.inputs import IkeDrop, Incoming, Peer, Turn
from hushwire.ike.jobs import DeleteChildren, Inform, Job, Liveness, MakeChild, RekeyIke
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.ike.states import (
    AuthSent,
    Closing,
    Established,
    HalfOpen,
    IntermediateSent,
    Replaced,
    State,
)
from hushwire.ike.tasks import auth, informational, rekey
from hushwire.ike.window import Arrival
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.rules import check_inner
from hushwire.wire.registry import ExchangeType, NotifyType


def protected(session: Session, incoming: Incoming, peers: Sequence[Peer], turn: Turn) -> bool:
    """A message with an SK payload, in any state: is it genuine, and none of before?"""
    header = incoming.header
    window = session.link.window
    arrival = window.arrival(header.message_id, incoming.data)
    if not header.response and arrival in (Arrival.REPEATED, Arrival.RESEALED):
        _again(session, incoming, arrival, turn)
        return False
    wanted = window.awaits(header.message_id) if header.response else arrival is Arrival.NEW
    if not wanted:
        turn.drop(IkeDrop.OUTSIDE_WINDOW)
        return False
    secrets = session.secrets()
    if secrets is None:
        turn.drop(IkeDrop.UNEXPECTED)
        return False
    try:
        opened = session.link.open(
            incoming, secrets, session.limits.message_octets, turn, room=lambda: _room(session)
        )
        if opened is None:
            return True
        incoming = Incoming(
            replace(incoming.message, header=opened.header), opened.data, incoming.path
        )
        if session.mobility is None:  # RFC 4555 §3.8: else only by UPDATE_SA_ADDRESSES
            life.moved(session, incoming.path, turn)
        else:
            session.mobility.came_from = incoming.path.remote
        payloads = opened.payloads
        turn.trace.opened(payloads)
        check_inner(opened.header, payloads)
        if header.response:
            _response(session, incoming, payloads, opened.plain, turn)
        else:
            _answer(session, Request(incoming, payloads, secrets, opened.plain), peers, turn)
    except BadIcvError:
        turn.drop(IkeDrop.BAD_ICV)
        turn.distrust(incoming.path)
        return False
    except WireError as error:
        _malformed(session, Request(incoming, (), secrets), error, turn)
    session.heard_at = turn.now
    session.doubtful = False
    return True


def _again(session: Session, incoming: Incoming, arrival: Arrival, turn: Turn) -> None:
    """The last request once more: the response too."""
    if arrival is Arrival.REPEATED:
        session.link.repeat(incoming, turn)
        return
    try:
        session.link.repeat_resealed(incoming, turn)
    except BadIcvError:
        turn.drop(IkeDrop.BAD_ICV)
        turn.distrust(incoming.path)
    except WireError:
        turn.drop(IkeDrop.MALFORMED)


def _room(session: Session) -> bool:
    """May a fragment be kept, also of somebody who has not proved anything? (RFC 7383 §5)"""
    if not isinstance(session.state, HalfOpen):
        return True
    return session.sessions.unproved_octets() < session.limits.unproved_octets


def _response(
    session: Session, incoming: Incoming, payloads: tuple[Payload, ...], plain: bytes, turn: Turn
) -> None:
    state, job, window = session.state, session.doing, session.link.window
    exchange = incoming.header.exchange
    if isinstance(state, IntermediateSent) and exchange == ExchangeType.IKE_INTERMEDIATE:
        window.answered()
        opening.intermediate_response(session, state, payloads, plain, turn)
    elif isinstance(state, AuthSent) and exchange == ExchangeType.IKE_AUTH:
        window.answered()
        opening.auth_response(session, state, payloads, turn)
    elif exchange != _expected(state, job):
        turn.drop(IkeDrop.UNEXPECTED)
    elif isinstance(state, Established) and job is not None:
        window.answered()
        roaming.heard(session, incoming)
        session.doing = None
        state.children.begun(turn)
        _answered(session, state, job, payloads, turn)
        if isinstance(session.state, Established) and not window.busy:
            life.confirmed(session, session.state, turn)
    elif isinstance(state, Closing | Replaced):
        window.answered()
        session.doing = None
        if isinstance(job, RekeyIke):
            inheritance.late_response(session, job, payloads, turn)
        if isinstance(state, Closing):
            closing.answered(session, state, turn)


def _expected(state: State, job: Job | None) -> ExchangeType | None:
    """Which exchange of ours is under way."""
    if isinstance(state, Closing) and not state.unsaid:
        return ExchangeType.INFORMATIONAL
    if isinstance(state, Established | Replaced | Closing) and job is not None:
        return job.exchange
    return None


def _answered(
    session: Session, state: Established, job: Job, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    match job:
        case MakeChild():
            renewal.response(session, state, job, payloads, turn)
        case RekeyIke():
            inheritance.response(session, state, job, payloads, turn)
        case DeleteChildren():
            life.deleted_children(session, state, job, turn)
        case Inform():
            roaming.answered(session, state, job, payloads, turn)
        case Liveness():
            pass  # the answer says all by coming (§2.4)


def _answer(session: Session, request: Request, peers: Sequence[Peer], turn: Turn) -> None:
    """A new request that is genuine."""
    exchange = request.incoming.header.exchange
    state = session.state
    if isinstance(state, HalfOpen) and exchange == ExchangeType.IKE_AUTH:
        opening.answer_auth(session, request, peers, turn)
        return
    if isinstance(state, HalfOpen) and exchange == ExchangeType.IKE_INTERMEDIATE:
        opening.answer_intermediate(session, state, request, turn)
        return
    if not isinstance(state, Established | Replaced | Closing):
        turn.drop(IkeDrop.UNEXPECTED)
        return
    if isinstance(state, Established):
        state.children.known(turn)
    if exchange == ExchangeType.INFORMATIONAL:
        _answer_informational(session, request, turn)
    elif exchange == ExchangeType.CREATE_CHILD_SA:
        _answer_create(session, request, turn)
    elif exchange == ExchangeType.IKE_FOLLOWUP_KE:
        followups.answer(session, request, turn)
    else:
        raise WireError(f"{exchange_name(exchange)} on an established IKE SA")


def _answer_create(session: Session, request: Request, turn: Turn) -> None:
    inheritance.inherit(session, turn)  # whoever uses it has chosen it
    state = session.state
    if not isinstance(state, Established):
        # §2.25.2: it is about to end.
        session.link.respond(request, (Notify(NotifyType.TEMPORARY_FAILURE),), turn)
    elif rekey.asked_for(request.payloads):
        inheritance.answer(session, state, request, turn)
    else:
        renewal.answer(session, state, request, turn)


def _answer_informational(session: Session, request: Request, turn: Turn) -> None:
    told = informational.read(request.payloads)
    if not told.ike_sa_deleted:
        inheritance.inherit(session, turn)
    state = session.state
    ended = told.ike_sa_deleted or told.refusal is not None
    deleted: list[int] = []
    if isinstance(state, Established) and not ended:
        until = turn.now + session.limits.drain_seconds
        deleted = _delete_children(state.children, told.children, until, turn)
    said = informational.delete_children(deleted) + roaming.answer(session, request, turn)
    session.link.respond(request, said, turn)
    if isinstance(state, Established) and ended:
        _ended_by_peer(session, state, told, turn)
    elif isinstance(state, Established) and deleted:
        renewal.without_tunnel(session, state, turn)
    elif isinstance(state, Closing) and ended:  # both sides closed at once
        closing.has_closed(session, state, turn, acknowledged=True)
    elif isinstance(state, Replaced) and ended:
        closing.closed(session, turn)


def _delete_children(
    children: Children, spis: Sequence[bytes], until: float, turn: Turn
) -> list[int]:
    """The inbound SPIs of those to confirm; not of those that we are deleting (§1.4.1)."""
    confirmed = []
    for spi in dict.fromkeys(spis):
        child = children.outbound(spi)
        if child is not None:
            if child.stage is not Stage.DELETING:
                confirmed.append(child.sa.inbound_spi)
            children.drain(child, until, turn)
    return confirmed


def _ended_by_peer(
    session: Session, state: Established, told: informational.Told, turn: Turn
) -> None:
    peer = state.verified.peer
    if told.refusal is not None and not told.ike_sa_deleted:
        closing.fail(session, auth.refusal(peer, told.refusal, session.link.path), turn)
    elif session.rival is not None:
        # §2.25.2: the peer has finished its rekeying and knows nothing of ours: forget ours.
        inheritance.inherit(session.rival, turn)
        closing.closed(session, turn)
    elif session.predecessor is not None:
        # It lost against ours, whose response is on its way.
        session.predecessor.rival = None
        session.predecessor = None
        closing.closed(session, turn)
    else:
        # Another one stands, or may stand already at the peer: then the end of this one is none.
        redundant = session.sessions.has_another(session)
        heir = session.sessions.another(session) if redundant else None
        only = session.sessions.only_other(session)
        if only is not None and isinstance(only.state, Established):
            # That is why it deletes this one (§2.8.3). Of several, it may not have the newest yet.
            only.state.children.begun(turn)
        outcome = None if redundant else ClosedByPeer(peer.name)
        closing.fail(session, outcome, turn, heir)


def _malformed(session: Session, message: Request, error: WireError, turn: Turn) -> None:
    """A genuine message that breaks the rules: tell, and end the IKE SA (§2.21.2, §2.21.3).

    An unknown critical payload ends only an IKE SA that is not yet established (§2.5).
    """
    turn.drop(IkeDrop.MALFORMED)
    state, name = session.state, session.peer_name
    outcome = PeerMisbehaved(name, exchange_name(message.incoming.header.exchange), str(error))
    if not message.incoming.header.response:
        critical = isinstance(error, UnsupportedCriticalPayloadError)
        notify = (
            Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([error.payload_type]))
            if isinstance(error, UnsupportedCriticalPayloadError)
            else Notify(NotifyType.INVALID_SYNTAX)
        )
        session.link.respond(message, (notify,), turn)
        goes_on = critical and isinstance(state, Established)
        if not (goes_on or isinstance(state, Closing | Replaced)):
            closing.fail(session, outcome, turn)
    elif isinstance(state, Closing):
        closing.answered(session, state, turn)
    else:
        # §2.21: a response is not answered by an error, but a Delete clears both sides.
        session.link.window.answered()
        closing.end(session, outcome, turn)
        closing.say_goodbye(session, message.secrets, informational.DELETE_IKE_SA, name, turn)
