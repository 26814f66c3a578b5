"""A TUN device that somebody has made by hand: used, and left as it was found."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress

from hushwire.records import dataclass
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.netlink import ask
from hushwire.system.rtnetlink import GET_LINK, LINK, Message, Rtnetlink, attribute, attributes
from hushwire.system.tun import IFF_NO_PI, IFF_TUN, TUNSETIFF, Tun, open_node, set_mtu

_IFF_UP = 1  # of <linux/if.h>
_TYPE_TUN = b"\x01"  # IFF_TUN, of <linux/if_tun.h>

# Attributes of a device and, nested in IFLA_LINKINFO, of its kind; from <linux/if_link.h>.
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINKINFO = 18
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_TUN_TYPE = 3


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
        _, _, index, flags, _ = link.header
        found_mtu, found_up = link.number(_IFLA_MTU) or mtu, bool(flags & _IFF_UP)
        _set(index, name, min(mtu, found_mtu), up=True)
    except BaseException:
        os.close(fd)
        raise
    return AdoptedTun(fd, name, index, found_mtu, found_up)


def _link(name: str, what: str) -> Message:
    header, wanted = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0), attribute(_IFLA_IFNAME, name.encode())

    def find(rtnetlink: Rtnetlink) -> Message | None:
        return rtnetlink.one(GET_LINK, header, wanted)

    nobody: dict[int, Message | None] = {errno.ENODEV: None}
    link = ask(what, find, nobody)
    if link is None:
        raise SystemFailureError(
            what, "no device has this name", f"Make it: ip tuntap add dev {name} mode tun"
        )
    info = attributes(link.attributes.get(_IFLA_LINKINFO, b""))
    kind = info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode(errors="replace")
    cure = f"Remove it (ip link delete {name}), then: ip tuntap add dev {name} mode tun"
    if kind != "tun":
        raise SystemFailureError(what, f"it is no TUN device but a {kind or 'real one'}", cure)
    if attributes(info.get(_IFLA_INFO_DATA, b"")).get(_IFLA_TUN_TYPE) != _TYPE_TUN:
        raise SystemFailureError(what, "it is a TAP device: that carries Ethernet frames", cure)
    return link


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
    ask(f"tunnel device {name}", lambda rtnetlink: set_mtu(rtnetlink, index, mtu, up=up))
