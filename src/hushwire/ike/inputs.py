"""What the protocol is told: who the peers are, what is allowed, and what one call has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum

from hushwire.crypto.exchange import Rng
from hushwire.explain.outcome import Event
from hushwire.explain.recorder import Recorder
from hushwire.ike.credentials import Credential
from hushwire.ike.effects import (
    CloseStream,
    ConfirmSa,
    Effect,
    InstallSa,
    Reauthenticate,
    RemoveSa,
    Report,
    RetireSa,
    Send,
    TryTcp,
    UpdateSa,
)
from hushwire.records import dataclass
from hushwire.sa.association import Carrier, ChildSa, Encap, Mode, Path
from hushwire.sa.identity import Identity
from hushwire.sa.lifetimes import Lifetimes
from hushwire.sa.ppk import Ppk
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message
from hushwire.wire.ike.payloads.sa import Transform
from hushwire.wire.ike.payloads.ts import IpAddress, TrafficSelector

Clock = Callable[[], float]
"""The date, in seconds since 1970, UTC; asked only where a certificate is judged."""


def no_clock() -> float:
    """Long before any certificate is valid: who has no clock believes none."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer that may connect, or that we connect to.

    `local_id` None is the address that the IKE SA has on this side. `remote_id` None accepts any
    identity that proves the secret. `address` None means that it is
    not known beforehand. Proposals are in order of preference. `liveness` is in seconds. `mobike`:
    either side may move to other addresses (RFC 4555).
    """

    name: str
    credential: Credential
    local_id: Identity | None
    remote_id: Identity | None
    ike_proposals: tuple[tuple[Transform, ...], ...]
    esp_proposals: tuple[tuple[Transform, ...], ...]
    local_selectors: tuple[TrafficSelector, ...]
    remote_selectors: tuple[TrafficSelector, ...]
    address: IpAddress | None = None
    encap: Encap = Encap.AUTO
    liveness: float = 20.0
    replay_window: int = 1024
    mode: Mode = Mode.TUNNEL
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    mobike: bool = True
    ppk: Ppk | None = None

    def own_id(self, path: Path) -> Identity:
        """What we say that we are, on this path."""
        return self.local_id or Identity.of_address(path.local.ip)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is repeated: after `first` seconds, then each time `factor` as long.

    After `tries` transmissions and one more wait the peer counts as silent: with the defaults
    31.5 seconds in all, for a request of an attempt to connect as for any later one.
    """

    first: float = 0.5
    factor: float = 2.0
    tries: int = 6

    def wait(self, sent: int) -> float:
        """Seconds from transmission number `sent` (from 1) to the next, or to giving up."""
        return self.first * self.factor ** (sent - 1)

    @property
    def total(self) -> float:
        """Seconds from the first transmission to giving up."""
        return sum(self.wait(sent) for sent in range(1, self.tries + 1))


RELIABLE = Patience(first=10.0, factor=2.0, tries=2)
"""In a TCP connection nothing is lost unless the connection is, and then the request goes out again
at once on the new one (RFC 9329 §6.2). One repetition, for a peer that had too much to do."""

TCP_AFTER_TRIES = 3
"""So many IKE_SA_INIT without an answer, 3.5 seconds by default, and TCP is tried too (§5.1)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much strangers may cost (RFC 7296 §2.6, RFC 8019 §4). Times in seconds.

    From `cookies_from` half-open IKE SAs on, and beyond `unpaid_rate` IKE_SA_INIT a second,
    strangers need a cookie. With one they may begin `init_rate` a second, and
    `init_rate_per_source` from one IPv4 address or IPv6 /64.
    `useless_seconds`: how long the peer has to close an IKE SA that is a duplicate or has no
    CHILD_SA, before we do. `drain_seconds`: how long a CHILD_SA that is deleted still receives what
    is on its way. `replaced_seconds`: how long the peer has to delete an SA that it has rekeyed,
    before we do; so long an IKE SA has to repeat its last response. `again_seconds`: more or less,
    until the next attempt after TEMPORARY_FAILURE; `temporary_seconds`: when it has gone on so
    long, the two hosts will not agree any more (§2.25). `refused_seconds`: until the next attempt
    after a refusal. `followup_seconds`: how long an IKE_FOLLOWUP_KE is waited for (RFC 9370
    §2.2.4). `children`: CHILD_SAs on one IKE SA, old ones included.
    `message_octets`: of one message in fragments, opened; `unproved_octets`: of all fragments whose
    senders have not proved anything (RFC 7383 §5).
    """

    cookies_from: int = 32
    half_open: int = 1000
    half_open_per_source: int = 32
    half_open_seconds: float = 35.0
    unpaid_rate: float = 20.0
    init_rate: float = 500.0
    init_rate_per_source: float = 20.0
    close_seconds: float = 2.0
    useless_seconds: float = 5.0
    drain_seconds: float = 5.0
    replaced_seconds: float = 40.0
    again_seconds: float = 2.0
    temporary_seconds: float = 180.0
    refused_seconds: float = 60.0
    followup_seconds: float = 20.0
    children: int = 32
    message_octets: int = 65536
    unproved_octets: int = 4 * 1024 * 1024


class IkeDrop(StrEnum):
    """Every way an IKE datagram can end without an effect on an SA; counted, never logged."""

    MALFORMED = "malformed"
    OTHER_VERSION = "other_version"
    UNKNOWN_SPI = "unknown_spi"
    BAD_ICV = "bad_icv"
    OUTSIDE_WINDOW = "outside_window"
    REPEATED_TOO_OFTEN = "repeated_too_often"
    UNEXPECTED = "unexpected"
    FRAGMENT_REPEATED = "fragment_repeated"
    TOO_MANY_FRAGMENTS = "too_many_fragments"
    COOKIE_REQUIRED = "cookie_required"
    TOO_MANY_HALF_OPEN = "too_many_half_open"
    TOO_MANY_OF_SOURCE = "too_many_half_open_of_source"
    TOO_FAST = "too_fast"
    TOO_FAST_OF_SOURCE = "too_fast_of_source"
    GAVE_WAY = "gave_way"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One IKE message: parsed, octet for octet, and the path that it came by."""

    message: Message
    data: bytes
    path: Path

    @property
    def header(self) -> Header:
        return self.message.header


@dataclass(slots=True)
class Turn:
    """One call into the protocol: the time, randomness, and the effects so far, in order.

    `now` is in seconds from any fixed point; it only has to go forward. `wall` tells the date.
    `trace` keeps what `hushwire explain` tells.
    """

    now: float
    rng: Rng
    drops: dict[IkeDrop, int]
    wall: Clock = no_clock
    effects: list[Effect] = field(default_factory=list)
    trace: Recorder = field(default_factory=Recorder)

    def send(self, data: bytes, path: Path) -> None:
        ports = path.local.port, path.remote.port
        self.trace.sent(data, path.remote.ip, ports, tcp=path.carrier is Carrier.TCP)
        self.effects.append(Send(data, path))

    def report(self, event: Event) -> None:
        self.trace.happened(event)
        self.effects.append(Report(event))

    def install_sa(self, sa: ChildSa) -> None:
        self.effects.append(InstallSa(sa))

    def remove_sa(self, inbound_spi: int) -> None:
        self.effects.append(RemoveSa(inbound_spi))

    def confirm_sa(self, inbound_spi: int) -> None:
        self.effects.append(ConfirmSa(inbound_spi))

    def retire_sa(self, inbound_spi: int) -> None:
        self.effects.append(RetireSa(inbound_spi))

    def update_sa(self, sa: ChildSa) -> None:
        self.effects.append(
            UpdateSa(sa.inbound_spi, sa.path, sa.encapsulation, sa.keepalive, sa.follow)
        )

    def try_tcp(self, peer: str) -> None:
        self.effects.append(TryTcp(peer))

    def reauthenticate(self, peer: str) -> None:
        self.effects.append(Reauthenticate(peer))

    def chance(self) -> float:
        """Between 0 and 1."""
        return int.from_bytes(self.rng(4), "big") / 2**32

    def distrust(self, path: Path) -> None:
        """A message on it was not genuine, and inside TCP that cannot come about by itself."""
        if path.carrier is Carrier.TCP:
            self.effects.append(CloseStream(path))

    def drop(self, why: IkeDrop) -> None:
        self.drops[why] += 1
        self.trace.dropped(why)
