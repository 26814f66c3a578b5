"""One IKE SA: the state of `states.py`, and what all who change it have in common.

`opening` brings it up, `exchanges` takes the messages after that, `life` does what time brings, and
`closing` ends it. A session never looks at other sessions; what concerns several of them is in
`rivals`.
"""

from __future__ import annotations

from collections.abc import Callable

from hushwire.ike.inputs import Limits
from hushwire.ike.link import Link
from hushwire.ike.states import (
    AuthSent,
    Closed,
    Closing,
    Established,
    HalfOpen,
    Role,
    Secrets,
    State,
    peer_name,
)


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
        self.unconfirmed = 0  # answers to come until the peer has followed to a new connection
        self.new_spi = new_spi
        self.limits = limits

    @property
    def role(self) -> Role:
        return self.link.role

    @property
    def peer_name(self) -> str:
        """Our name for the peer; "" while a responder does not know it, and after the end."""
        return peer_name(self.state)

    def deadline(self) -> float | None:
        """When `life.timer` has something to do, None for never."""
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

    def secrets(self) -> Secrets | None:
        """The keys of the IKE SA, while it has any."""
        state = self.state
        if isinstance(state, AuthSent | HalfOpen | Established | Closing):
            return state.secrets
        return None
