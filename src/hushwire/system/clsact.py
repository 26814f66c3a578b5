"""Programs at tc's own hook, clsact, for kernels before 6.6, which have no tcx.

Unlike a tcx link such a filter outlives the process that was killed. It has a name and a priority
of ours, so that the next start and `hushwire doctor` find it.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from hushwire.system.netlink import ask

PRIORITY = 26743
"""`pref` of our filters."""

NAME = "hushwire_classroom"

_HOOKS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_ETH_P_ALL = 3
_HANDLE = 1


def claim_of(interface: str) -> str:
    """What the process that attaches programs to the interface claims. Raises `OSError`."""
    return f"classroom/{socket.if_nametoindex(interface)}"


def attach(interface: str, index: int, programs: dict[str, int]) -> None:
    """Attach the programs (descriptors, by direction). Raises as `netlink.ask`."""

    def order(iproute: IPRoute) -> None:
        with suppress_code(errno.EEXIST):
            iproute.tc("add", "clsact", index)
        for direction, program in programs.items():
            iproute.tc(
                "add-filter",
                "bpf",
                index,
                _HANDLE,
                fd=program,
                name=NAME,
                parent=_HOOKS[direction],
                prio=PRIORITY,
                protocol=_ETH_P_ALL,
                direct_action=True,
                classid=1,
            )

    ask(f"tc filter on {interface}", order)


def remove(interface: str, index: int) -> int:
    """Remove our filters, and clsact when nothing else is in it; returns how many there were."""

    def order(iproute: IPRoute) -> int:
        found = [(hook, one) for hook in _HOOKS.values() for one in _filters(iproute, index, hook)]
        ours = [hook for hook, one in found if one == NAME]
        for hook in ours:
            iproute.tc(
                "del-filter",
                "bpf",
                index,
                _HANDLE,
                parent=hook,
                prio=PRIORITY,
                protocol=_ETH_P_ALL,
            )
        if ours and all(one == NAME for _, one in found):
            with suppress(NetlinkError):
                iproute.tc("del", "clsact", index)
        return len(ours)

    return ask(f"tc filter on {interface}", order)


def leftovers() -> list[str]:
    """The interfaces that have filters of ours, in this network namespace."""

    def question(iproute: IPRoute) -> list[str]:
        names = []
        for link in iproute.get_links():
            index = link["index"]
            if any(NAME in _filters(iproute, index, hook) for hook in _HOOKS.values()):
                names.append(str(link.get("ifname")))
        return names

    return ask("tc filters", question)


def _filters(iproute: IPRoute, index: int, hook: int) -> list[str]:
    """The names of the filters there; "" for those that are no eBPF programs."""
    with suppress_code(errno.EINVAL, errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        found = list(iproute.get_filters(index=index, parent=hook))
        # Each priority has a head of its own in the list, with the handle 0.
        return [_name(one) for one in found if one["handle"]]
    return []


def _name(one: Any) -> str:  # noqa: ANN401 (pyroute2 has no types)
    options = one.get_attr("TCA_OPTIONS")
    return (options and options.get_attr("TCA_BPF_NAME")) or ""


class suppress_code:  # noqa: N801 (as contextlib.suppress)
    """The kernel's refusals with these numbers are no errors here."""

    def __init__(self, *codes: int) -> None:
        self._codes = codes

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, NetlinkError) and error.code in self._codes
