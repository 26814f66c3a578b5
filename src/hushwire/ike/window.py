"""Message IDs, retransmission and the cached response: a window of 1 (RFC 7296 §2.1 to §2.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, auto

from hushwire.ike.inputs import Patience


class Arrival(Enum):
    """What a peer's request is to us."""

    NEW = auto()
    REPEATED = auto()
    OUTSIDE = auto()


@dataclass(slots=True)
class _Outstanding:
    data: bytes
    message_id: int
    first_sent: float
    sent: int
    due: float


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
        self._answered: tuple[bytes, bytes] | None = None

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
        return self._outstanding.sent if self._outstanding else 0

    def sending(self, data: bytes, now: float) -> None:
        """A request with `next_id` is being sent for the first time."""
        self._outstanding = _Outstanding(data, self._next_id, now, 1, now + self._patience.wait(1))
        self._next_id += 1

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

    def again(self, now: float) -> bytes | None:
        """The request to send once more, at its deadline; None when it is time to give up."""
        request = self._outstanding
        if request is None or request.sent >= self._patience.tries:
            return None
        request.sent += 1
        request.due = now + self._patience.wait(request.sent)
        return request.data

    @property
    def in_flight(self) -> bytes | None:
        """The request in flight, octet for octet."""
        return self._outstanding.data if self._outstanding else None

    def waited(self, now: float) -> float:
        """Seconds since the request in flight was first sent."""
        return now - self._outstanding.first_sent if self._outstanding else 0.0

    # The peer's requests.

    def arrival(self, message_id: int, data: bytes) -> Arrival:
        """Classify a request. A repeated one is the same octets as before (§2.1)."""
        if message_id == self._expected_id:
            return Arrival.NEW
        if (
            message_id == self._expected_id - 1
            and self._answered is not None
            and self._answered[0] == hashlib.sha256(data).digest()
        ):
            return Arrival.REPEATED
        return Arrival.OUTSIDE

    @property
    def cached_response(self) -> bytes:
        """The response to the last request, octet for octet."""
        return self._answered[1] if self._answered else b""

    def answering(self, request: bytes, response: bytes) -> None:
        """The expected request has been answered: keep the response for its retransmissions."""
        self._answered = (hashlib.sha256(request).digest(), response)
        self._expected_id += 1
