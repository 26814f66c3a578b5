"""Addresses on a device."""

from __future__ import annotations

import errno
import socket
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import Any

from pyroute2 import IPRoute

from hushwire.system.errors import SystemFailureError
from hushwire.system.netlink import ask

_NO_DAD = 0x02  # IFA_F_NODAD of <linux/if_addr.h>
_UNUSABLE = 0x68  # IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE
_EVERYWHERE = 0  # RT_SCOPE_UNIVERSE of <linux/rtnetlink.h>


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


def addresses_of(ifname: str) -> tuple[IPv4Interface | IPv6Interface, ...]:
    """The device's addresses with their prefixes. Raises `SystemFailureError` without it."""
    return _addresses(device_index(ifname))


def all_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Every address of this host, on every device."""
    return frozenset(address.ip for address in _addresses(None))


def outside_addresses(ifname: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """This host's addresses that others may reach it by: not `ifname`'s, and good everywhere."""
    excluded = device_index(ifname)

    def read(iproute: IPRoute) -> list[IPv4Address | IPv6Address]:
        return [
            ip_address(message.get("local") or message.get("address"))
            for message in iproute.get_addr()
            if message["scope"] == _EVERYWHERE
            and message["index"] != excluded
            and not (message.get("flags") or 0) & _UNUSABLE
        ]

    return tuple(ask("addresses", read))


def _addresses(index: int | None) -> tuple[IPv4Interface | IPv6Interface, ...]:
    def read(iproute: IPRoute) -> list[IPv4Interface | IPv6Interface]:
        # IFA_LOCAL is ours; IFA_ADDRESS is the other end on a point-to-point device.
        return [
            ip_interface(f"{message.get('local') or message.get('address')}/{message['prefixlen']}")
            for message in iproute.get_addr(**({} if index is None else {"index": index}))
        ]

    return tuple(ask("addresses", read))


def device_exists(ifname: str) -> bool:
    """Is there a network device of this name?"""
    try:
        device_index(ifname)
    except SystemFailureError:
        return False
    return True


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
