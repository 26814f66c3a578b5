"""Fragments of IKE messages, received: put together again within bounds (RFC 7383 §2.6).

A fragment is kept only when it is genuine, and of one message at a time: with a window of 1 there
is no other that is wanted.
"""

from __future__ import annotations

import math
from enum import Enum, auto

from hushwire.ike.inputs import Incoming
from hushwire.ike.protection import MOST_FRAGMENTS
from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_chain, build_sk_head, parse_chain
from hushwire.wire.ike.payloads.encrypted import Encrypted, Part


@dataclass(frozen=True, slots=True)
class Opened:
    """What was inside of SK, or of all fragments. `data` is the message, or its first fragment."""

    header: Header
    reserved: int
    first_payload: int
    chain: bytes
    data: bytes

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """Raises `UnsupportedCriticalPayloadError` and other `WireError`s."""
        return parse_chain(self.first_payload, self.chain)

    @property
    def plain(self) -> bytes:
        """The message as IKE_INTERMEDIATE authenticates it: A | P (RFC 9242 §3.3.2).

        As if it had come whole, and with lengths that count no IV, padding or ICV.
        """
        octets = len(self.chain)
        head = build_sk_head(self.header, self.first_payload, octets, reserved=self.reserved)
        return head + self.chain


def plain(header: Header, payloads: tuple[Payload, ...]) -> bytes:
    """The same of a message of ours."""
    first, chain = build_chain(payloads)
    return build_sk_head(header, first, len(chain)) + chain


@dataclass(frozen=True, slots=True)
class Bound:
    """What one message may come to: octets of all its fragments, opened; and until when."""

    octets: int
    until: float


class Fit(Enum):
    """How a fragment goes with those that are there."""

    NEW = auto()
    REPEATED = auto()
    TOO_MANY = auto()


class Reassembly:
    """The fragments of one message, requests or responses of one IKE SA."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what is there."""
        self._message_id = -1
        self._total = 0
        self._chunks: dict[int, bytes] = {}
        self._first: tuple[Incoming, Encrypted] | None = None
        self.octets = 0
        self.until = math.inf

    def fit(self, message_id: int, part: Part) -> Fit:
        """To be asked before anything is computed."""
        if part.total > MOST_FRAGMENTS:
            return Fit.TOO_MANY
        same = message_id == self._message_id
        # Those of a smaller total are older: whoever sends makes them ever smaller (§2.5.2).
        older = same and part.total < self._total
        there = same and part.total == self._total and part.number in self._chunks
        return Fit.REPEATED if older or there else Fit.NEW

    def add(
        self, incoming: Incoming, sealed: Encrypted, chunk: bytes, bound: Bound
    ) -> Opened | None:
        """A genuine fragment, and new; the message when it was the last one.

        Raises `WireError` when they are more than the bound.
        """
        part, message_id = sealed.part, incoming.header.message_id
        if part is None:
            raise TypeError("not a fragment")
        if (message_id, part.total) != (self._message_id, self._total):
            self.clear()
            self._message_id, self._total, self.until = message_id, part.total, bound.until
        self.octets += len(chunk)
        if self.octets > bound.octets:
            self.clear()
            raise WireError(f"fragments of more than {bound.octets} octets")
        self._chunks[part.number] = chunk
        if part.number == 1:
            self._first = incoming, sealed
        if len(self._chunks) < self._total or self._first is None:
            return None
        chain = b"".join(self._chunks[number] for number in range(1, self._total + 1))
        first, head = self._first
        self.clear()
        return Opened(first.header, head.reserved, head.first_payload, chain, first.data)
