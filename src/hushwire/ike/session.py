"""One IKE SA: the state machine of `states.py`, driven by messages and time.

    datagram ─► window (new, repeated, outside?) ─► open SK ─► rules ─► task ─► effects

A session never looks at other sessions; what concerns several of them is in `endpoint.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hushwire.crypto.errors import BadIcvError
from hushwire.explain.outcome import (
    Authenticated,
    ClosedByPeer,
    ClosedByUs,
    Failure,
    PeerAnswered,
    PeerMisbehaved,
    Reconnected,
    TunnelUp,
)
from hushwire.ike import connections
from hushwire.ike.failure import NegotiationFailedError, exchange_name, silence
from hushwire.ike.inputs import TCP_AFTER_TRIES, IkeDrop, Incoming, Limits, Peer, Turn
from hushwire.ike.link import Link
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.states import (
    AuthSent,
    Closed,
    Closing,
    Established,
    HalfOpen,
    InitOffer,
    InitSent,
    Role,
    Secrets,
    State,
    peer_name,
)
from hushwire.ike.tasks import auth, child, informational, init
from hushwire.ike.window import Arrival
from hushwire.sa.association import ChildSa, Encapsulation, Path
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.rules import check_inner
from hushwire.wire.registry import ExchangeType, NotifyType

_LINGER_SECONDS = 5.0  # how long a closed IKE SA still repeats its last response


class Session:
    """One IKE SA, from its first message to the last retransmission that it must answer.

    `new_spi` gives an inbound ESP SPI that no other SA of this host uses.
    """

    def __init__(self, link: Link, now: float, new_spi: Callable[[], int], limits: Limits) -> None:
        self.link = link
        self.created_at = now
        self.heard_at = now
        self.state: State = Closed(now)
        self.initial_contact = False
        self.redundant = False  # another IKE SA with this peer stands: the end of this one is none
        self._unconfirmed = 0  # answers to come until the peer has followed to a new connection
        self._new_spi = new_spi
        self._limits = limits

    @property
    def role(self) -> Role:
        return self.link.role

    @property
    def peer_name(self) -> str:
        """Our name for the peer; "" while a responder does not know it, and after the end."""
        return peer_name(self.state)

    def deadline(self) -> float | None:
        """When `timer` has something to do, None for never."""
        state = self.state
        times = [self.link.window.deadline]
        if isinstance(state, HalfOpen | Closing | Closed):
            times.append(state.until)
        if isinstance(state, AuthSent):
            times.append(state.close_by)
        if isinstance(state, Established) and not self.link.window.busy:
            times.append(self.heard_at + state.verified.peer.liveness)
        return min((at for at in times if at is not None), default=None)

    def heard(self, at: float) -> None:
        """ESP from the peer arrived at `at`: it lives (§2.4)."""
        self.heard_at = max(self.heard_at, at)

    # IKE_SA_INIT.

    def connect(self, peer: Peer, turn: Turn) -> None:
        """Begin as the initiator."""
        self._send_init(peer, init.begin(peer, turn.rng), turn)

    def _send_init(self, peer: Peer, offer: InitOffer, turn: Turn) -> None:
        request = init.build_request(peer, offer, self.link.own_spi, self.link.path)
        self.state = InitSent(peer, offer, request)
        self.link.send_plain(request, turn)

    def init_response(self, incoming: Incoming, turn: Turn) -> None:
        """A response to IKE_SA_INIT. Nothing protects it: what is malformed is ignored."""
        state = self.state
        if not isinstance(state, InitSent) or incoming.header.message_id != 0:
            turn.drop(IkeDrop.UNEXPECTED)
            return
        try:
            result = init.process_response(state, incoming, turn.rng)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            return
        except NegotiationFailedError as failed:
            self._fail(failed.outcome, turn)
            return
        if isinstance(result, init.Restart):
            self._send_init(state.peer, result.offer, turn)
            return
        self.link.window.answered()
        self.link.peer_spi = incoming.header.responder_spi
        self._send_auth(state.peer, result, turn)

    def answered_init(self, incoming: Incoming, response: bytes, secrets: Secrets) -> None:
        """Begin as the responder: IKE_SA_INIT has been answered, IKE_AUTH has to follow in time."""
        self.link.peer_spi = incoming.header.initiator_spi
        self.link.window.answering(incoming.data, response)
        self.state = HalfOpen(secrets, self.created_at + self._limits.half_open_seconds)

    def repeat_init(self, incoming: Incoming, turn: Turn) -> None:
        """The same IKE_SA_INIT once more: the same response (§2.1)."""
        if self.link.window.arrival(0, incoming.data) is Arrival.REPEATED:
            self.link.repeat(incoming, turn)
        else:
            turn.drop(IkeDrop.OUTSIDE_WINDOW)

    # IKE_AUTH.

    def _send_auth(self, peer: Peer, secrets: Secrets, turn: Turn) -> None:
        address = self.link.path.remote.ip
        in_tcp = secrets.encapsulation is Encapsulation.TCP
        nat = "" if in_tcp else secrets.nat.describe()
        turn.report(PeerAnswered(peer.name, str(address), secrets.suite.name, nat))
        if secrets.encapsulation is Encapsulation.UDP:
            self.link.float_to_natt_port()
        spi = self._new_spi()
        try:
            payloads = auth.build_request(
                peer, secrets, spi, self.link.path, initial_contact=self.initial_contact
            )
        except NegotiationFailedError as failed:
            self._fail(failed.outcome, turn)
            return
        self.state = AuthSent(peer, secrets, spi)
        self.link.request(secrets, ExchangeType.IKE_AUTH, payloads, turn)

    def _auth_response(self, state: AuthSent, payloads: tuple[Payload, ...], turn: Turn) -> None:
        # Where the response came from is not authentic: ESP goes where we connected to (§2.11).
        try:
            verified, result = auth.process_response(
                state.peer, state.secrets, payloads, state.inbound_spi, self.link.path
            )
        except NegotiationFailedError as failed:
            self._fail(failed.outcome, turn)
            if failed.notify is not None:
                # §2.21.2: the responder believes that all is well; it has to be told.
                self._say_goodbye(state.secrets, (failed.notify,), state.peer.name, turn)
            return
        turn.report(Authenticated(state.peer.name, verified.identity.text, verified.method))
        if isinstance(result, NegotiationFailedError):
            self._fail(result.outcome, turn)
            self._say_goodbye(state.secrets, informational.DELETE_IKE_SA, state.peer.name, turn)
            return
        self._establish(state.secrets, verified, result, turn)
        if state.close_by is not None:
            self.close(turn)

    def _answer_auth(
        self,
        incoming: Incoming,
        payloads: tuple[Payload, ...],
        secrets: Secrets,
        peers: Sequence[Peer],
        turn: Turn,
    ) -> None:
        self.link.path = incoming.path
        try:
            result = auth.answer(peers, secrets, payloads, self._new_spi(), incoming.path)
        except NegotiationFailedError as failed:
            refusal = (failed.notify,) if failed.notify else ()
            self.link.respond(incoming, secrets, refusal, turn)
            self._fail(failed.outcome, turn)
            return
        verified = result.verified
        turn.report(Authenticated(verified.peer.name, verified.identity.text, verified.method))
        self.initial_contact = result.initial_contact
        made = result.child if isinstance(result.child, ChildSa) else None
        # The inbound SA is installed before the message that lets the peer use it is sent.
        self._establish(secrets, verified, made, turn)
        self.link.respond(incoming, secrets, result.response, turn)
        if isinstance(result.child, NegotiationFailedError) and result.child.outcome:
            turn.report(result.child.outcome)

    def _establish(
        self, secrets: Secrets, verified: VerifiedPeer, made: ChildSa | None, turn: Turn
    ) -> None:
        self.state = Established(secrets, verified, made, turn.now)
        if made is None:
            return
        turn.install_sa(made)
        local, remote = child.selector_texts(made)
        turn.report(
            TunnelUp(
                verified.peer.name,
                self.role is Role.INITIATOR,
                secrets.suite.name,
                made.suite.name,
                made.encapsulation.value,
                local,
                remote,
                made.mode.value,
            )
        )

    # Protected messages.

    def protected(self, incoming: Incoming, peers: Sequence[Peer], turn: Turn) -> None:
        """A message with an SK payload, in any state."""
        header = incoming.header
        window = self.link.window
        arrival = window.arrival(header.message_id, incoming.data)
        if not header.response and arrival is Arrival.REPEATED:
            self.link.repeat(incoming, turn)
            return
        wanted = window.awaits(header.message_id) if header.response else arrival is Arrival.NEW
        if not wanted:
            turn.drop(IkeDrop.OUTSIDE_WINDOW)
            return
        secrets = self._secrets()
        sealed = incoming.message.encrypted
        if secrets is None or sealed is None:
            turn.drop(IkeDrop.UNEXPECTED)
            return
        try:
            payloads = secrets.protection.open_payloads(sealed)
            self.moved(incoming.path, turn)
            check_inner(header, payloads)
            if header.response:
                self._response(incoming, payloads, turn)
            else:
                self._answer(incoming, payloads, secrets, peers, turn)
        except BadIcvError:
            turn.drop(IkeDrop.BAD_ICV)
            turn.distrust(incoming.path)
            return
        except WireError as error:
            self._malformed(incoming, secrets, error, turn)
        self.heard_at = turn.now

    def _response(self, incoming: Incoming, payloads: tuple[Payload, ...], turn: Turn) -> None:
        state = self.state
        exchange = incoming.header.exchange
        if isinstance(state, AuthSent) and exchange == ExchangeType.IKE_AUTH:
            self.link.window.answered()
            self._auth_response(state, payloads, turn)
        elif isinstance(state, Closing) and exchange == ExchangeType.INFORMATIONAL:
            self._answered_while_closing(state, turn)
        elif isinstance(state, Established) and exchange == ExchangeType.INFORMATIONAL:
            self.link.window.answered()  # the answer to a liveness check says all by coming (§2.4)
            self._confirmed(state, turn)
        else:
            turn.drop(IkeDrop.UNEXPECTED)

    def _answer(
        self,
        incoming: Incoming,
        payloads: tuple[Payload, ...],
        secrets: Secrets,
        peers: Sequence[Peer],
        turn: Turn,
    ) -> None:
        """A new request that is genuine."""
        exchange = incoming.header.exchange
        state = self.state
        if isinstance(state, HalfOpen) and exchange == ExchangeType.IKE_AUTH:
            self._answer_auth(incoming, payloads, secrets, peers, turn)
        elif not isinstance(state, Established | Closing):
            turn.drop(IkeDrop.UNEXPECTED)
        elif exchange == ExchangeType.INFORMATIONAL:
            self._answer_informational(incoming, payloads, secrets, turn)
        elif exchange == ExchangeType.CREATE_CHILD_SA:
            # RFC 7296 §4 allows an implementation that does no more than one CHILD_SA.
            refusal = Notify(NotifyType.NO_ADDITIONAL_SAS)
            self.link.respond(incoming, secrets, (refusal,), turn)
        else:
            raise WireError(f"{exchange_name(exchange)} on an established IKE SA")

    def _answer_informational(
        self, incoming: Incoming, payloads: tuple[Payload, ...], secrets: Secrets, turn: Turn
    ) -> None:
        state = self.state
        made = state.child if isinstance(state, Established) else None
        told = informational.answer(payloads, made)
        self.link.respond(incoming, secrets, told.response, turn)
        if isinstance(state, Closing):
            if told.ike_sa_deleted or told.refusal is not None:  # both sides closed at once
                self._has_closed(state, turn, acknowledged=True)
        elif isinstance(state, Established):
            peer = state.verified.peer
            if told.ike_sa_deleted:
                self._fail(None if self.redundant else ClosedByPeer(peer.name), turn)
            elif told.refusal is not None:
                self._fail(auth.refusal(peer, told.refusal, self.link.path), turn)
            elif told.child_deleted:
                # An IKE SA without a CHILD_SA is of no use here: close it, and begin anew.
                self._end(ClosedByPeer(peer.name), turn)
                self._say_goodbye(secrets, informational.DELETE_IKE_SA, peer.name, turn)

    def _malformed(
        self, incoming: Incoming, secrets: Secrets, error: WireError, turn: Turn
    ) -> None:
        """A genuine message that breaks the rules: tell, and end the IKE SA (§2.21.2, §2.21.3).

        An unknown critical payload ends only an IKE SA that is not yet established (§2.5).
        """
        turn.drop(IkeDrop.MALFORMED)
        state, name = self.state, self.peer_name
        outcome = PeerMisbehaved(name, exchange_name(incoming.header.exchange), str(error))
        if not incoming.header.response:
            critical = isinstance(error, UnsupportedCriticalPayloadError)
            notify = (
                Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([error.payload_type]))
                if isinstance(error, UnsupportedCriticalPayloadError)
                else Notify(NotifyType.INVALID_SYNTAX)
            )
            self.link.respond(incoming, secrets, (notify,), turn)
            if not (isinstance(state, Closing) or (critical and isinstance(state, Established))):
                self._fail(outcome, turn)
        elif isinstance(state, Closing):
            self._answered_while_closing(state, turn)
        else:
            # §2.21: a response is not answered by an error, but a Delete clears both sides.
            self.link.window.answered()
            self._end(outcome, turn)
            self._say_goodbye(secrets, informational.DELETE_IKE_SA, name, turn)

    # Another TCP connection (RFC 9329 §6.1).

    def reconnected(self, path: Path, turn: Turn) -> None:
        """We opened a new connection for this IKE SA, because the one before was lost."""
        self.state = state = connections.move(self.link, self.state, path, turn)
        if isinstance(state, Established):
            # A request that the peer knows already, sent once more, does not make it follow.
            self._unconfirmed = 2 if self.link.window.busy else 1
            if self._unconfirmed == 1:
                self._ask_whether_it_lives(state, turn)

    def _confirmed(self, state: Established, turn: Turn) -> None:
        if self._unconfirmed == 1:
            turn.report(Reconnected(self.peer_name, str(self.link.path.remote.ip)))
        elif self._unconfirmed == 2:
            self._ask_whether_it_lives(state, turn)
        self._unconfirmed = max(0, self._unconfirmed - 1)

    def moved(self, path: Path, turn: Turn) -> None:
        """A genuine packet of the peer's, no repetition, came by this path."""
        self.state = connections.follow(self.link, self.state, path, turn)

    def _ask_whether_it_lives(self, state: Established, turn: Turn) -> None:
        """An empty INFORMATIONAL (§2.4); by coming it also shows the path that we use."""
        self.link.request(state.secrets, ExchangeType.INFORMATIONAL, informational.LIVENESS, turn)

    # Time.

    def timer(self, turn: Turn) -> None:
        """Do what is due at `turn.now`."""
        state = self.state
        deadline = self.link.window.deadline
        if isinstance(state, HalfOpen) and turn.now >= state.until:
            self.state = Closed(turn.now)
        elif isinstance(state, Closing) and turn.now >= state.until:
            self._has_closed(state, turn, acknowledged=False)
        elif isinstance(state, AuthSent) and _due(state.close_by, turn.now):
            turn.report(ClosedByUs(state.peer.name, acknowledged=False))
            self._closed(turn)
        elif _due(deadline, turn.now):
            self._retransmit(turn)
        elif (
            isinstance(state, Established)
            and deadline is None
            and turn.now >= self.heard_at + state.verified.peer.liveness
        ):
            self._ask_whether_it_lives(state, turn)  # nothing heard for a while

    def _retransmit(self, turn: Turn) -> None:
        window = self.link.window
        tries, seconds = window.sent, window.waited(turn.now)
        data = window.again(turn.now)
        if data is not None:
            turn.send(data, self.link.path)
            if tries == TCP_AFTER_TRIES and connections.may_try_tcp(self.link, self.state):
                turn.try_tcp(self.peer_name)
            return
        if isinstance(self.state, Closing):
            self._has_closed(self.state, turn, acknowledged=False)
            return
        self._fail(silence(self.link, self.state, self.peer_name, tries, seconds), turn)

    # The end.

    def close(self, turn: Turn, *, quiet: bool = False) -> None:
        """Orderly: tell the peer, and wait for its word as long as `Limits.close_seconds`."""
        state = self.state
        if isinstance(state, Established):
            self._remove_child(turn)
            self._say_goodbye(
                state.secrets, informational.DELETE_IKE_SA, self.peer_name, turn, quiet=quiet
            )
        elif isinstance(state, AuthSent):
            # The peer may be up by now, and our one request is in flight: wait for its answer.
            if state.close_by is None:
                self.state = replace(state, close_by=turn.now + self._limits.close_seconds)
        elif isinstance(state, InitSent | HalfOpen):
            self._closed(turn)

    def close_useless(self, turn: Turn) -> None:
        """It is a duplicate, or has no CHILD_SA, and the peer has not closed it in time."""
        state = self.state
        if isinstance(state, Established) and state.child is None:
            name = self.peer_name
            self._end(PeerMisbehaved(name, "IKE_AUTH", "it keeps an IKE SA without a tunnel"), turn)
            self._say_goodbye(state.secrets, informational.DELETE_IKE_SA, name, turn)
        elif isinstance(state, Established):
            self.close(turn, quiet=True)

    def drop(self, turn: Turn) -> None:
        """Forget this IKE SA without a word: the peer itself has forgotten it."""
        self._fail(None, turn)

    def _say_goodbye(
        self,
        secrets: Secrets,
        payloads: tuple[Payload, ...],
        name: str,
        turn: Turn,
        *,
        quiet: bool = True,
    ) -> None:
        # §2.3: with a liveness check in flight, the peer may take no other request before it.
        unsaid = payloads if self.link.window.busy else ()
        self.state = Closing(secrets, name, turn.now + self._limits.close_seconds, quiet, unsaid)
        if not unsaid:
            self.link.request(secrets, ExchangeType.INFORMATIONAL, payloads, turn)

    def _answered_while_closing(self, state: Closing, turn: Turn) -> None:
        self.link.window.answered()
        if state.unsaid:
            self.state = replace(state, unsaid=())
            self.link.request(state.secrets, ExchangeType.INFORMATIONAL, state.unsaid, turn)
        else:
            self._has_closed(state, turn, acknowledged=True)

    def _has_closed(self, state: Closing, turn: Turn, *, acknowledged: bool) -> None:
        if not state.quiet:
            turn.report(ClosedByUs(state.peer_name, acknowledged))
        self._closed(turn)

    def _fail(self, outcome: Failure | None, turn: Turn) -> None:
        self._end(outcome, turn)
        self._closed(turn)

    def _end(self, outcome: Failure | None, turn: Turn) -> None:
        self._remove_child(turn)
        if outcome is not None:
            turn.report(outcome)

    def _closed(self, turn: Turn) -> None:
        self.link.window.answered()
        self.state = Closed(turn.now + _LINGER_SECONDS)

    def _remove_child(self, turn: Turn) -> None:
        state = self.state
        if isinstance(state, Established) and state.child is not None:
            turn.remove_sa(state.child.inbound_spi)

    def _secrets(self) -> Secrets | None:
        state = self.state
        if isinstance(state, AuthSent | HalfOpen | Established | Closing):
            return state.secrets
        return None


def _due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
