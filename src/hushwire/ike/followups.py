"""IKE_FOLLOWUP_KE requests: the peer goes on with what it began by CREATE_CHILD_SA (RFC 9370)."""

from __future__ import annotations

from dataclasses import replace

from hushwire.ike import inheritance, renewal
from hushwire.ike.inputs import Turn
from hushwire.ike.link import Request
from hushwire.ike.session import Session
from hushwire.ike.states import Established
from hushwire.ike.tasks import followup
from hushwire.ike.tasks.followup import Agreed
from hushwire.ike.tasks.rekey import NewIke
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType


def answer(session: Session, request: Request, turn: Turn) -> None:
    """The next key exchange of it; the last one makes the SA."""
    state, awaited = session.state, session.awaited
    if (
        not isinstance(state, Established)
        or awaited is None
        or awaited.link != followup.link_in(request.payloads)
    ):
        session.link.respond(request, (Notify(NotifyType.STATE_NOT_FOUND),), turn)
        return
    ke, agreed = followup.answer(awaited.agreed, request.payloads, turn.rng)
    if agreed.rest:
        link, notify = followup.new_link(turn.rng)
        until = turn.now + session.limits.followup_seconds
        session.awaited = replace(awaited, agreed=agreed, link=link, until=until)
        session.link.respond(request, (ke, notify), turn)
        return
    session.awaited = None
    terms, seed = agreed.terms, agreed.seed
    if isinstance(terms, NewIke):
        inheritance.made(session, state, request, Agreed(terms, seed), turn, payloads=(ke,))
    else:
        renewal.made(session, state, request, (terms, seed, awaited.old), turn, payloads=(ke,))
