"""How a step of a negotiation says that it cannot go on."""

from __future__ import annotations

from hushwire.explain.outcome import Failure
from hushwire.wire.ike.payloads.notify import Notify


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
    def told(self) -> tuple[Notify, ...]:
        """All that the peer is told."""
        return tuple(notify for notify in (self.notify, self.hint) if notify is not None)
