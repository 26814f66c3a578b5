"""The TUN device: IP packets that the kernel routes into a file descriptor of ours, and back."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

from hushwire.records import dataclass
from hushwire.system.addresses import device_index
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.netlink import ask
from hushwire.system.rtnetlink import LINK, NEW_LINK, Rtnetlink, attribute

TUN_NODE = Path("/dev/net/tun")
NAME_OCTETS = 15  # IFNAMSIZ less the final NUL

# From <linux/if_tun.h>.
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_IFF_TUN_EXCL = 0x8000

# From <linux/if.h> and <linux/if_link.h>.
_IFF_UP = 1
_IFLA_MTU = 4
_IFLA_AF_SPEC = 26
_IFLA_INET6_ADDR_GEN_MODE = 8
_ADDR_GEN_MODE_NONE = b"\x01"


@dataclass(slots=True)
class Tun:
    """An open device. One `os.read` or `os.write` on `fd` is one whole IP packet, no header more,
    unless it was opened with `headers`.

    `fd` does not block. The device, its addresses and its routes go when it is closed, or when the
    process ends however it ends.
    """

    fd: int
    name: str
    index: int

    def set_mtu(self, octets: int) -> int:
        """The largest IP packet that the kernel gives it; returns what it is then.

        Raises as `open_tun`.
        """
        ask(f"MTU of {self.name}", lambda rtnetlink: set_mtu(rtnetlink, self.index, octets))
        return octets

    def close(self) -> None:
        """Give the device back; closing twice is no error."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_tun(name: str, mtu: int, *, headers: bool = False) -> Tun:
    """Make the device `name`, with `mtu` octets for an IP packet, and set it up.

    With `headers` each packet comes and goes behind a struct virtio_net_hdr of 10 octets.

    Raises `SystemFailureError` (no /dev/net/tun, name too long or in use) and `NotPermittedError`.
    """
    what = f"tunnel device {name}"
    octets = len(name.encode())
    if not 1 <= octets <= NAME_OCTETS:
        raise SystemFailureError(
            what,
            f"its name has {octets} characters",
            f"Choose a name of 1 to {NAME_OCTETS} characters.",
        )
    fd = open_node(what)
    try:
        _claim(fd, name, what, IFF_TUN | IFF_NO_PI | (_IFF_VNET_HDR if headers else 0))
        tun = Tun(fd, name, device_index(name))
        ask(what, lambda rtnetlink: _set_up(rtnetlink, tun.index, mtu))
    except BaseException:
        os.close(fd)
        raise
    return tun


def open_node(what: str) -> int:
    try:
        return os.open(TUN_NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise NotPermittedError(
            [f"{what}: this user may not open {TUN_NODE}. Run it with sudo."]
        ) from error
    except OSError as error:
        raise SystemFailureError(
            what,
            f"{TUN_NODE} cannot be opened ({os.strerror(error.errno or 0).lower()})",
            "Load the module with `modprobe tun`; for a container, pass `--device /dev/net/tun`.",
        ) from error


def _claim(fd: int, name: str, what: str, flags: int) -> None:
    # EXCL: without it the kernel would hand over somebody else's persistent device of this name.
    request = struct.pack("16sH22x", name.encode(), flags | _IFF_TUN_EXCL)
    try:
        fcntl.ioctl(fd, TUNSETIFF, request)
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise NotPermittedError(
                [f"{what}: this needs CAP_NET_ADMIN. Run it with sudo."]
            ) from error
        if _exists(name):
            raise SystemFailureError(
                what,
                "a device of this name exists already",
                f"Choose another name, or find its owner: `ip -details link show {name}`.",
            ) from error
        raise SystemFailureError(
            what,
            f"the kernel refuses the name ({os.strerror(error.errno or 0).lower()})",
            "Use letters, digits, '-' and '_' only.",
        ) from error


def _exists(name: str) -> bool:
    try:
        device_index(name)
    except SystemFailureError:
        return False
    return True


def set_mtu(rtnetlink: Rtnetlink, index: int, octets: int, *, up: bool | None = None) -> None:
    """Change the device's MTU, and put it up or down, or leave it as it is. Raises `OSError`."""
    flags = (_IFF_UP if up else 0, 0 if up is None else _IFF_UP)
    header = LINK.pack(socket.AF_UNSPEC, 0, index, *flags)
    rtnetlink.order(NEW_LINK, header, attribute(_IFLA_MTU, octets))


def _set_up(rtnetlink: Rtnetlink, index: int, mtu: int) -> None:
    if Path("/proc/net/if_inet6").exists():
        # No link-local address and so no router solicitation or MLD of the kernel's own: they would
        # be traffic that no selector covers.
        no_link_local = attribute(_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE)
        ipv6 = attribute(_IFLA_AF_SPEC, attribute(socket.AF_INET6, no_link_local))
        rtnetlink.order(NEW_LINK, LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0), ipv6)
    set_mtu(rtnetlink, index, mtu, up=True)
