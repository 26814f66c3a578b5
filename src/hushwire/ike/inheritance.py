"""The IKE SA itself, rekeyed by either side (RFC 7296 §2.8.2, §2.18): a new one inherits.

Where both begin at once there are two new ones. What the peer made is the `rival` of the old one
until our own request is answered; then the nonces decide. Sooner, when the peer uses it.
"""

from __future__ import annotations

from hushwire.explain.outcome import Rekeyed, RekeyFailed
from hushwire.ike import closing, renewal, roaming
from hushwire.ike.awaited import Awaited
from hushwire.ike.children import Children
from hushwire.ike.failure import NegotiationFailedError, notify_name
from hushwire.ike.inputs import Peer, Turn
from hushwire.ike.jobs import DeleteChildren, MakeChild, RekeyIke
from hushwire.ike.keys import Seed
from hushwire.ike.link import Request
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.session import Session
from hushwire.ike.states import Established, Replaced, Role
from hushwire.ike.tasks import create, followup, rekey
from hushwire.ike.tasks.followup import Agreed
from hushwire.ike.tasks.rekey import NewIke
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

WHAT = "IKE SA"


# We begin.


def begin(session: Session, state: Established, turn: Turn, method: int | None = None) -> None:
    """Rekey it. `method` is the second attempt's key exchange."""
    kept = rekey.wish(state.secrets, session.sessions.free_ike_spi(), turn.rng, method)
    session.doing = job = RekeyIke(state.verified, kept, repeated=method is not None)
    payloads = rekey.request(state.verified.peer, kept)
    session.link.request(state.secrets, job.exchange, payloads, turn)


def response(
    session: Session, state: Established, job: RekeyIke, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    """The peer has made the new one, or says why not."""
    errors = [notify for notify in every(payloads, Notify) if notify.is_error]
    if errors:
        _refused(session, state, job, errors[0], turn)
        return
    peer, rival = state.verified.peer, session.rival
    try:
        agreed = _accept(peer, job, payloads)
    except NegotiationFailedError as failed:
        closing.end(session, failed.outcome, turn)
        closing.delete_ike_sa(session, state.secrets, peer.name, turn)
        return
    session.failing_since = None
    theirs = _crossing(session)
    loses = theirs is not None and agreed.seed.lowest_nonce < theirs.lowest_nonce
    new = None if agreed.rest else _successor(session, job.verified, agreed, turn)
    if loses:
        # Before the last key exchange there is nothing to delete: it is not gone on with.
        if new is not None:
            closing.close(new, turn, quiet=True)
        if rival is not None:
            inherit(rival, turn)
        return
    if rival is not None:
        _give_up(rival, turn)
        session.rival = None
    elif theirs is not None:
        session.awaited = None  # the peer does not go on with it
    if new is None:
        job.more = followup.ask(agreed, payloads, turn.rng)
        session.doing = job
        session.link.request(state.secrets, job.exchange, followup.request(job.more), turn)
        return
    _hand_over(state, new, turn)
    closing.delete_ike_sa(session, state.secrets, peer.name, turn)


def late_response(
    session: Session, job: RekeyIke, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    """By now the old IKE SA has ended, or another one goes on: what ours has made is to go."""
    if any(notify.is_error for notify in every(payloads, Notify)):
        return
    try:
        agreed = _accept(job.verified.peer, job, payloads)
    except NegotiationFailedError:
        return
    if not agreed.rest:  # or else the peer has made nothing yet
        new = _successor(session, job.verified, agreed, turn)
        closing.close(new, turn, quiet=True)


def _accept(peer: Peer, job: RekeyIke, payloads: tuple[Payload, ...]) -> Agreed[NewIke]:
    if job.more is not None:
        return followup.accept(job.more, payloads)
    return rekey.accept(peer, job.kept, payloads)


def _crossing(session: Session) -> Seed | None:
    """The peer's rekeying of this IKE SA, which it has finished or not."""
    if session.rival is not None:
        return _nonces(session.rival)
    awaited = session.awaited
    return awaited.seed if awaited is not None and awaited.is_ike else None


def _refused(
    session: Session, state: Established, job: RekeyIke, error: Notify, turn: Turn
) -> None:
    if session.rival is not None:
        inherit(session.rival, turn)  # the peer's was over before ours reached it (§2.8.2)
        return
    peer = state.verified.peer
    wanted = create.wanted_method((error,))
    if error.type in renewal.TRY_AGAIN:
        if not session.try_again(turn):
            renewal.out_of_step(session, state, turn)
    elif wanted in create.methods(peer.ike_proposals) and not job.repeated:
        begin(session, state, turn, wanted)
    else:
        again = session.limits.refused_seconds
        turn.report(RekeyFailed(peer.name, WHAT, notify_name(error.type), again))
        session.rekey_at = turn.now + again
        turn.reauthenticate(peer.name)


# The peer begins.


def answer(session: Session, state: Established, request: Request, turn: Turn) -> None:
    """A CREATE_CHILD_SA request for the IKE SA itself."""
    job, peer = session.doing, state.verified.peer
    # With `more` the peer has not known of ours, and the nonces say that ours goes on.
    decided = isinstance(job, RekeyIke) and job.more is not None
    if isinstance(job, MakeChild | DeleteChildren) or session.rival is not None or decided:
        session.link.respond(request, (Notify(NotifyType.TEMPORARY_FAILURE),), turn)
        return
    spi = session.sessions.free_ike_spi()
    try:
        payloads, agreed = rekey.answer(peer, spi, request.payloads, turn.rng)
    except NegotiationFailedError as failed:
        session.link.respond(request, failed.told, turn)
        if failed.outcome is not None:
            turn.report(RekeyFailed(peer.name, WHAT, failed.name, 0.0, failed.outcome))
        return
    if not agreed.rest:
        made(session, state, request, agreed, turn, payloads=payloads)
        return
    link, notify = followup.new_link(turn.rng)
    session.awaited = Awaited(agreed, link, turn.now + session.limits.followup_seconds)
    session.link.respond(request, (*payloads, notify), turn)


def made(
    session: Session,
    state: Established,
    request: Request,
    agreed: Agreed[NewIke],
    turn: Turn,
    *,
    payloads: tuple[Payload, ...],
) -> None:
    """All key exchanges are done: the new IKE SA, and the response."""
    job = session.doing
    new = _successor(session, state.verified, agreed, turn)
    session.link.respond(request, payloads, turn)
    if isinstance(job, RekeyIke):
        session.rival, new.predecessor = new, session
        return
    _hand_over(state, new, turn)
    _replace(session, state, turn)


# Both.


def inherit(new: Session, turn: Turn) -> None:
    """The peer's new IKE SA is the one that goes on."""
    old, new.predecessor = new.predecessor, None
    if old is None:
        return
    old.rival = None
    state = old.state
    new.useless_at, new.rests_on = old.useless_at, old.rests_on
    if new.mobility is not None:  # the old one may have moved since
        new.link.path, new.mobility = old.link.path, roaming.inherited(old)
    if isinstance(state, Established):
        _hand_over(state, new, turn)
        _replace(old, state, turn)


def _successor(old: Session, verified: VerifiedPeer, agreed: Agreed[NewIke], turn: Turn) -> Session:
    before, terms = old.secrets(), agreed.terms
    if before is None:
        raise TypeError("an IKE SA that has ended has no successor")
    secrets = rekey.finish(before, terms, agreed.seed, turn.rng)
    new = old.sessions.successor(old, terms.role, terms.own_spi, turn.now)
    new.link.peer_spi = terms.peer_spi
    turn.trace.follows(old.link.initiator_spi, new.link.initiator_spi)
    new.rekey_at = renewal.jittered(verified.peer.lifetimes.ike_seconds, turn)
    new.reauth_at, new.wants_child = old.reauth_at, old.wants_child
    new.mobility, new.source = roaming.inherited(old), old.source
    new.unwanted, new.heir, new.up_since = old.unwanted, True, old.up_since
    new.useless_at, new.rests_on = old.useless_at, old.rests_on
    new.state = Established(secrets, verified, Children(), turn.now)
    return new


def _hand_over(state: Established, new: Session, turn: Turn) -> None:
    """§2.18: the CHILD_SAs, as they are."""
    if isinstance(new.state, Established):
        new.state.children.take(state.children)
        suite, initiator = new.state.secrets.suite.name, new.role is Role.INITIATOR
        turn.report(Rekeyed(new.peer_name, WHAT, suite, initiator=initiator))
    else:
        state.children.clear(turn)  # it has ended meanwhile


def _give_up(rival: Session, turn: Turn) -> None:
    """The peer made it, and is to delete it."""
    rival.predecessor = None
    if isinstance(rival.state, Established):
        _replace(rival, rival.state, turn)


def _replace(session: Session, state: Established, turn: Turn) -> None:
    """Another one goes on, and the peer is to delete this one."""
    peer, until = state.verified.peer, turn.now + session.limits.replaced_seconds
    session.state = Replaced(state.secrets, peer.name, until, peer.liveness)


def _nonces(session: Session) -> Seed:
    secrets = session.secrets()
    if secrets is None:
        raise TypeError("an IKE SA that has ended is not compared")
    return Seed(secrets.ni, secrets.nr)
