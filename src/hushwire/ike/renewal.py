"""CHILD_SAs made and rekeyed on an established IKE SA, by either side (RFC 7296 §2.8, §2.25.1).

The order in which nothing is lost:

- The responder installs the new SA before it answers. It goes on sending on the old one until the
  new one has brought a packet, or the old one is deleted.
- The initiator installs the new SA when the answer is there, sends on it at once, and deletes the
  old one.
- Both still receive on the old one for some seconds.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hushwire.explain.outcome import PeerMisbehaved, Rekeyed, RekeyFailed
from hushwire.ike import closing
from hushwire.ike.children import Child, Children, Stage
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Turn
from hushwire.ike.jobs import MakeChild, RekeyIke
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.ike.states import Established
from hushwire.ike.tasks import create
from hushwire.ike.tasks.child import Between
from hushwire.sa.association import ChildSa
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import KeyExchangeId, NotifyType, ProtocolId

WHAT = "CHILD_SA"


def new_child(seconds: float | None, sa: ChildSa, turn: Turn) -> Child:
    """With the time when it is to be rekeyed."""
    return Child(sa, turn.now, jittered(seconds, turn))


def jittered(seconds: float | None, turn: Turn) -> float:
    """§2.8: sooner by chance, so that two hosts with one policy seldom begin at once."""
    return math.inf if seconds is None else turn.now + seconds * (1 - 0.1 * turn.chance())


# We begin.


def begin(
    session: Session,
    state: Established,
    old: Child | None,
    turn: Turn,
    method: int | None = None,
) -> None:
    """Rekey `old`, or make an additional one. `method` is the second attempt's key exchange."""
    peer = state.verified.peer
    kept = create.wish(peer, session.new_spi(), turn.rng, method)
    session.doing = job = MakeChild(old, kept, repeated=method is not None)
    session.wants_child = False
    payloads = create.request(peer, kept, old.sa if old else None)
    session.link.request(state.secrets, job.exchange, payloads, turn)


def response(
    session: Session, state: Established, job: MakeChild, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    """The peer has made the SA, or says why not."""
    errors = [notify for notify in every(payloads, Notify) if notify.is_error]
    if errors:
        _refused(session, state, job, errors[0], turn)
        return
    peer, children, old = state.verified.peer, state.children, job.replaces
    between = Between(peer, state.secrets, session.link.path)
    try:
        made, seed = create.accept(between, job.kept, payloads)
    except NegotiationFailedError as failed:
        session.unwanted.append(job.kept.inbound_spi)  # the peer believes that all is well
        _failed(session, state, job, failed, turn)
        return
    session.failing_since = None
    until = turn.now + session.limits.replaced_seconds
    # §2.8.1: of two that crossed, the one with the lowest nonce goes, by the hand that made it.
    loses = job.crossed is not None and seed.lowest_nonce < job.crossed[1].lowest_nonce
    child = new_child(peer.lifetimes.child_seconds, replace(made, await_proof=loses), turn)
    children.install(child, turn)
    if loses:
        children.delete(child, turn)
        if old is not None:
            children.replaced(old, until)
        return
    if job.crossed is not None:
        children.replaced(job.crossed[0], until)
    if old is not None:
        children.delete(old, turn)
    turn.report(Rekeyed(peer.name, WHAT, made.suite.name, initiator=True))


def _refused(
    session: Session, state: Established, job: MakeChild, error: Notify, turn: Turn
) -> None:
    children, old = state.children, job.replaces
    if job.crossed is not None and old is not None:
        # The peer's own rekeying was over before ours reached it: nothing is left to do (§2.8.1).
        children.replaced(old, turn.now + session.limits.replaced_seconds)
    elif error.type == NotifyType.TEMPORARY_FAILURE:
        session.wants_child = old is None
        if not session.try_again(turn):
            out_of_step(session, state, turn)
    elif error.type == NotifyType.CHILD_SA_NOT_FOUND and old is not None:
        # §2.25: forget it, and make one from scratch, unless the peer has deleted it meanwhile.
        session.wants_child = old.stage is Stage.LIVE and len(children.live) == 1
        if old.stage is not Stage.DRAINING:
            children.forget(old, turn)
        without_tunnel(session, state, turn)
    elif not job.repeated and (method := _other_method(state, job, error)) is not None:
        begin(session, state, old, turn, method)
    else:
        _failed(session, state, job, NegotiationFailedError(None, error), turn)


def _other_method(state: Established, job: MakeChild, error: Notify) -> int | None:
    """A key exchange with which the peer may agree."""
    peer = state.verified.peer
    if error.type == NotifyType.INVALID_KE_PAYLOAD:
        wanted = create.wanted_method((error,))
        known = create.methods(peer.esp_proposals) + create.methods(peer.ike_proposals)
        return wanted if wanted in known else None
    if error.type == NotifyType.NO_PROPOSAL_CHOSEN and job.kept.method == KeyExchangeId.NONE:
        # It may want perfect forward secrecy, which IKE_AUTH could not show.
        return state.secrets.suite.exchange.method
    return None


def _failed(
    session: Session, state: Established, job: MakeChild, why: NegotiationFailedError, turn: Turn
) -> None:
    """The peer does not rekey so: a new IKE SA renews all keys as well."""
    peer = state.verified.peer
    again = session.limits.refused_seconds
    turn.report(RekeyFailed(peer.name, WHAT, why.name, again, why.outcome))
    if job.replaces is not None:
        job.replaces.rekey_at = turn.now + again
    turn.reauthenticate(peer.name)
    without_tunnel(session, state, turn)


# The peer begins.


def answer(session: Session, state: Established, request: Request, turn: Turn) -> None:
    """A CREATE_CHILD_SA request for a CHILD_SA."""
    children, job = state.children, session.doing
    old, refusal = _judge(session, children, request)
    if refusal is not None:
        session.link.respond(request, (refusal,), turn)
        return
    peer = state.verified.peer
    between = Between(peer, state.secrets, session.link.path)
    try:
        payloads, made, seed = create.answer(between, request.payloads, session.new_spi(), turn.rng)
    except NegotiationFailedError as failed:
        session.link.respond(request, failed.told, turn)
        if failed.outcome is not None:
            turn.report(RekeyFailed(peer.name, WHAT, failed.name, 0.0, failed.outcome))
        return
    child = new_child(peer.lifetimes.child_seconds, made, turn)
    child.known_at, child.awaits = turn.now + session.limits.replaced_seconds, True
    # The inbound SA is installed before the message that lets the peer use it is sent.
    children.install(child, turn)
    if old is not None and isinstance(job, MakeChild) and job.replaces is old:
        job.crossed = child, seed
    elif old is not None:
        children.replaced(old, turn.now + session.limits.replaced_seconds)
    session.link.respond(request, payloads, turn)
    turn.report(Rekeyed(peer.name, WHAT, made.suite.name, initiator=False))


def _judge(
    session: Session, children: Children, request: Request
) -> tuple[Child | None, Notify | None]:
    """Which one is to be rekeyed, and why it cannot be (§2.25.1, §2.25.2)."""
    if isinstance(session.doing, RekeyIke):
        return None, Notify(NotifyType.TEMPORARY_FAILURE)
    for notify in every(request.payloads, Notify):
        if notify.type == NotifyType.REKEY_SA:
            old = children.outbound(notify.spi)
            if old is None or notify.protocol != ProtocolId.ESP:
                lost = Notify(
                    NotifyType.CHILD_SA_NOT_FOUND, protocol=notify.protocol, spi=notify.spi
                )
                return None, lost
            if old.stage is not Stage.LIVE:
                return old, Notify(NotifyType.TEMPORARY_FAILURE)
            if len(children) < 2 * session.limits.children:
                return old, None
    if len(children) >= session.limits.children:
        return None, Notify(NotifyType.NO_ADDITIONAL_SAS)
    return None, None


# Both.


def without_tunnel(session: Session, state: Established, turn: Turn) -> None:
    """An IKE SA without a CHILD_SA is of no use here: close it, and begin anew."""
    on_its_way = session.wants_child or isinstance(session.doing, MakeChild)
    if not state.children.live and not on_its_way:
        closing.without_tunnel(session, state, turn)


def out_of_step(session: Session, state: Established, turn: Turn) -> None:
    """§2.25: after minutes of TEMPORARY_FAILURE the two hosts will not agree any more."""
    name = state.verified.peer.name
    why = "it has answered TEMPORARY_FAILURE for minutes"
    closing.end(session, PeerMisbehaved(name, create.CREATE, why), turn)
    closing.delete_ike_sa(session, state.secrets, name, turn)
