"""What the operating system can refuse. Each error says what failed, why, and what to do."""

from __future__ import annotations


class SystemFailureError(Exception):
    """The system could not do something that a tunnel needs.

    `what` failed, `why`, and the `cure`: three plain phrases, the last one a whole sentence.
    """

    def __init__(self, what: str, why: str, cure: str) -> None:
        super().__init__(f"{what}: {why}. {cure}")
        self.what = what
        self.why = why
        self.cure = cure


class NotPermittedError(Exception):
    """This process may not do what a tunnel needs; each line of `missing` names one lack."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("\n".join(missing))
        self.missing = missing
