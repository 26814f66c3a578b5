"""How an IKE SA begins: IKE_SA_INIT, IKE_INTERMEDIATE and IKE_AUTH (RFC 7296 §1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hushwire.explain.outcome import AskingPeer, Authenticated, PeerAnswered, TunnelUp
from hushwire.ike import closing, roaming
from hushwire.ike.children import Children
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import IkeDrop, Incoming, Peer, Turn
from hushwire.ike.link import Request
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.renewal import jittered, new_child
from hushwire.ike.session import Session
from hushwire.ike.states import (
    AuthSent,
    Established,
    HalfOpen,
    InitOffer,
    InitSent,
    IntermediateSent,
    Role,
    Secrets,
)
from hushwire.ike.tasks import auth, child, init, intermediate, mobike, ppk
from hushwire.ike.window import Arrival
from hushwire.sa.association import ChildSa, Encapsulation
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload
from hushwire.wire.registry import ExchangeType

# IKE_SA_INIT.


def connect(session: Session, peer: Peer, turn: Turn) -> None:
    """Begin as the initiator."""
    _send_init(session, peer, init.begin(peer, turn.rng), turn)


def _send_init(session: Session, peer: Peer, offer: InitOffer, turn: Turn) -> None:
    request = init.build_request(peer, offer, session.link.own_spi, session.link.path)
    session.state = InitSent(peer, offer, request)
    session.link.send_plain(request, turn)


def init_response(session: Session, incoming: Incoming, turn: Turn) -> None:
    """A response to IKE_SA_INIT. Nothing protects it: what is malformed is ignored."""
    state = session.state
    if not isinstance(state, InitSent) or incoming.header.message_id != 0:
        turn.drop(IkeDrop.UNEXPECTED)
        return
    try:
        result = init.process_response(state, incoming, turn.rng)
    except WireError:
        turn.drop(IkeDrop.MALFORMED)
        return
    except NegotiationFailedError as failed:
        closing.fail(session, failed.outcome, turn)
        return
    if isinstance(result, init.Restart):
        if result.asks:
            turn.report(AskingPeer(state.peer.name))
        _send_init(session, state.peer, result.offer, turn)
        return
    session.link.window.answered()
    session.link.peer_spi = incoming.header.responder_spi
    _keys_agreed(session, state.peer, result, turn)


def answered_init(session: Session, incoming: Incoming, response: bytes, secrets: Secrets) -> None:
    """Begin as the responder: IKE_SA_INIT has been answered, IKE_AUTH has to follow in time."""
    session.link.peer_spi = incoming.header.initiator_spi
    session.link.window.answering(incoming.data, (response,))
    session.state = HalfOpen(secrets, session.created_at + session.limits.half_open_seconds)


def repeat_init(session: Session, incoming: Incoming, turn: Turn) -> None:
    """The same IKE_SA_INIT once more: the same response (§2.1)."""
    if session.link.window.arrival(0, incoming.data) is Arrival.REPEATED:
        session.link.repeat(incoming, turn)
    else:
        turn.drop(IkeDrop.OUTSIDE_WINDOW)


def _keys_agreed(session: Session, peer: Peer, secrets: Secrets, turn: Turn) -> None:
    """As the initiator: from now on everything is encrypted."""
    address = session.link.path.remote.ip
    in_tcp = secrets.encapsulation is Encapsulation.TCP
    nat = "" if in_tcp else secrets.nat.describe()
    turn.report(PeerAnswered(peer.name, str(address), secrets.suite.name, nat))
    if secrets.encapsulation is Encapsulation.UDP:
        session.link.float_to_natt_port()
    _go_on(session, peer, secrets, turn)


# IKE_INTERMEDIATE.


def _go_on(session: Session, peer: Peer, secrets: Secrets, turn: Turn) -> None:
    """Another key exchange, if one has been agreed on and is not done."""
    if intermediate.next_exchange(secrets) is None:
        _send_auth(session, peer, secrets, turn)
        return
    key, payloads = intermediate.request(secrets, turn.rng)
    plain = session.link.request(secrets, ExchangeType.IKE_INTERMEDIATE, payloads, turn)
    session.state = IntermediateSent(peer, secrets, key, plain)


def intermediate_response(
    session: Session,
    state: IntermediateSent,
    payloads: tuple[Payload, ...],
    plain: bytes,
    turn: Turn,
) -> None:
    """`plain` is the response as RFC 9242 §3.3.2 authenticates it."""
    try:
        secrets = intermediate.accept(state, payloads, plain, session.link.spis, turn.rng)
    except NegotiationFailedError as failed:
        closing.fail(session, failed.outcome, turn)
        return
    _go_on(session, state.peer, secrets, turn)


def answer_intermediate(session: Session, state: HalfOpen, request: Request, turn: Turn) -> None:
    """The initiator's next key exchange."""
    secrets = request.secrets
    payloads, shared = intermediate.answer(secrets, request.payloads, turn.rng)
    plain = session.link.respond(request, payloads, turn)
    plains = request.plain, plain
    mixed = intermediate.answered(secrets, shared, plains, session.link.spis, turn.rng)
    session.state = replace(state, secrets=mixed)


# IKE_AUTH.


def _send_auth(session: Session, peer: Peer, secrets: Secrets, turn: Turn) -> None:
    mobile = secrets.nat.supported and mobike.offered(peer, session.link.path)
    if mobile:
        # RFC 4555 §3.3: so that no port has to change when a NAT is found later.
        session.link.float_to_natt_port()
    spi = session.new_spi()
    try:
        payloads = ppk.request(
            peer,
            secrets,
            lambda keyed: auth.build_request(
                peer, keyed, spi, session.link.path, initial_contact=session.initial_contact
            ),
        )
    except NegotiationFailedError as failed:
        closing.fail(session, failed.outcome, turn)
        return
    session.state = AuthSent(peer, secrets, spi)
    payloads += _addresses(session, peer) if mobile else ()
    session.link.request(secrets, ExchangeType.IKE_AUTH, payloads, turn)


def auth_response(
    session: Session, state: AuthSent, payloads: tuple[Payload, ...], turn: Turn
) -> None:
    # Where the response came from is not authentic: ESP goes where we connected to (§2.11).
    peer, secrets = state.peer, state.secrets
    try:
        secrets = ppk.accepted(peer, secrets, payloads)
        verified, result = auth.process_response(
            peer,
            secrets,
            payloads,
            state.inbound_spi,
            session.link.path,
            wall=turn.wall,
        )
    except NegotiationFailedError as failed:
        closing.fail(session, ppk.explained(peer, secrets, failed.outcome), turn)
        if failed.notify is not None:
            # §2.21.2: the responder believes that all is well; it has to be told.
            closing.say_goodbye(session, state.secrets, (failed.notify,), state.peer.name, turn)
        return
    turn.report(Authenticated(state.peer.name, verified.identity.text, verified.method))
    if isinstance(result, NegotiationFailedError):
        closing.fail(session, result.outcome, turn)
        closing.delete_ike_sa(session, state.secrets, state.peer.name, turn)
        return
    _establish(session, secrets, verified, result, turn)
    roaming.begin(session, payloads)
    if state.close_by is not None:
        closing.close(session, turn)


def answer_auth(session: Session, request: Request, peers: Sequence[Peer], turn: Turn) -> None:
    """The initiator says who it is."""
    secrets, path = request.secrets, request.incoming.path
    if intermediate.next_exchange(secrets) is not None:
        raise WireError("IKE_AUTH before the key exchanges that were agreed on")
    session.link.path = path
    peer: Peer | None = None
    try:
        peer = auth.find(peers, secrets, request.payloads, path)
        secrets, payloads, told = ppk.judge(peer, secrets, request.payloads)
        result = auth.answer(peer, secrets, payloads, session.new_spi(), path, wall=turn.wall)
    except NegotiationFailedError as failed:
        session.link.respond(request, (failed.notify,) if failed.notify else (), turn)
        outcome = ppk.explained(peer, secrets, failed.outcome) if peer else failed.outcome
        closing.fail(session, outcome, turn)
        return
    verified = result.verified
    turn.report(Authenticated(verified.peer.name, verified.identity.text, verified.method))
    session.initial_contact = result.initial_contact
    made = result.child if isinstance(result.child, ChildSa) else None
    # The inbound SA is installed before the message that lets the peer use it is sent.
    _establish(session, secrets, verified, made, turn)
    roaming.begin(session, request.payloads)
    more = _addresses(session, verified.peer) if session.mobility else ()
    session.link.respond(request, (*result.response, *told, *more), turn)
    if isinstance(result.child, NegotiationFailedError) and result.child.outcome:
        turn.report(result.child.outcome)


def _addresses(session: Session, peer: Peer) -> tuple[Payload, ...]:
    return mobike.greeting(peer, session.link.path, session.sessions.surroundings.own)


def _establish(
    session: Session, secrets: Secrets, verified: VerifiedPeer, made: ChildSa | None, turn: Turn
) -> None:
    children, lifetimes = Children(), verified.peer.lifetimes
    session.state = Established(secrets, verified, children, turn.now)
    session.up_since = turn.now
    session.rekey_at = jittered(lifetimes.ike_seconds, turn)
    if session.role is Role.INITIATOR:
        session.reauth_at = jittered(lifetimes.reauth_seconds, turn)
    if made is None:
        return
    first = new_child(lifetimes.child_seconds, made, turn)
    first.awaits = made.await_proof
    children.install(first, turn)
    local, remote = child.selector_texts(made)
    turn.report(
        TunnelUp(
            verified.peer.name,
            session.role is Role.INITIATOR,
            secrets.suite.name,
            made.suite.name,
            made.encapsulation.value,
            local,
            remote,
            made.mode.value,
        )
    )
