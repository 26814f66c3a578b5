"""An IKE SA on the move: either host gets other addresses, and the tunnel goes on (RFC 4555).

Who began the first IKE SA decides on the addresses (§3.5), and says so by UPDATE_SA_ADDRESSES; the
other one follows when it has seen that the peer really is there (§3.7), and tells its own addresses
when they change (§3.6). Between hosts that do not both speak MOBIKE, a new IKE SA takes the place
of the old one.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from hushwire.explain.outcome import Moved, PeerMisbehaved
from hushwire.ike import closing, nat
from hushwire.ike.failure import notify_name
from hushwire.ike.inputs import Incoming, Turn
from hushwire.ike.jobs import Inform, Liveness
from hushwire.ike.link import NATT_PORT, Link, Request
from hushwire.ike.mobility import IpAddress, Mobility
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closing, Established, InitSent, IntermediateSent, Replaced
from hushwire.ike.tasks import mobike
from hushwire.sa.association import Address, Carrier, ChildSa, Encapsulation, Path
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

SEARCH_AFTER_TRIES = 2
"""After so many transmissions without an answer, other addresses of the peer are tried (§3.10)."""


def begin(session: Session, peer_payloads: tuple[Payload, ...]) -> None:
    """IKE_AUTH is over: do both hosts speak MOBIKE?"""
    state, path = session.state, session.link.path
    if isinstance(state, Established) and mobike.agreed(state.verified.peer, path, peer_payloads):
        told = mobike.read(peer_payloads, path)
        own = session.sessions.surroundings.own
        session.mobility = Mobility(told.addresses or frozenset(), own, proved=path.remote.ip)


def inherited(old: Session) -> Mobility | None:
    """For the IKE SA that takes the place of this one; what was not answered is said again."""
    mobility, job = old.mobility, old.doing
    if mobility is None:
        return None
    update = mobility.update or (isinstance(job, Inform) and job.update)
    return replace(mobility, update=update)


# This host's network has changed.


def look(session: Session, turn: Turn) -> None:
    """What that means for this IKE SA."""
    link, around = session.link, session.sessions.surroundings
    if link.path.carrier is Carrier.TCP:
        if around.lacks(link.path.local.ip):
            turn.distrust(link.path)  # nothing comes by a connection from an address that is gone
        return
    before, source = session.source, around.sources.get(link.path.remote.ip)
    gone = around.lacks(link.path.local.ip)
    session.source = source or before
    changed = source is not None and source != link.path.local.ip
    is_new = changed and (gone or (before is not None and source != before))
    match session.state:
        case InitSent() | IntermediateSent() | AuthSent() if is_new:
            name = session.peer_name
            closing.closed(session, turn)
            turn.reauthenticate(name)
        case Replaced() | Closing() if is_new and source is not None:
            # §3.5: what is not answered yet, also that it ends, is said again from there.
            _go(session, _from(source, link), turn)
            if session.mobility is not None:
                session.mobility.announce = not link.opener
        case Established() if session.mobility is not None:
            _move(session, session.mobility, source, turn, is_new=is_new)
        case Established() if is_new and source is not None:
            # The end of the old IKE SA is told from where we are now.
            link.path = _from(source, link)
            turn.reauthenticate(session.peer_name)


def _move(
    session: Session, mobility: Mobility, source: IpAddress | None, turn: Turn, *, is_new: bool
) -> None:
    link = session.link
    if source is None and not _find_another(session, mobility):
        mobility.cut = True
    elif source is not None and is_new:
        _go(session, _from(source, link), turn)
        mobility.update, mobility.announce = link.opener, not link.opener
    elif source is not None and mobility.cut:
        # Back again, and a NAT may have forgotten us meanwhile.
        mobility.update = mobility.update or link.opener
        link.resend(turn)
    elif mobility.told != session.sessions.surroundings.own:
        mobility.announce = True
    if source is not None:
        mobility.cut = False


def _find_another(
    session: Session, mobility: Mobility, more: frozenset[Address] = frozenset()
) -> bool:
    """Try the next of the peer's addresses to which there is a way (§3.10), or of `more`."""
    link, sources = session.link, session.sessions.surroundings.sources
    state = session.state
    if not isinstance(state, Established):
        return False
    local, here, _ = link.path
    told = {Address(ip, NATT_PORT) for ip in mobility.peer_addresses & sources.keys()}
    known = [to for to in told | more if to != here and not _is_inside(state, to.ip)]
    there = sorted(known, key=_order)
    later = [to for to in there if _order(to) > _order(here)]
    target = next(iter([*later, *there]), None)
    if target is None or not link.opener:
        return False
    mobility.searching = mobility.update = True
    link.path = Path(Address(sources.get(target.ip, local.ip), NATT_PORT), target)
    return True


def search(session: Session, tries: int) -> None:
    """A request has been sent so often, and nothing came back."""
    mobility = session.mobility
    if mobility is not None and tries >= SEARCH_AFTER_TRIES:
        _find_another(session, mobility, _mapped(session, mobility))


def _mapped(session: Session, mobility: Mobility) -> frozenset[Address]:
    """Where the NAT before the peer sends from, or did: by IKE and by ESP."""
    state = session.state
    if not isinstance(state, Established) or not state.secrets.nat.peer_alone_is_behind:
        return frozenset()
    by_esp = {child.sa.path.remote for child in state.children.live}
    return frozenset(by_esp | {mobility.came_from or session.link.path.remote})


def heard(session: Session, incoming: Incoming) -> None:
    """A genuine response: of several paths that were tried, it came by this one."""
    mobility = session.mobility
    if mobility is not None and mobility.searching:
        if incoming.path.remote.ip in session.sessions.surroundings.sources:
            session.link.path = incoming.path
        mobility.searching = False


def _go(session: Session, path: Path, turn: Turn) -> None:
    """From here on; to where the peer is, CHILD_SAs go at once."""
    link, state = session.link, session.state
    link.path = path
    if isinstance(state, Established):
        state.children.moved(path, turn)
        turn.report(Moved(session.peer_name, str(path.local.ip), str(path.remote.ip)))
    link.resend(turn)


def _from(source: IpAddress, link: Link) -> Path:
    local, remote, _ = link.path
    return Path(local._replace(ip=source), remote)


def _order(address: Address) -> tuple[int, int, int]:
    return address.ip.version, int(address.ip), address.port


# Our exchanges.


def wants(session: Session) -> bool:
    """Is there something to say?"""
    mobility = session.mobility
    return mobility is not None and (
        mobility.update or mobility.announce or mobility.unproved is not None
    )


def check(session: Session, state: Established) -> bool:
    """In place of the liveness check: who is behind a NAT says where it is (§3.8)."""
    if session.mobility is not None and session.link.opener and state.secrets.nat.we_are_behind:
        session.mobility.update = True
        return True
    return False


def inform(session: Session, state: Established, turn: Turn) -> None:
    """Begin what is wanted most."""
    mobility, link = session.mobility, session.link
    if mobility is None:
        return
    own, path = session.sessions.surroundings.own, link.path
    job = Inform(path)
    if mobility.update:
        job.update = True
        if mobility.proved != path.remote.ip:
            job.cookie = turn.rng(mobike.COOKIE_OCTETS)
        hashes = nat.announce(
            link.initiator_spi, link.responder_spi, path, state.verified.peer.encap
        )
        payloads = (*mobike.update(path, own, job.cookie), *hashes)
        mobility.update = mobility.announce = False
        mobility.told = own
    elif mobility.unproved is not None:
        mobility.unproved = path
        job.cookie = turn.rng(mobike.COOKIE_OCTETS)
        payloads = mobike.cookie2(job.cookie)
    else:
        payloads = mobike.announcement(path, own)
        mobility.announce, mobility.told = False, own
    session.doing = job
    link.request(state.secrets, job.exchange, payloads, turn)


def announce(session: Session, state: Replaced, turn: Turn) -> None:
    """The peer may not have got the response that makes the next IKE SA, and asks where we were."""
    mobility, own = session.mobility, session.sessions.surroundings.own
    if mobility is not None and mobility.announce:
        mobility.announce = False
        session.doing = job = Liveness()
        payloads = mobike.announcement(session.link.path, own)
        session.link.request(state.secrets, job.exchange, payloads, turn)


def answered(
    session: Session, state: Established, job: Inform, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    """The response to one of these."""
    mobility, link = session.mobility, session.link
    if mobility is None:
        return
    told = mobike.read(payloads, link.path)
    name = session.peer_name
    if job.cookie and not hmac.compare_digest(told.cookie, job.cookie):
        # §3.7: then it is not where it says, and answers all the same.
        why = "it answered a check of its address without having seen it"
        closing.end(session, PeerMisbehaved(name, "INFORMATIONAL", why), turn)
        closing.delete_ike_sa(session, state.secrets, name, turn)
        return
    if link.path != job.path or mobility.update:
        return  # we have moved on meanwhile, and say so again
    if told.refusal is not None:
        reason = notify_name(told.refusal.type)
        turn.report(Moved(name, str(link.path.local.ip), str(link.path.remote.ip), reason))
        turn.reauthenticate(name)
        return
    if job.cookie:
        mobility.proved = link.path.remote.ip
        mobility.unproved = None
    if job.update:
        view = nat.detect(payloads, link.initiator_spi, link.responder_spi, link.path)
        state = _with_nat(session, state, view)
    if job.update or job.cookie:
        _settle(session, state, turn)


def _with_nat(session: Session, state: Established, view: nat.NatView) -> Established:
    """NATs on the way may be others now, and with them the encapsulation (§3.5)."""
    if view.supported:
        encapsulation = nat.encapsulation(state.verified.peer.encap, view)
        secrets = replace(state.secrets, nat=view, encapsulation=encapsulation)
        state = session.state = replace(state, secrets=secrets)
    return state


def _settle(session: Session, state: Established, turn: Turn) -> None:
    """The CHILD_SAs go by the IKE SA's path, as what is known of NATs on it says."""
    path, secrets = session.link.path, state.secrets
    udp = secrets.encapsulation is Encapsulation.UDP

    def settled(sa: ChildSa) -> ChildSa:
        return replace(
            sa,
            path=path,
            encapsulation=secrets.encapsulation,
            keepalive=udp and secrets.nat.we_are_behind,
            follow=udp and secrets.nat.peer_alone_is_behind,
        )

    if any(child.sa.path != path for child in state.children):
        turn.report(Moved(session.peer_name, str(path.local.ip), str(path.remote.ip)))
    if any(settled(child.sa) != child.sa for child in state.children):
        state.children.change(settled, turn)


# The peer's.


def answer(session: Session, request: Request, turn: Turn) -> tuple[Payload, ...]:
    """What an INFORMATIONAL request says of addresses; what the response has to say to it.

    Raises `WireError`.
    """
    mobility, state, link = session.mobility, session.state, session.link
    path = request.incoming.path
    if mobility is None:
        return ()
    told = mobike.read(request.payloads, path)
    echo = mobike.cookie2(told.cookie)
    used = link.path.remote.ip
    # §3.6: what we use is not the peer's any more.
    gone = told.addresses is not None and used not in {*told.addresses, path.remote.ip}
    if not isinstance(state, Established):
        # It is about to end, and the peer has to hear of that where it is by now (§3.5, §3.6).
        if (gone if link.opener else told.update) and not told.changed_on_the_way:
            link.path = path
            link.resend(turn)
        return echo
    if (told.update or told.addresses is not None) and told.changed_on_the_way:
        return (Notify(NotifyType.UNEXPECTED_NAT_DETECTED), *echo)
    if told.update and not link.opener:
        if _is_inside(state, path.remote.ip):
            return (Notify(NotifyType.UNACCEPTABLE_ADDRESSES), *echo)
        _follow(session, mobility, state, request, turn)
    if told.addresses is not None:
        mobility.peer_addresses = told.addresses - {path.remote.ip}
        if link.opener and gone:
            link.path, mobility.update = path, True
    hashes: tuple[Payload, ...] = ()
    if any(n.type == NotifyType.NAT_DETECTION_SOURCE_IP for n in every(request.payloads, Notify)):
        hashes = nat.announce(
            link.initiator_spi, link.responder_spi, path, state.verified.peer.encap
        )
    return (*hashes, *echo)


def _follow(
    session: Session, mobility: Mobility, state: Established, request: Request, turn: Turn
) -> None:
    """§3.5: the peer is where its request came from."""
    link, path = session.link, request.incoming.path
    moved, link.path = link.path != path, path
    view = nat.detect(request.payloads, link.initiator_spi, link.responder_spi, path)
    state = _with_nat(session, state, view)
    if path.remote.ip == mobility.proved:
        mobility.unproved = None
        _settle(session, state, turn)
    else:
        mobility.unproved = path
    if moved:
        link.resend(turn)


def _is_inside(state: Established, address: IpAddress) -> bool:
    """Would our own sealed packets be led back into the tunnel?

    Not where the tunnel is for everything: then its own packets have a way of their own.
    """
    return any(
        selector.start.version == address.version
        and int(selector.start) <= int(address) <= int(selector.end)
        and int(selector.end) - int(selector.start) + 1 < 1 << address.max_prefixlen
        for selector in state.verified.peer.remote_selectors
    )
