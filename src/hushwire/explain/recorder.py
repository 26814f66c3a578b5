"""Keeps the last attempts with each peer, and with strangers, as they happen. Bounded everywhere.

It is called for every IKE message, also in a flood of them, so it only files what it is given: a
message in clear is read when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from ipaddress import IPv4Address, IPv6Address

from hushwire.explain.outcome import (
    ClosedByUs,
    DuplicateClosed,
    Event,
    Failure,
    TunnelUp,
)
from hushwire.explain.payloads import exchange_name, words_of, words_of_plain
from hushwire.explain.trace import Attempt, Decision, IcmpError, MessageStep, Remark, Step
from hushwire.records import dataclass
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.message import Payload
from hushwire.wire.registry import HeaderFlag, PayloadType

ATTEMPTS_PER_PEER = 4
STRANGERS = 16
_FIRST_STEPS = 24
_LAST_STEPS = 24
_STRANGERS_STEPS = 8
_LARGEST_KEPT = 2048
_MOST_DATAGRAMS = 64
_MOST_REPEATS = 8
_EMPTY = "empty"
_KEYS = 4  # of IKE SAs that have taken each other's place
_MOST_REMARKS = 8
_REMARK_CHARACTERS = 200

# Places in the IKE header (RFC 7296 §3.1). It is not parsed here: floods pass by.
_INITIATOR_SPI, _RESPONDER_SPI = slice(0, 8), slice(8, 16)
_NEXT_PAYLOAD, _EXCHANGE, _FLAGS = 16, 18, 19
_NAME = slice(18, 24)  # exchange, flags and message ID
_MESSAGE_ID = slice(20, 24)
_NO_SPI = bytes(8)
_SEALED = (PayloadType.SK, PayloadType.SKF)

_ENDS = (Failure, ClosedByUs, DuplicateClosed)

Ip = IPv4Address | IPv6Address


@dataclass(slots=True)
class _Message:
    at: float
    ours: bool
    head: bytes
    ports: tuple[int, int]
    tcp: bool
    plain: bytes | None
    words: tuple[str, ...] = ()
    octets: int = 0
    seen: set[int] = field(default_factory=set)
    repeated: list[float] = field(default_factory=list)
    ignored: str = ""

    @property
    def message_id(self) -> int:
        return int.from_bytes(self.head[_MESSAGE_ID], "big")

    @property
    def response(self) -> bool:
        return bool(self.head[_FLAGS] & HeaderFlag.RESPONSE)


_Kept = _Message | Decision | IcmpError | Remark


@dataclass(slots=True, eq=False)
class _Attempt:
    peer: str
    remote: Ip
    initiator: bool
    began: float
    first: list[_Kept] = field(default_factory=list)
    last: deque[_Kept] = field(default_factory=lambda: deque(maxlen=_LAST_STEPS))
    left_out: int = 0
    keys: list[bytes] = field(default_factory=list)
    outcome: Event | None = None
    was_up: bool = False

    def add(self, step: _Kept) -> None:
        if len(self.first) < _FIRST_STEPS:
            self.first.append(step)
            return
        self.left_out += len(self.last) == _LAST_STEPS
        self.last.append(step)

    def steps(self) -> Iterator[_Kept]:
        yield from reversed(self.last)
        yield from reversed(self.first)


class Recorder:
    """One host's. Between `turn` and the next one, everything belongs to one call."""

    def __init__(self) -> None:
        self._now = 0.0
        self._by_spi: dict[bytes, _Attempt] = {}
        self._peers: dict[str, list[_Attempt]] = {}
        self._strangers: deque[_Attempt] = deque()
        self._current: _Attempt | None = None
        self._received: _Message | None = None
        self._sealing: tuple[int, bool, tuple[str, ...]] = (0, False, ())

    # What happens.

    def turn(self, now: float) -> None:
        """A call into the protocol begins at `now`, in seconds."""
        self._now = now
        self._current = self._received = None

    def begins(self, spi: bytes, peer: str, remote: Ip) -> None:
        """We begin an IKE SA with this initiator's SPI."""
        attempt = _Attempt(peer, remote, initiator=True, began=self._now, keys=[spi])
        self._by_spi[spi] = self._current = attempt
        self._file(attempt)

    def follows(self, old: bytes, new: bytes) -> None:
        """An IKE SA takes the place of another; both are named by their initiators' SPIs."""
        attempt = self._by_spi.get(old)
        if attempt is not None:
            attempt.keys.append(new)
            self._by_spi[new] = attempt
            while len(attempt.keys) > _KEYS:
                self._by_spi.pop(attempt.keys.pop(0), None)

    def sent(self, data: bytes, remote: Ip, ports: tuple[int, int], *, tcp: bool = False) -> None:
        """An IKE message of ours, or a fragment of one; `ports` are ours and the peer's."""
        if len(data) >= HEADER_OCTETS:
            self._datagram(data, remote, ports, ours=True, tcp=tcp)

    def received(
        self, data: bytes, remote: Ip, ports: tuple[int, int], *, tcp: bool = False
    ) -> None:
        """The same from the wire; `ports` are the peer's and ours."""
        if len(data) >= HEADER_OCTETS:
            self._datagram(data, remote, ports, ours=False, tcp=tcp)

    def sealing(self, header: Header, payloads: Iterable[Payload]) -> None:
        """What is in the protected message that is sent next."""
        self._sealing = (header.message_id, header.response, words_of(payloads) or (_EMPTY,))

    def opened(self, payloads: Iterable[Payload]) -> None:
        """What was in the protected message of this call."""
        if self._received is not None and not self._received.words:
            self._received.words = words_of(payloads) or (_EMPTY,)

    def dropped(self, why: str) -> None:
        """The message of this call has no effect. (A refusal is an outcome, and told as one.)"""
        if self._received is not None and why != "refused" and not self._received.repeated:
            self._received.ignored = why

    def happened(self, event: Event) -> None:
        """Something came out of it."""
        attempt = self._current
        if attempt is None or (attempt.peer and event.peer and attempt.peer != event.peer):
            attempt = self._newest(event.peer)
        if attempt is None:
            return
        if event.peer and not attempt.peer:
            self._name(attempt, event.peer)
        again = isinstance(event, Failure) and event == attempt.outcome  # a request repeated
        if not again:
            attempt.add(Decision(self._now - attempt.began, event))
        if isinstance(event, TunnelUp):
            attempt.outcome, attempt.was_up = event, True
        elif isinstance(event, _ENDS) and not isinstance(attempt.outcome, Failure):
            attempt.outcome = event

    def told(self, event: Event) -> None:
        """The daemon knows more about an outcome than the protocol did, or has one of its own."""
        attempt = self._newest(event.peer)
        if attempt is not None and type(attempt.outcome) is type(event):
            attempt.outcome = event
        elif attempt is not None and attempt.outcome is None and isinstance(event, Failure):
            self._current = None
            self.happened(event)

    def remark(self, remote: Ip, text: str, now: float) -> None:
        """A fact from beside the protocol about what was sent to this address."""
        for attempt in self._under_way(remote):
            said = [step.text for step in attempt.steps() if isinstance(step, Remark)]
            if text not in said and len(said) < _MOST_REMARKS:
                attempt.add(Remark(now - attempt.began, text[:_REMARK_CHARACTERS]))

    def icmp(self, remote: Ip, port: int, sender: str, kind: str, now: float) -> None:
        """An ICMP error about what was sent to UDP `port` of this address; kinds: `IcmpError`."""
        for attempt in self._under_way(remote):
            error = IcmpError(now - attempt.began, sender, kind, port)
            said = [step for step in attempt.steps() if isinstance(step, IcmpError)]
            if error not in [replace(step, at=error.at) for step in said] and (
                len(said) < _MOST_REMARKS
            ):
                attempt.add(error)

    # What can be asked.

    def attempts(self, peer: str | None = None) -> list[Attempt]:
        """With one peer, "" for strangers, None for everybody; the oldest first."""
        named = [one for attempts in self._peers.values() for one in attempts]
        every = sorted([*named, *self._strangers], key=lambda attempt: attempt.began)
        return [_view(one) for one in every if peer is None or one.peer == peer]

    # Inside.

    def _datagram(
        self, data: bytes, remote: Ip, ports: tuple[int, int], *, ours: bool, tcp: bool
    ) -> None:
        spi = data[_INITIATOR_SPI]
        attempt = self._by_spi.get(spi)
        if attempt is None:
            if ours or data[_FLAGS] & HeaderFlag.RESPONSE or data[_RESPONDER_SPI] != _NO_SPI:
                return  # an answer to nothing, or to a stranger who is forgotten
            attempt = self._stranger(spi, remote)
        self._current = attempt
        token = hash(data)
        message = _find(attempt, data, token, ours=ours, tcp=tcp)
        if message is None:
            if not attempt.peer and len(attempt.first) >= _STRANGERS_STEPS:
                attempt.left_out += 1
                return
            sealed = data[_NEXT_PAYLOAD] in _SEALED
            message = _Message(
                self._now - attempt.began, ours, data[:HEADER_OCTETS], ports, tcp,
                None if sealed or len(data) > _LARGEST_KEPT else data,
            )  # fmt: skip
            if ours and sealed and self._sealing[:2] == (message.message_id, message.response):
                message.words = self._sealing[2]
            attempt.add(message)
        if token in message.seen:
            if len(message.repeated) < _MOST_REPEATS:
                message.repeated.append(self._now - attempt.began)
        elif len(message.seen) < _MOST_DATAGRAMS:
            message.seen.add(token)
            message.octets += len(data)
        if not ours:
            self._received = message

    def _stranger(self, spi: bytes, remote: Ip) -> _Attempt:
        attempt = _Attempt("", remote, initiator=False, began=self._now, keys=[spi])
        self._by_spi[spi] = attempt
        self._strangers.append(attempt)
        if len(self._strangers) > STRANGERS:
            self._forget(self._strangers.popleft())
        return attempt

    def _name(self, attempt: _Attempt, peer: str) -> None:
        attempt.peer = peer
        if attempt in self._strangers:
            self._strangers.remove(attempt)
        self._file(attempt)

    def _file(self, attempt: _Attempt) -> None:
        kept = self._peers.setdefault(attempt.peer, [])
        kept.append(attempt)
        if len(kept) > ATTEMPTS_PER_PEER:
            # The last one that was up stays: it shows what was different when it worked.
            up = [one for one in kept if one.was_up][-1:]
            self._forget(next(one for one in kept if one not in up))

    def _forget(self, attempt: _Attempt) -> None:
        for spi in attempt.keys:
            self._by_spi.pop(spi, None)
        kept = self._peers.get(attempt.peer, [])
        if attempt in kept:
            kept.remove(attempt)

    def _under_way(self, remote: Ip) -> list[_Attempt]:
        newest = [attempts[-1] for attempts in self._peers.values() if attempts]
        return [one for one in newest if one.remote == remote and one.outcome is None]

    def _newest(self, peer: str) -> _Attempt | None:
        attempts = self._peers.get(peer, [])
        return attempts[-1] if attempts else None


def _find(attempt: _Attempt, data: bytes, token: int, *, ours: bool, tcp: bool) -> _Message | None:
    """The message that this datagram repeats, or is another fragment of."""
    fragment = data[_NEXT_PAYLOAD] == PayloadType.SKF
    for step in attempt.steps():
        if isinstance(step, _Message) and (step.ours, step.tcp) == (ours, tcp):
            same = step.head[_NAME] == data[_NAME] and step.head[:8] == data[:8]
            if token in step.seen or (fragment and same):
                return step
    return None


def _view(attempt: _Attempt) -> Attempt:
    steps = [*attempt.first, *attempt.last]
    return Attempt(
        peer=attempt.peer,
        left="we",
        right=attempt.peer or str(attempt.remote),
        right_address=str(attempt.remote),
        initiator=attempt.initiator,
        began=attempt.began,
        steps=tuple(_step(step) for step in steps),
        left_out=attempt.left_out,
        outcome=attempt.outcome,
    )


def _step(step: _Kept) -> Step:
    if not isinstance(step, _Message):
        return step
    words = step.words
    if not words and step.plain is not None:
        words = words_of_plain(step.plain)
    return MessageStep(
        at=step.at,
        from_left=step.ours,
        exchange=exchange_name(step.head[_EXCHANGE]),
        message_id=step.message_id,
        response=step.response,
        octets=step.octets,
        ports=step.ports,
        tcp=step.tcp,
        words=words or ("sealed",),
        datagrams=len(step.seen),
        repeated=tuple(step.repeated),
        ignored=step.ignored,
    )
