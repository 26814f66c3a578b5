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
from hushwire.ike.awaited import Awaited
from hushwire.ike.children import Child, Children, Stage
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Turn
from hushwire.ike.jobs import MakeChild, RekeyIke
from hushwire.ike.keys import Seed
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.ike.states import Established
from hushwire.ike.tasks import child as child_task
from hushwire.ike.tasks import create, followup
from hushwire.ike.tasks.child import Between, Terms
from hushwire.sa.association import ChildSa
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import KeyExchangeId, NotifyType, ProtocolId

WHAT = "CHILD_SA"
TRY_AGAIN = (NotifyType.TEMPORARY_FAILURE, NotifyType.STATE_NOT_FOUND)


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
        agreed = (
            followup.accept(job.more, payloads)
            if job.more
            else create.accept(between, job.kept, payloads)
        )
        made = None if agreed.rest else child_task.make(between, agreed.terms, agreed.seed)
    except NegotiationFailedError as failed:
        session.unwanted.append(job.kept.inbound_spi)  # the peer believes that all is well
        _failed(session, state, job, failed, turn)
        return
    session.failing_since = None
    until = turn.now + session.limits.replaced_seconds
    # §2.8.1: of two that crossed, the one with the lowest nonce goes, by the hand that made it.
    theirs = _crossing(session, job)
    loses = theirs is not None and agreed.seed.lowest_nonce < theirs.lowest_nonce
    if made is not None:
        child = new_child(peer.lifetimes.child_seconds, replace(made, await_proof=loses), turn)
        children.install(child, turn)
        if loses:
            children.delete(child, turn)
    if loses:
        # Before the last key exchange there is nothing to delete: it is not gone on with.
        if job.crossed is not None and old is not None:
            children.replaced(old, until)
        return
    if job.crossed is not None:
        children.replaced(job.crossed[0], until)
        job.crossed = None
    elif theirs is not None:
        session.awaited = None  # the peer does not go on with it
    if made is None:
        job.more = followup.ask(agreed, payloads, turn.rng)
        session.doing = job
        session.link.request(state.secrets, job.exchange, followup.request(job.more), turn)
        return
    if old is not None:
        children.delete(old, turn)
    turn.report(Rekeyed(peer.name, WHAT, made.suite.name, initiator=True))


def _crossing(session: Session, job: MakeChild) -> Seed | None:
    """The peer's rekeying of the same CHILD_SA, which it has finished or not."""
    if job.crossed is not None:
        return job.crossed[1]
    awaited = session.awaited
    same = awaited is not None and awaited.old is not None and awaited.old is job.replaces
    return awaited.seed if awaited is not None and same else None


def _refused(
    session: Session, state: Established, job: MakeChild, error: Notify, turn: Turn
) -> None:
    children, old = state.children, job.replaces
    if job.crossed is not None and old is not None:
        # The peer's own rekeying was over before ours reached it: nothing is left to do (§2.8.1).
        children.replaced(old, turn.now + session.limits.replaced_seconds)
    elif error.type in TRY_AGAIN:
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
    old, refusal = _judge(session, state.children, request)
    if refusal is not None:
        session.link.respond(request, (refusal,), turn)
        return
    peer = state.verified.peer
    between = Between(peer, state.secrets, session.link.path)
    try:
        payloads, agreed = create.answer(between, request.payloads, session.new_spi(), turn.rng)
    except NegotiationFailedError as failed:
        _refuse(session, state, request, failed, turn)
        return
    if not agreed.rest:
        made(session, state, request, (agreed.terms, agreed.seed, old), turn, payloads=payloads)
        return
    link, notify = followup.new_link(turn.rng)
    until = turn.now + session.limits.followup_seconds
    session.awaited = Awaited(agreed, link, until, old)
    session.link.respond(request, (*payloads, notify), turn)


def made(
    session: Session,
    state: Established,
    request: Request,
    agreed: tuple[Terms, Seed, Child | None],
    turn: Turn,
    *,
    payloads: tuple[Payload, ...],
) -> None:
    """All key exchanges are done: the SA, in place of an old one or not, and the response."""
    (terms, seed, old), peer = agreed, state.verified.peer
    children, job = state.children, session.doing
    between = Between(peer, state.secrets, session.link.path)
    try:
        sa = replace(child_task.make(between, terms, seed), await_proof=True)
    except NegotiationFailedError as failed:
        _refuse(session, state, request, failed, turn)
        return
    child = new_child(peer.lifetimes.child_seconds, sa, turn)
    child.known_at, child.awaits = turn.now + session.limits.replaced_seconds, True
    # The inbound SA is installed before the message that lets the peer use it is sent.
    children.install(child, turn)
    if old is not None and isinstance(job, MakeChild) and job.replaces is old:
        job.crossed = child, seed
    elif old is not None:
        children.replaced(old, turn.now + session.limits.replaced_seconds)
    session.link.respond(request, payloads, turn)
    turn.report(Rekeyed(peer.name, WHAT, sa.suite.name, initiator=False))


def _refuse(
    session: Session,
    state: Established,
    request: Request,
    why: NegotiationFailedError,
    turn: Turn,
) -> None:
    session.link.respond(request, why.told, turn)
    if why.outcome is not None:
        turn.report(RekeyFailed(state.verified.peer.name, WHAT, why.name, 0.0, why.outcome))


def _judge(
    session: Session, children: Children, request: Request
) -> tuple[Child | None, Notify | None]:
    """Which one is to be rekeyed, and why it cannot be (§2.25.1, §2.25.2)."""
    job = session.doing
    if isinstance(job, RekeyIke):
        return None, Notify(NotifyType.TEMPORARY_FAILURE)
    for notify in every(request.payloads, Notify):
        if notify.type == NotifyType.REKEY_SA:
            old = children.outbound(notify.spi)
            if old is None or notify.protocol != ProtocolId.ESP:
                lost = Notify(
                    NotifyType.CHILD_SA_NOT_FOUND, protocol=notify.protocol, spi=notify.spi
                )
                return None, lost
            # With `more` the peer has not known of ours, and the nonces say that ours goes on.
            decided = isinstance(job, MakeChild) and job.replaces is old and job.more
            if old.stage is not Stage.LIVE or decided:
                return old, Notify(NotifyType.TEMPORARY_FAILURE)
            if len(children) < 2 * session.limits.children:
                return old, None
    if len(children) >= session.limits.children:
        return None, Notify(NotifyType.NO_ADDITIONAL_SAS)
    return None, None


# Both.


def without_tunnel(session: Session, state: Established, turn: Turn) -> None:
    """An IKE SA without a CHILD_SA is of no use here: close it, and begin anew."""
    begun = session.awaited is not None and not session.awaited.is_ike
    on_its_way = session.wants_child or isinstance(session.doing, MakeChild) or begun
    if not state.children.live and not on_its_way:
        closing.without_tunnel(session, state, turn)


def out_of_step(session: Session, state: Established, turn: Turn) -> None:
    """§2.25: after minutes of TEMPORARY_FAILURE the two hosts will not agree any more."""
    name = state.verified.peer.name
    why = "it has answered TEMPORARY_FAILURE for minutes"
    closing.end(session, PeerMisbehaved(name, create.CREATE, why), turn)
    closing.delete_ike_sa(session, state.secrets, name, turn)
