"""IKE_SA_INIT requests: nothing is kept, and no secret computed, before it is due.

A stranger gets one plain answer, never larger than its request.
"""

from __future__ import annotations

from collections.abc import Mapping

from hushwire.crypto.exchange import Rng
from hushwire.ike import opening
from hushwire.ike.cookies import CookieJar
from hushwire.ike.credentials import certificates_wanted
from hushwire.ike.crowd import source_of
from hushwire.ike.effects import Send
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.hints import may_be_hint
from hushwire.ike.inputs import IkeDrop, Incoming, Peer, Turn
from hushwire.ike.rates import Bucket, Buckets
from hushwire.ike.sessions import Sessions
from hushwire.ike.states import Closed, Role
from hushwire.ike.tasks import init
from hushwire.sa.association import Carrier, Encap, Path
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.knock import build_demand, glance, parse_knock
from hushwire.wire.ike.message import build_plain, every, first
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType

_MOST_SOURCES = 4096
_HONEST_SECONDS = 2.0


class Strangers:
    """Receives whoever knocks. `peers` are those that are configured, by name, as they are now.

    As long as few are half-open and few knock, an IKE_SA_INIT is answered at once. Beyond that a
    stranger first shows by a cookie that it is where it says, and only such strangers can use up
    anything: what each source may cost is limited then, and what all may cost.
    """

    def __init__(self, sessions: Sessions, peers: Mapping[str, Peer], rng: Rng, now: float) -> None:
        limits = sessions.limits
        self._sessions = sessions
        self._limits = limits
        self._peers = peers
        self._rng = rng
        self._cookies = CookieJar(rng, now)
        self._unpaid = Bucket(limits.unpaid_rate, limits.cookies_from, now)
        self._paid = Bucket(limits.init_rate, limits.init_rate, now)
        self._by_source = Buckets(
            limits.init_rate_per_source, 2 * limits.init_rate_per_source, _MOST_SOURCES
        )
        self.admitted = True

    def turned_away(self, data: bytes, path: Path, turn: Turn) -> bool:
        """Has all been done about a message that octets alone show to be of no use?

        For one that belongs to no IKE SA, and for one that has no cookie and needs one.
        """
        seen = glance(data) if path.carrier is Carrier.UDP else None
        if seen is None:
            return False
        if not seen.asks:
            known = seen.own_spi in self._sessions or may_be_hint(data)
            return not known and _count(IkeDrop.UNKNOWN_SPI, turn)
        if self._free_place(turn.now) or not self.admitted:
            return False
        spi_i = seen.initiator_spi
        if spi_i in self._sessions or (spi_i, path.remote) in self._sessions.half_open:
            return False
        try:
            nonce, cookie = parse_knock(data)
        except WireError:
            return _count(IkeDrop.MALFORMED, turn)
        if cookie and self._cookies.good(cookie, nonce, path.remote, spi_i, turn.now):
            return False
        if not self._any_in_udp():
            return _count(IkeDrop.REFUSED, turn)
        answer = build_demand(spi_i, self._cookies.bake(nonce, path.remote, spi_i, turn.now))
        if len(answer) <= len(data):
            turn.effects.append(Send(answer, path))
        return _count(IkeDrop.COOKIE_REQUIRED, turn)

    def knock(self, incoming: Incoming, turn: Turn) -> bool:
        """An IKE_SA_INIT request: has it got a place?"""
        header, path = incoming.header, incoming.path
        if header.initiator_spi in self._sessions:
            # Our own request, reflected: with a shared secret we would be our own peer.
            turn.drop(IkeDrop.UNEXPECTED)
            return False
        known = self._sessions.half_open.get((header.initiator_spi, path.remote))
        if known is not None:
            opening.repeat_init(known, incoming, turn)
            return False
        allowed = self._allowed(path)
        # Silent where the carrier is not allowed: an initiator that got no answer tries the other.
        if not self.admitted or not allowed.carries(path.carrier) or self._taken(path):
            turn.drop(IkeDrop.REFUSED)
            return False
        # RFC 9329 §6.3: a TCP connection has shown the address already.
        paid = path.carrier is Carrier.TCP or self._has_paid(incoming, turn.now)
        if not paid and not (self._free_place(turn.now) and self._unpaid.take(turn.now)):
            self._demand(incoming, turn)
            return False
        source = source_of(path.remote.ip) if paid else b""
        refusal = self._full(source, turn)
        if refusal is not None:
            turn.drop(refusal)
            return False
        own_spi = self._sessions.free_ike_spi()
        try:
            response, secrets = init.answer(allowed, incoming, own_spi, self._rng)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            return False
        except NegotiationFailedError as failed:
            turn.drop(IkeDrop.REFUSED)
            if failed.notify is not None:
                _tell(header, failed.notify, incoming.data, path, turn)
            if failed.outcome is not None and self._sessions.news.take(turn.now):
                turn.report(failed.outcome)
            return False
        if not paid and len(response) > len(incoming.data):
            self._demand(incoming, turn)  # nobody shall be made to send much to somebody else
            return False
        session = self._sessions.new(Role.RESPONDER, path, turn.now, own_spi)
        self._sessions.half_open[header.initiator_spi, path.remote] = session
        opening.answered_init(session, incoming, response, secrets)
        self._sessions.crowd.enter(session, source)
        turn.send(response, path)
        return True

    def lost(self, path: Path, now: float) -> None:
        """A TCP connection of a peer's is gone. Under load, nobody is expected on another one."""
        crowd = self._sessions.crowd
        if len(crowd) >= self._limits.cookies_from:
            for session in crowd.all():
                if session.link.path == path:
                    session.state = Closed(now)

    def _free_place(self, now: float) -> bool:
        """May somebody who has shown nothing have a key exchange and a place?"""
        few = len(self._sessions.crowd) < self._limits.cookies_from
        return few and self._unpaid.ready(now)

    def _has_paid(self, incoming: Incoming, now: float) -> bool:
        message, remote = incoming.message, incoming.path.remote
        cookies = [n.data for n in every(message.payloads, Notify) if n.type == NotifyType.COOKIE]
        spi_i, nonce = message.header.initiator_spi, _nonce(incoming)
        return bool(cookies) and self._cookies.good(cookies[0], nonce, remote, spi_i, now)

    def _demand(self, incoming: Incoming, turn: Turn) -> None:
        """Show first, by a cookie, that you receive where you say."""
        spi_i, path = incoming.header.initiator_spi, incoming.path
        cookie = self._cookies.bake(_nonce(incoming), path.remote, spi_i, turn.now)
        turn.drop(IkeDrop.COOKIE_REQUIRED)
        answer = build_demand(spi_i, cookie)
        if len(answer) <= len(incoming.data):
            turn.send(answer, path)

    def _full(self, source: bytes, turn: Turn) -> IkeDrop | None:
        """Why there is no place; `source` is empty where it is not proved."""
        crowd, limits, now = self._sessions.crowd, self._limits, turn.now
        if source and crowd.of(source) >= limits.half_open_per_source:
            return IkeDrop.TOO_MANY_OF_SOURCE
        if source and not self._by_source.take(source, now):
            return IkeDrop.TOO_FAST_OF_SOURCE
        if source and not self._paid.take(now):
            return IkeDrop.TOO_FAST
        oldest = crowd.oldest()
        if oldest is None or len(crowd) < limits.half_open:
            return None
        if now - oldest.created_at < _HONEST_SECONDS:
            return IkeDrop.TOO_MANY_HALF_OPEN
        # Whoever is honest has gone on by now.
        oldest.state = Closed(now)
        turn.drop(IkeDrop.GAVE_WAY)
        return None

    def _any_in_udp(self) -> bool:
        return any(peer.encap is not Encap.TCP for peer in self._peers.values())

    def _allowed(self, path: Path) -> init.Allowed:
        """Who could be at this address: those configured there, else those without an address."""
        everybody = tuple(self._peers.values())
        there = [peer for peer in everybody if peer.address == path.remote.ip]
        anywhere = [peer for peer in everybody if peer.address is None]
        candidates = there or anywhere or list(everybody)
        wanted = {peer.encap for peer in candidates}
        return init.Allowed(
            candidates[0].name if len(candidates) == 1 else "",
            tuple(dict.fromkeys(p for peer in candidates for p in peer.ike_proposals)),
            wanted.pop() if len(wanted) == 1 else Encap.AUTO,
            certificates_wanted(peer.credential for peer in candidates),
            any(peer.ppk is not None for peer in candidates),
        )

    def _taken(self, path: Path) -> bool:
        """Does a TCP connection have its IKE SA already? It is for one only (RFC 9329 §6.1)."""
        return path.carrier is Carrier.TCP and any(
            session.link.path == path and not isinstance(session.state, Closed)
            for session in self._sessions
        )


def _nonce(incoming: Incoming) -> bytes:
    nonce = first(incoming.message.payloads, Nonce)
    return nonce.data if nonce else b""


def _count(why: IkeDrop, turn: Turn) -> bool:
    """Counted only: nothing is kept of it, not even in the trace."""
    turn.drops[why] += 1
    return True


def refuse_version(data: bytes, path: Path, turn: Turn) -> None:
    """§2.5: tell the version that we do speak."""
    turn.drop(IkeDrop.OTHER_VERSION)
    # Octets 19 and 20 to 24 are flags and message ID.
    if len(data) < HEADER_OCTETS or data[19] & 0x20:
        return
    request = Header(
        data[:8], data[8:16], data[18], int.from_bytes(data[20:24], "big"),
        initiator=True, response=False,
    )  # fmt: skip
    _tell(request, Notify(NotifyType.INVALID_MAJOR_VERSION), data, path, turn)


def refuse_critical(
    data: bytes, path: Path, error: UnsupportedCriticalPayloadError, turn: Turn
) -> None:
    """A protected message is parsed by its session: this one is a plain IKE_SA_INIT."""
    turn.drop(IkeDrop.MALFORMED)
    try:
        header = Header.parse(data)
    except WireError:
        return
    if header.exchange == ExchangeType.IKE_SA_INIT and not header.response:
        notify = Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([error.payload_type]))
        _tell(header, notify, data, path, turn)


def _tell(request: Header, notify: Notify, data: bytes, path: Path, turn: Turn) -> None:
    response = build_plain(_answer_to(request), (notify,))
    if len(response) <= len(data):
        turn.send(response, path)


def _answer_to(request: Header) -> Header:
    return Header(
        request.initiator_spi,
        request.responder_spi,
        request.exchange,
        request.message_id,
        initiator=False,
        response=True,
    )
