"""One question or order to the kernel's rtnetlink, with its refusals turned into sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from hushwire.system.errors import NotPermittedError, SystemFailureError

_Answer = TypeVar("_Answer")

_CURES = {
    errno.ENODEV: "Check the device's name with `ip link`",
    errno.ENETUNREACH: "Check the addresses and routes with `ip address` and `ip route`",
    errno.EOPNOTSUPP: "IPv6 seems to be switched off; see `sysctl net.ipv6.conf.all.disable_ipv6`",
    errno.EACCES: "IPv6 seems to be switched off; see `sysctl net.ipv6.conf.all.disable_ipv6`",
}


def ask(
    what: str, question: Callable[[IPRoute], _Answer], answers: dict[int, _Answer] | None = None
) -> _Answer:
    """`question(iproute)` on a short-lived netlink socket; `what` names it in errors.

    Returns `answers[errno]` where the kernel refuses with an errno that the caller expects.
    Raises `NotPermittedError` and `SystemFailureError`.
    """
    # pyroute2's socket runs an event loop of its own, and asyncio allows one per thread: the
    # daemon's thread has its own already.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink") as thread:
        try:
            return thread.submit(_on_socket, question).result()
        except NetlinkError as refusal:
            code: int = refusal.code
            if answers is not None and code in answers:
                return answers[code]
            if code == errno.EPERM:
                raise NotPermittedError(
                    [f"{what}: this needs CAP_NET_ADMIN. Run it with sudo."]
                ) from refusal
            why = os.strerror(code).lower()
            cure = _CURES.get(code, "`dmesg | tail` may say more") + "."
            raise SystemFailureError(what, why, cure) from refusal


def _on_socket(question: Callable[[IPRoute], _Answer]) -> _Answer:
    with IPRoute() as iproute:
        return question(iproute)
