"""One question or order to the kernel's rtnetlink, with its refusals turned into sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.rtnetlink import Rtnetlink

_Answer = TypeVar("_Answer")

_CURES = {
    errno.ENODEV: "Check the device's name with `ip link`",
    errno.ENETUNREACH: "Check the addresses and routes with `ip address` and `ip route`",
    errno.EOPNOTSUPP: "IPv6 seems to be switched off; see `sysctl net.ipv6.conf.all.disable_ipv6`",
    errno.EACCES: "IPv6 seems to be switched off; see `sysctl net.ipv6.conf.all.disable_ipv6`",
}


def ask(
    what: str, question: Callable[[Rtnetlink], _Answer], answers: dict[int, _Answer] | None = None
) -> _Answer:
    """`question(rtnetlink)` on a short-lived netlink socket; `what` names it in errors.

    Returns `answers[errno]` where the kernel refuses with an errno that the caller expects.
    Raises `NotPermittedError` and `SystemFailureError`.
    """
    try:
        with Rtnetlink() as rtnetlink:
            return question(rtnetlink)
    except OSError as error:
        code = error.errno or 0
        if answers is not None and code in answers:
            return answers[code]
        raise refusal(what, code) from error


def refusal(what: str, code: int) -> NotPermittedError | SystemFailureError:
    """The sentence about an errno with which the kernel refuses."""
    if code == errno.EPERM:
        return NotPermittedError([f"{what}: this needs CAP_NET_ADMIN. Run it with sudo."])
    cure = _CURES.get(code, "`dmesg | tail` may say more") + "."
    return SystemFailureError(what, os.strerror(code).lower(), cure)
