"""What the exit codes mean."""

from __future__ import annotations

from enum import IntEnum

from hushwire.explain.outcome import Cause


class ExitCode(IntEnum):
    """The same for every verb, so that scripts can tell causes apart."""

    FINE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NOT_PERMITTED = 3
    NOT_AUTHENTICATED = 4
    NO_PROPOSAL = 5
    NOT_REACHED = 6
    INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
    BROKEN_PIPE = 141  # 128 + SIGPIPE

    @classmethod
    def of(cls, cause: Cause) -> ExitCode:
        """For a negotiation that ended."""
        return {
            Cause.NOT_AUTHENTICATED: cls.NOT_AUTHENTICATED,
            Cause.NO_PROPOSAL: cls.NO_PROPOSAL,
            Cause.NOT_REACHED: cls.NOT_REACHED,
            Cause.OTHER: cls.FAILED,
        }[cause]
