"""Message IDs, retransmission and the cached response: a window of 1 (RFC 7296 §2.1 to §2.3)."""

from __future__ import annotations

import hashlib
from enum import Enum, auto

from hushwire.ike.inputs import Patience
from hushwire.records import dataclass


class Arrival(Enum):
    """What a peer's request is to us."""

    NEW = auto()
    REPEATED = auto()
    RESEALED = auto()  # the ID of the last one in other octets: cut smaller (RFC 7383 §2.6.1)?
    OUTSIDE = auto()


@dataclass(slots=True)
class _Outstanding:
    datagrams: tuple[bytes, ...]
    message_id: int
    first_sent: float
    sent: int
    due: float
    sent_before: int = 0  # in larger fragments


class Window:
    """The two directions of one IKE SA: our one request in flight, and the peer's last one.

    Each side counts its own requests from 0, whoever began the IKE SA; the first request of the
    initiator is its IKE_SA_INIT, so the responder's first request has ID 0 too.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._next_id = 0
        self._outstanding: _Outstanding | None = None
        self._expected_id = 0
        self._answered: tuple[bytes, tuple[bytes, ...]] | None = None

    # Our requests.

    @property
    def next_id(self) -> int:
        """The message ID that the next request of ours must carry."""
        return self._next_id

    @property
    def busy(self) -> bool:
        """A request is in flight: no other may be sent (window of 1)."""
        return self._outstanding is not None

    @property
    def deadline(self) -> float | None:
        """When the request in flight is to be sent again or given up."""
        return self._outstanding.due if self._outstanding else None

    @property
    def sent(self) -> int:
        """How often the request in flight has been sent."""
        request = self._outstanding
        return request.sent_before + request.sent if request else 0

    def sending(self, datagrams: tuple[bytes, ...], now: float) -> None:
        """A request with `next_id` is being sent for the first time; more than one: fragments."""
        due = now + self._patience.wait(1)
        self._outstanding = _Outstanding(datagrams, self._next_id, now, 1, due)
        self._next_id += 1

    def resealed(self, datagrams: tuple[bytes, ...], now: float) -> None:
        """The request in flight is sent in another form: its times begin again (RFC 7383 §2.5.2)"""
        request = self._outstanding
        if request is not None:
            request.datagrams = datagrams
            request.sent_before += request.sent
            request.sent = 1
            request.due = now + self._patience.wait(1)

    def restart(self) -> None:
        """IKE_SA_INIT begins again, with a cookie or another group: still message ID 0 (§2.6)."""
        self._outstanding = None
        self._next_id = 0

    def awaits(self, message_id: int) -> bool:
        """Is this the ID of the request in flight?"""
        return self._outstanding is not None and self._outstanding.message_id == message_id

    def answered(self) -> None:
        """The response to the request in flight has come and is genuine."""
        self._outstanding = None

    def again(self, now: float) -> tuple[bytes, ...]:
        """The request to send once more, at its deadline; nothing when it is time to give up."""
        request = self._outstanding
        if request is None or request.sent >= self._patience.tries:
            return ()
        request.sent += 1
        request.due = now + self._patience.wait(request.sent)
        return request.datagrams

    @property
    def in_flight(self) -> tuple[bytes, ...]:
        """The request in flight, octet for octet; nothing when none is."""
        return self._outstanding.datagrams if self._outstanding else ()

    def waited(self, now: float) -> float:
        """Seconds since the request in flight was first sent."""
        return now - self._outstanding.first_sent if self._outstanding else 0.0

    # The peer's requests.

    def arrival(self, message_id: int, data: bytes) -> Arrival:
        """Classify a request. A repeated one is the same octets as before (§2.1)."""
        if message_id == self._expected_id:
            return Arrival.NEW
        if message_id != self._expected_id - 1 or self._answered is None:
            return Arrival.OUTSIDE
        same = self._answered[0] == hashlib.sha256(data).digest()
        return Arrival.REPEATED if same else Arrival.RESEALED

    @property
    def cached_response(self) -> tuple[bytes, ...]:
        """The response to the last request, octet for octet."""
        return self._answered[1] if self._answered else ()

    def answering(self, request: bytes, response: tuple[bytes, ...]) -> None:
        """The expected request has been answered: keep the response for its retransmissions.

        Of a request in fragments `request` is the first one (RFC 7383 §2.6.1).
        """
        self._answered = (hashlib.sha256(request).digest(), response)
        self._expected_id += 1

    def answered_anew(self, response: tuple[bytes, ...]) -> None:
        """The last response is to be repeated in this form from now on."""
        if self._answered is not None:
            self._answered = (self._answered[0], response)
