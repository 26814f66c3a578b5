"""The wire side of one IKE SA: its SPIs, its path, its window, and messages built for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from hushwire.ike.fragments import Bound, Fit, Opened, Reassembly, plain
from hushwire.ike.inputs import IkeDrop, Incoming, Patience, Turn
from hushwire.ike.rates import Bucket
from hushwire.ike.states import Role, Secrets
from hushwire.ike.window import Window
from hushwire.records import dataclass
from hushwire.sa.association import Carrier, Path
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.encrypted import Encrypted
from hushwire.wire.registry import ExchangeType

NATT_PORT = 4500

FIRST_DATAGRAM_OCTETS = 1280
SMALLER_DATAGRAM_OCTETS = 576
"""An IP datagram with a fragment, and one in IPv4 when that is not answered (RFC 7383 §2.5.1)."""
LEAST_DATAGRAM_OCTETS = {4: 256, 6: 1280}
"""However small a peer cuts its fragments, ours are not smaller."""
TRIES_BEFORE_SMALLER = 2

_REPEAT_RATE, _REPEAT_BURST = 5.0, 10.0
"""The last response is repeated so often a second: more than any honest peer asks for."""

_HEADERS_OCTETS = {4: 20 + 8, 6: 40 + 8}
_MARKER_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """A genuine request of the peer's, opened; `plain` as RFC 9242 §3.3.2 authenticates it."""

    incoming: Incoming
    payloads: tuple[Payload, ...]
    secrets: Secrets
    plain: bytes = b""


@dataclass(frozen=True, slots=True)
class _Draft:
    """What was sent last, to be sealed once more in another form."""

    secrets: Secrets
    header: Header
    payloads: tuple[Payload, ...]


class Link:
    """Sends protected messages of one IKE SA. Knows nothing of what they mean.

    `datagram_octets`: the largest IP datagram that a fragment of ours comes in.
    """

    def __init__(
        self,
        role: Role,
        own_spi: bytes,
        path: Path,
        patience: Patience,
        *,
        opener: bool | None = None,
    ) -> None:
        """`opener`: we began the first IKE SA, of which this one may be a rekeyed one."""
        self.role = role
        self.opener = role is Role.INITIATOR if opener is None else opener
        self.own_spi = own_spi
        self.peer_spi = bytes(8)
        self.path = path
        self.window = Window(patience)
        self.datagram_octets = FIRST_DATAGRAM_OCTETS
        self._patience = patience
        self._asked: _Draft | None = None
        self._told: _Draft | None = None
        self._gathering = (Reassembly(), Reassembly())  # of requests, of responses
        # To wherever else, to where the peer is.
        self._repeats = tuple(Bucket(_REPEAT_RATE, _REPEAT_BURST, -math.inf) for _ in range(2))

    @property
    def initiator_spi(self) -> bytes:
        return self.own_spi if self.role is Role.INITIATOR else self.peer_spi

    @property
    def responder_spi(self) -> bytes:
        return self.peer_spi if self.role is Role.INITIATOR else self.own_spi

    @property
    def spis(self) -> tuple[bytes, bytes]:
        """SPIi and SPIr."""
        return self.initiator_spi, self.responder_spi

    def float_to_natt_port(self) -> None:
        """§2.23: behind a NAT, once IKE_SA_INIT is over, and for ESP, both ends use port 4500."""
        local, remote, carrier = self.path
        self.path = Path(local._replace(port=NATT_PORT), remote._replace(port=NATT_PORT), carrier)

    # Out.

    def send_plain(self, request: bytes, turn: Turn) -> None:
        """IKE_SA_INIT, the first time or once more with a cookie or another group."""
        self.window.restart()
        self.window.sending((request,), turn.now)
        turn.send(request, self.path)

    def request(
        self,
        secrets: Secrets,
        exchange: ExchangeType,
        payloads: tuple[Payload, ...],
        turn: Turn,
    ) -> bytes:
        """Seal and send a request of ours; the window must be free. Returns it as `plain`."""
        header = self._header(exchange, self.window.next_id, response=False)
        turn.trace.sealing(header, payloads)
        self._asked = draft = _Draft(secrets, header, payloads)
        datagrams = self._sealed(draft, self.path)
        self.window.sending(datagrams, turn.now)
        _send(datagrams, self.path, turn)
        return plain(header, payloads)

    def retransmit(self, turn: Turn) -> bool:
        """The request in flight once more, at its deadline; False: it is time to give up."""
        datagrams = self._smaller(turn) or self.window.again(turn.now)
        _send(datagrams, self.path, turn)
        return bool(datagrams)

    def resend(self, turn: Turn) -> None:
        """The request in flight, if one is, on the path that is new."""
        self.datagram_octets = FIRST_DATAGRAM_OCTETS
        datagrams = self.window.in_flight
        if len(datagrams) > 1 and self._asked is not None and _is_tcp(self.path):
            # RFC 9329 §7.5: no fragments in TCP.
            datagrams = self._sealed(self._asked, self.path)
            self.window.resealed(datagrams, turn.now)
        _send(datagrams, self.path, turn)

    def respond(self, request: Request, payloads: tuple[Payload, ...], turn: Turn) -> bytes:
        """Seal and send the response, back to where the request came from (§2.11).

        Returns it as `plain`.
        """
        to = request.incoming
        header = self._header(to.header.exchange, to.header.message_id, response=True)
        turn.trace.sealing(header, payloads)
        self._told = draft = _Draft(request.secrets, header, payloads)
        datagrams = self._sealed(draft, to.path)
        self.window.answering(to.data, datagrams)
        _send(datagrams, to.path, turn)
        return plain(header, payloads)

    def repeat(self, to: Incoming, turn: Turn) -> None:
        """The cached response once more, octet for octet (§2.1) if it still fits the path.

        Anybody who has heard a request can send it again, in anybody's name. Where the peer is, it
        gets the response whoever asked, so nobody else can use up what is for the peer.
        """
        if not self._repeats[to.path == self.path].take(turn.now):
            turn.drop(IkeDrop.REPEATED_TOO_OFTEN)
            return
        datagrams = self.window.cached_response
        if self._told is not None and self._told.secrets.fragmentation:
            most = self._most_octets(to.path)
            too_large = not _is_tcp(to.path) and max(map(len, datagrams)) > most
            if too_large or (_is_tcp(to.path) and len(datagrams) > 1):
                datagrams = self._sealed(self._told, to.path)
                self.window.answered_anew(datagrams)
        _send(datagrams, to.path, turn)

    def repeat_resealed(self, to: Incoming, turn: Turn) -> None:
        """The response again, if `to` is the last request in another form (RFC 7383 §2.6.1).

        Raises `BadIcvError` when it is not genuine, and `WireError` when it is and is malformed.
        """
        sealed, told = to.message.encrypted, self._told
        if sealed is None or told is None or (sealed.part is not None and sealed.part.number > 1):
            turn.drop(IkeDrop.OUTSIDE_WINDOW)
            return
        told.secrets.protection.open(sealed)
        self._follow_size(sealed, to)
        self.repeat(to, turn)

    def _smaller(self, turn: Turn) -> tuple[bytes, ...]:
        """A large request that is not answered, cut smaller (RFC 7383 §2.5.2)."""
        if (
            self._asked is None
            or not self._asked.secrets.fragmentation
            or self.window.sent < TRIES_BEFORE_SMALLER
            or self.path.remote.ip.version != 4
            or _is_tcp(self.path)
            or self.datagram_octets <= SMALLER_DATAGRAM_OCTETS
        ):
            return ()
        before, self.datagram_octets = self.datagram_octets, SMALLER_DATAGRAM_OCTETS
        if max(map(len, self.window.in_flight)) <= self._most_octets(self.path):
            self.datagram_octets = before  # its size is not what keeps it from arriving
            return ()
        datagrams = self._sealed(self._asked, self.path)
        self.window.resealed(datagrams, turn.now)
        return datagrams

    def _sealed(self, draft: _Draft, path: Path) -> tuple[bytes, ...]:
        protection = draft.secrets.protection
        if _is_tcp(path) or not draft.secrets.fragmentation:
            return (protection.seal(draft.header, draft.payloads),)
        return protection.seal_fragments(draft.header, draft.payloads, self._most_octets(path))

    def _most_octets(self, path: Path) -> int:
        """Of an IKE message in a datagram that the path takes."""
        return self.datagram_octets - _around(path)

    def _header(self, exchange: int, message_id: int, *, response: bool) -> Header:
        return Header(
            self.initiator_spi,
            self.responder_spi,
            exchange,
            message_id,
            initiator=self.role is Role.INITIATOR,
            response=response,
        )

    # In.

    def open(
        self,
        incoming: Incoming,
        secrets: Secrets,
        most_octets: int,
        turn: Turn,
        *,
        room: Callable[[], bool] = lambda: True,
    ) -> Opened | None:
        """What a wanted message says; None when it is a fragment, and others are to come.

        `most_octets`: of fragments; `room` says whether another may be kept, and costs more than to
        open one. Raises `BadIcvError` when it is not genuine, and `WireError` when it is and is
        malformed.
        """
        sealed, header = incoming.message.encrypted, incoming.header
        if sealed is None or (sealed.part is not None and not secrets.fragmentation):
            turn.drop(IkeDrop.UNEXPECTED)
            return None
        gathering = self._gathering[header.response]
        if sealed.part is None:
            chain = secrets.protection.open(sealed)
            gathering.clear()
            return Opened(header, sealed.reserved, sealed.first_payload, chain, incoming.data)
        fit = gathering.fit(header.message_id, sealed.part)
        if fit is not Fit.NEW:
            repeated = fit is Fit.REPEATED
            turn.drop(IkeDrop.FRAGMENT_REPEATED if repeated else IkeDrop.TOO_MANY_FRAGMENTS)
            return None
        chunk = secrets.protection.open(sealed)
        if not room():
            turn.drop(IkeDrop.TOO_MANY_FRAGMENTS)
            return None
        if sealed.part.number == 1 and not header.response:
            self._follow_size(sealed, incoming)
        until = turn.now + self._patience.total
        return gathering.add(incoming, sealed, chunk, Bound(most_octets, until))

    def _follow_size(self, sealed: Encrypted, incoming: Incoming) -> None:
        """Our fragments need not be larger than the peer's: it may know why (RFC 7383 §2.5.1)."""
        if sealed.part is not None and sealed.part.total > 1:
            version = incoming.path.remote.ip.version
            theirs = len(incoming.data) + _around(incoming.path)
            theirs = max(theirs, LEAST_DATAGRAM_OCTETS[version])
            self.datagram_octets = min(self.datagram_octets, theirs)

    @property
    def gathered_octets(self) -> int:
        """Of fragments whose messages are not complete."""
        return sum(gathering.octets for gathering in self._gathering)

    @property
    def gathers_until(self) -> float:
        """When fragments have waited long enough for the others."""
        return min(gathering.until for gathering in self._gathering)

    def forget_fragments(self, now: float) -> None:
        """Those that have waited long enough (RFC 7383 §2.6)."""
        for gathering in self._gathering:
            if gathering.until <= now:
                gathering.clear()


def _send(datagrams: tuple[bytes, ...], path: Path, turn: Turn) -> None:
    for data in datagrams:
        turn.send(data, path)


def _is_tcp(path: Path) -> bool:
    return path.carrier is Carrier.TCP


def _around(path: Path) -> int:
    """Octets of a datagram before its IKE message."""
    marker = _MARKER_OCTETS if path.local.port == NATT_PORT else 0
    return _HEADERS_OCTETS[path.remote.ip.version] + marker
