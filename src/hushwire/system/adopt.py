"""A TUN device that somebody has made by hand: used, and left as it was found."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute

from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.netlink import ask
from hushwire.system.tun import IFF_NO_PI, IFF_TUN, TUNSETIFF, Tun, open_node

_IFF_UP = 1  # of <linux/if.h>
_TYPE_TUN = 1  # IFLA_TUN_TYPE, of <linux/if_tun.h>


@dataclass(slots=True)
class AdoptedTun(Tun):
    """Its addresses stay as they are; its MTU and state are put back when it is closed."""

    found_mtu: int = 0
    found_up: bool = False

    def set_mtu(self, octets: int) -> int:
        """No larger than it was found: that may have had a reason."""
        return Tun.set_mtu(self, min(octets, self.found_mtu))

    def close(self) -> None:
        if self.fd >= 0:
            with suppress(SystemFailureError, NotPermittedError):  # it may have been removed
                _set(self.index, self.name, self.found_mtu, up=self.found_up)
        Tun.close(self)


def adopt_tun(name: str, mtu: int) -> AdoptedTun:
    """Use the device `name`, with no more than `mtu` octets for an IP packet, and set it up.

    Raises `SystemFailureError` (none there, no TUN device, or in use) and `NotPermittedError`.
    """
    what = f"tunnel device {name}"
    link = _link(name, what)
    fd = open_node(what)
    try:
        _attach(fd, name, what)
        found_mtu, found_up = link.get("mtu"), bool(link["flags"] & _IFF_UP)
        _set(link["index"], name, min(mtu, found_mtu), up=True)
    except BaseException:
        os.close(fd)
        raise
    return AdoptedTun(fd, name, link["index"], found_mtu, found_up)


def _link(name: str, what: str) -> Any:  # noqa: ANN401  (a pyroute2 message)
    links: list[Any] = ask(
        what, lambda iproute: list(iproute.get_links(ifname=name)), {errno.ENODEV: []}
    )
    if not links:
        raise SystemFailureError(
            what, "no device has this name", f"Make it: ip tuntap add dev {name} mode tun"
        )
    info = links[0].get("linkinfo")
    kind = info.get("kind") if info is not None else None
    cure = f"Remove it (ip link delete {name}), then: ip tuntap add dev {name} mode tun"
    if kind != "tun":
        raise SystemFailureError(what, f"it is no TUN device but a {kind or 'real one'}", cure)
    if info.get("data").get("tun_type") != _TYPE_TUN:
        raise SystemFailureError(what, "it is a TAP device: that carries Ethernet frames", cure)
    return links[0]


def _attach(fd: int, name: str, what: str) -> None:
    request = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    try:
        fcntl.ioctl(fd, TUNSETIFF, request)
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise NotPermittedError(
                [f"{what}: it belongs to another user. Run this with sudo."]
            ) from error
        why = (
            "another program is using it"
            if error.errno == errno.EBUSY
            else f"the kernel refuses it ({os.strerror(error.errno or 0).lower()})"
        )
        raise SystemFailureError(
            what, why, "`sudo lsof /dev/net/tun` names the program: end that first."
        ) from error


def _set(index: int, name: str, mtu: int, *, up: bool) -> None:
    def change(iproute: IPRoute) -> None:
        iproute.link("set", index=index, mtu=mtu, state="up" if up else "down")

    ask(f"tunnel device {name}", change)
