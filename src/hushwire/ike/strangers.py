"""IKE_SA_INIT requests: nothing is kept, and no secret computed, before it is due.

A stranger gets one plain answer, never larger than its request.
"""

from __future__ import annotations

from collections.abc import Mapping

from hushwire.crypto.exchange import Rng
from hushwire.ike import opening
from hushwire.ike.cookies import CookieJar
from hushwire.ike.credentials import certificates_wanted
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import IkeDrop, Incoming, Peer, Turn
from hushwire.ike.sessions import Sessions
from hushwire.ike.states import Closed, Role
from hushwire.ike.tasks import init
from hushwire.sa.association import Carrier, Encap, Path
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.message import build_plain, every, first
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType


class Strangers:
    """Receives whoever knocks. `peers` are those that are configured, by name, as they are now."""

    def __init__(self, sessions: Sessions, peers: Mapping[str, Peer], rng: Rng, now: float) -> None:
        self._sessions = sessions
        self._limits = sessions.limits
        self._peers = peers
        self._rng = rng
        self._cookies = CookieJar(rng, now)
        self.admitted = True

    def knock(self, incoming: Incoming, turn: Turn) -> None:
        """An IKE_SA_INIT request."""
        header, path = incoming.header, incoming.path
        if header.initiator_spi in self._sessions:
            # Our own request, reflected: with a shared secret we would be our own peer.
            turn.drop(IkeDrop.UNEXPECTED)
            return
        known = self._sessions.half_open.get((header.initiator_spi, path.remote))
        if known is not None:
            opening.repeat_init(known, incoming, turn)
            return
        allowed = self._allowed(path)
        # Silent where the carrier is not allowed: an initiator that got no answer tries the other.
        if not self.admitted or not allowed.carries(path.carrier) or self._taken(path):
            turn.drop(IkeDrop.REFUSED)
            return
        waiting = len(self._sessions.waiting())
        # RFC 9329 §6.3: a TCP connection has shown the address already.
        in_udp = path.carrier is Carrier.UDP
        if in_udp and waiting >= self._limits.cookies_from and not self._paid(incoming, turn):
            return
        if waiting >= self._limits.half_open:
            turn.drop(IkeDrop.TOO_MANY_HALF_OPEN)
            return
        own_spi = self._sessions.free_ike_spi()
        try:
            response, secrets = init.answer(allowed, incoming, own_spi, self._rng)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            return
        except NegotiationFailedError as failed:
            turn.drop(IkeDrop.REFUSED)
            if failed.notify is not None:
                _tell(header, failed.notify, incoming.data, path, turn)
            if failed.outcome is not None:
                turn.report(failed.outcome)
            return
        session = self._sessions.new(Role.RESPONDER, path, turn.now, own_spi)
        self._sessions.half_open[header.initiator_spi, path.remote] = session
        opening.answered_init(session, incoming, response, secrets)
        turn.send(response, path)

    def lost(self, path: Path, now: float) -> None:
        """A TCP connection of a peer's is gone. Under load, nobody is expected on another one."""
        waiting = self._sessions.waiting()
        if len(waiting) >= self._limits.cookies_from:
            for session in waiting:
                if session.link.path == path:
                    session.state = Closed(now)

    def _paid(self, incoming: Incoming, turn: Turn) -> bool:
        """Under load a stranger first shows, by a cookie, that it receives where it says."""
        message, path = incoming.message, incoming.path
        nonce = first(message.payloads, Nonce)
        data = nonce.data if nonce else b""
        spi_i = message.header.initiator_spi
        cookies = [n.data for n in every(message.payloads, Notify) if n.type == NotifyType.COOKIE]
        if cookies and self._cookies.good(cookies[0], data, path.remote, spi_i, turn.now):
            return True
        cookie = self._cookies.bake(data, path.remote, spi_i, turn.now)
        turn.drop(IkeDrop.COOKIE_REQUIRED)
        turn.send(
            build_plain(_answer_to(message.header), (Notify(NotifyType.COOKIE, cookie),)),
            path,
        )
        return False

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
        )

    def _taken(self, path: Path) -> bool:
        """Does a TCP connection have its IKE SA already? It is for one only (RFC 9329 §6.1)."""
        return path.carrier is Carrier.TCP and any(
            session.link.path == path and not isinstance(session.state, Closed)
            for session in self._sessions
        )


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
