"""How a step of a negotiation says that it cannot go on, and what it calls things."""

from __future__ import annotations

from hushwire.explain.outcome import Failure, PeerSilent
from hushwire.ike.link import Link
from hushwire.ike.states import AuthSent, Established, InitSent, IntermediateSent, State, peer_name
from hushwire.sa.association import Carrier
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType

_FIRST_EXCHANGES = {
    InitSent: ExchangeType.IKE_SA_INIT,
    IntermediateSent: ExchangeType.IKE_INTERMEDIATE,
    AuthSent: ExchangeType.IKE_AUTH,
}


class NegotiationFailedError(Exception):
    """This exchange ends here. `notify` is what the peer is told, `outcome` what we report.

    `hint` goes with `notify`, for a peer that understands it.
    """

    def __init__(
        self, outcome: Failure | None, notify: Notify | None = None, hint: Notify | None = None
    ) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.notify = notify
        self.hint = hint

    @property
    def name(self) -> str:
        """What the peer is told, or has told us."""
        return notify_name(self.notify.type) if self.notify else "no answer that counts"

    @property
    def told(self) -> tuple[Notify, ...]:
        """All that the peer is told."""
        return tuple(notify for notify in (self.notify, self.hint) if notify is not None)


def silence(link: Link, state: State, exchange: int, tries: int, seconds: float) -> PeerSilent:
    """The request in flight was sent `tries` times, and nothing came back."""
    return PeerSilent(
        peer_name(state),
        str(link.path.remote.ip),
        exchange_name(_FIRST_EXCHANGES.get(type(state), exchange)),
        tries,
        seconds,
        was_up=isinstance(state, Established),
        in_tcp=link.path.carrier is Carrier.TCP,
    )


def notify_name(number: int) -> str:
    """A notify type as RFC 7296 writes it."""
    try:
        return NotifyType(number).name
    except ValueError:
        return f"notify type {number}"


def exchange_name(number: int) -> str:
    """An exchange as RFC 7296 writes it."""
    try:
        return ExchangeType(number).name
    except ValueError:
        return f"exchange type {number}"
