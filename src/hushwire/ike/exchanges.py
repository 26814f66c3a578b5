"""Protected messages: from the message window to the exchange that they belong to.

window (new, repeated, outside?) ─► open SK ─► rules ─► task ─► effects
"""

from __future__ import annotations

from collections.abc import Sequence

from hushwire.crypto.errors import BadIcvError
from hushwire.explain.outcome import ClosedByPeer, PeerMisbehaved
from hushwire.ike import closing, life, opening
from hushwire.ike.failure import exchange_name
from hushwire.ike.inputs import IkeDrop, Incoming, Peer, Turn
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closing, Established, HalfOpen
from hushwire.ike.tasks import auth, informational
from hushwire.ike.window import Arrival
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.rules import check_inner
from hushwire.wire.registry import ExchangeType, NotifyType


def protected(session: Session, incoming: Incoming, peers: Sequence[Peer], turn: Turn) -> None:
    """A message with an SK payload, in any state."""
    header = incoming.header
    window = session.link.window
    arrival = window.arrival(header.message_id, incoming.data)
    if not header.response and arrival is Arrival.REPEATED:
        session.link.repeat(incoming, turn)
        return
    wanted = window.awaits(header.message_id) if header.response else arrival is Arrival.NEW
    if not wanted:
        turn.drop(IkeDrop.OUTSIDE_WINDOW)
        return
    secrets = session.secrets()
    sealed = incoming.message.encrypted
    if secrets is None or sealed is None:
        turn.drop(IkeDrop.UNEXPECTED)
        return
    try:
        payloads = secrets.protection.open_payloads(sealed)
        life.moved(session, incoming.path, turn)
        check_inner(header, payloads)
        if header.response:
            _response(session, incoming, payloads, turn)
        else:
            _answer(session, Request(incoming, payloads, secrets), peers, turn)
    except BadIcvError:
        turn.drop(IkeDrop.BAD_ICV)
        turn.distrust(incoming.path)
        return
    except WireError as error:
        _malformed(session, Request(incoming, (), secrets), error, turn)
    session.heard_at = turn.now


def _response(
    session: Session, incoming: Incoming, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    state = session.state
    exchange = incoming.header.exchange
    if isinstance(state, AuthSent) and exchange == ExchangeType.IKE_AUTH:
        session.link.window.answered()
        opening.auth_response(session, state, payloads, turn)
    elif isinstance(state, Closing) and exchange == ExchangeType.INFORMATIONAL:
        closing.answered(session, state, turn)
    elif isinstance(state, Established) and exchange == ExchangeType.INFORMATIONAL:
        session.link.window.answered()  # the answer to a liveness check says all by coming (§2.4)
        life.confirmed(session, state, turn)
    else:
        turn.drop(IkeDrop.UNEXPECTED)


def _answer(session: Session, request: Request, peers: Sequence[Peer], turn: Turn) -> None:
    """A new request that is genuine."""
    exchange = request.incoming.header.exchange
    state = session.state
    if isinstance(state, HalfOpen) and exchange == ExchangeType.IKE_AUTH:
        opening.answer_auth(session, request, peers, turn)
    elif not isinstance(state, Established | Closing):
        turn.drop(IkeDrop.UNEXPECTED)
    elif exchange == ExchangeType.INFORMATIONAL:
        _answer_informational(session, request, turn)
    elif exchange == ExchangeType.CREATE_CHILD_SA:
        # RFC 7296 §4 allows an implementation that does no more than one CHILD_SA.
        session.link.respond(request, (Notify(NotifyType.NO_ADDITIONAL_SAS),), turn)
    else:
        raise WireError(f"{exchange_name(exchange)} on an established IKE SA")


def _answer_informational(session: Session, request: Request, turn: Turn) -> None:
    state = session.state
    made = state.child if isinstance(state, Established) else None
    told = informational.answer(request.payloads, made)
    session.link.respond(request, told.response, turn)
    if isinstance(state, Closing):
        if told.ike_sa_deleted or told.refusal is not None:  # both sides closed at once
            closing.has_closed(session, state, turn, acknowledged=True)
    elif isinstance(state, Established):
        peer = state.verified.peer
        if told.ike_sa_deleted:
            outcome = None if session.redundant else ClosedByPeer(peer.name)
            closing.fail(session, outcome, turn)
        elif told.refusal is not None:
            closing.fail(session, auth.refusal(peer, told.refusal, session.link.path), turn)
        elif told.child_deleted:
            # An IKE SA without a CHILD_SA is of no use here: close it, and begin anew.
            closing.end(session, ClosedByPeer(peer.name), turn)
            goodbye = informational.DELETE_IKE_SA
            closing.say_goodbye(session, request.secrets, goodbye, peer.name, turn)


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
        if not (isinstance(state, Closing) or (critical and isinstance(state, Established))):
            closing.fail(session, outcome, turn)
    elif isinstance(state, Closing):
        closing.answered(session, state, turn)
    else:
        # §2.21: a response is not answered by an error, but a Delete clears both sides.
        session.link.window.answered()
        closing.end(session, outcome, turn)
        closing.say_goodbye(session, message.secrets, informational.DELETE_IKE_SA, name, turn)
