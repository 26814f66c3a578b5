"""One IKE SA: the state of `states.py`, and what all who change it have in common.

`opening` brings it up, `exchanges` takes the messages after that, `life` does what time brings,
`renewal` makes and rekeys its CHILD_SAs, `inheritance` rekeys it itself, and `closing` ends it.
"""

from __future__ import annotations

import math
from typing import Protocol

from hushwire.ike.awaited import Awaited
from hushwire.ike.inputs import Limits, Turn
from hushwire.ike.jobs import Job
from hushwire.ike.link import Link
from hushwire.ike.mobility import IpAddress, Mobility, Surroundings
from hushwire.ike.rates import Bucket
from hushwire.ike.states import Closed, InitSent, Role, Secrets, State, peer_name
from hushwire.ike.unanswered import Unanswered


class Siblings(Protocol):
    """What an IKE SA asks of all that this host has; `sessions.Sessions` answers."""

    limits: Limits
    surroundings: Surroundings
    news: Bucket

    def another(self, session: Session) -> Session | None: ...

    def only_other(self, session: Session) -> Session | None: ...

    def has_another(self, session: Session) -> bool: ...

    def successor(self, old: Session, role: Role, own_spi: bytes, now: float) -> Session: ...

    def free_ike_spi(self) -> bytes: ...

    def free_esp_spi(self) -> int: ...

    def unproved_octets(self) -> int: ...

    def has_changed(self, session: Session) -> None: ...


class Session:
    """One IKE SA, from its first message to the last retransmission that it must answer.

    `sessions` are all of this host, this one included.
    """

    def __init__(self, link: Link, now: float, sessions: Siblings) -> None:
        self.link = link
        self.sessions = sessions
        self.created_at = now
        self.heard_at = now
        self._state: State = Closed(now)
        self.initial_contact = False
        self.doubtful = False  # somebody says that the peer has forgotten it
        self.doubted_at = -math.inf
        self.unanswered = Unanswered()
        self.unconfirmed = 0  # answers to come until the peer has followed to a new connection

        self.doing: Job | None = None  # our exchange under way, once the IKE SA is established
        self.rekey_at = math.inf
        self.reauth_at = math.inf
        self.retry_at = -math.inf  # nothing is made or rekeyed before
        self.failing_since: float | None = None  # the first of several TEMPORARY_FAILUREs
        self.wants_child = False
        self.unwanted: list[int] = []  # inbound SPIs of CHILD_SAs that the peer has, and we do not

        self.mobility: Mobility | None = None  # both hosts speak MOBIKE
        self.source: IpAddress | None = None  # what the kernel would send from, when last asked
        self.awaited: Awaited | None = None  # what the peer has begun, and not finished yet

        self.useless_at = math.inf  # the peer is to close it before this, or else we do
        self.rests_on: Session | None = None  # but not before the peer knows this other one
        self.up_since = math.inf  # since when the peer is authenticated
        self.heir = False  # it came about by rekeying
        # Both sides rekey it at once: what the peer has made, until it is known which goes on.
        self.rival: Session | None = None
        self.predecessor: Session | None = None  # the same, seen from the new one

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self.sessions.has_changed(self)

    @property
    def role(self) -> Role:
        return self.link.role

    @property
    def limits(self) -> Limits:
        return self.sessions.limits

    @property
    def peer_name(self) -> str:
        """Our name for the peer; "" while a responder does not know it, and after the end."""
        return peer_name(self.state)

    def new_spi(self) -> int:
        """An inbound ESP SPI that no other SA of this host uses."""
        return self.sessions.free_esp_spi()

    def heard(self, at: float) -> None:
        """ESP from the peer arrived at `at`: it lives (§2.4)."""
        self.heard_at = max(self.heard_at, at)

    def secrets(self) -> Secrets | None:
        """The keys of the IKE SA, while it has any."""
        state = self.state
        return None if isinstance(state, InitSent | Closed) else state.secrets

    def try_again(self, turn: Turn) -> bool:
        """After TEMPORARY_FAILURE, a little later; False when that has gone on for too long."""
        if self.failing_since is None:
            self.failing_since = turn.now
        secrets, mobility = self.secrets(), self.mobility
        if mobility is not None and self.link.opener and secrets and secrets.nat.we_are_behind:
            # RFC 4555 §3.8: it may wait for us in vain, where the NAT has another mapping by now.
            mobility.update = True
        self.retry_at = turn.now + self.limits.again_seconds * (0.5 + turn.chance())
        return turn.now - self.failing_since < self.limits.temporary_seconds
