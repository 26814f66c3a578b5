"""Addresses on a device."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

from hushwire.system.errors import SystemFailureError
from hushwire.system.netlink import ask

_NO_DAD = 0x02  # IFA_F_NODAD of <linux/if_addr.h>


def add_address(ifname: str, address: IPv4Interface | IPv6Interface) -> None:
    """Put `address` with its prefix on the device; nothing happens if it is there already.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    index = device_index(ifname)
    options: dict[str, Any] = {"address": str(address.ip), "prefixlen": address.network.prefixlen}
    if address.version == 6:
        # On a tunnel nobody else can have the address. Without this it would be "tentative", and
        # unusable as a source, for a second or more (RFC 4862 §5.4).
        options["flags"] = _NO_DAD

    ask(
        f"address {address} on {ifname}",
        lambda iproute: _nothing(iproute.addr("add", index=index, **options)),
        {errno.EEXIST: None},
    )


def device_index(ifname: str) -> int:
    """The kernel's number of the device. Raises `SystemFailureError` if there is none."""
    try:
        return socket.if_nametoindex(ifname)
    except OSError as error:
        raise SystemFailureError(
            f"device {ifname}",
            "no device has this name",
            "`ip link` lists the devices of this host.",
        ) from error


def scope_index(address: IPv6Address) -> int:
    """The index of the device that the address names, as in fe80::1%eth0 (RFC 4007); 0: none.

    Raises `OSError` when there is no such device.
    """
    if address.scope_id is None:
        return 0
    if address.scope_id.isdecimal():
        return int(address.scope_id)
    return socket.if_nametoindex(address.scope_id)


def _nothing(_: object) -> None:
    return None
