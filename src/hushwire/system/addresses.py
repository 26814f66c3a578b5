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

from hushwire.system.errors import SystemFailureError
from hushwire.system.netlink import ask
from hushwire.system.rtnetlink import (
    ADDRESS,
    CREATE,
    EXCL,
    GET_ADDRESS,
    NEW_ADDRESS,
    Message,
    attribute,
)

_NO_DAD = 0x02  # IFA_F_NODAD of <linux/if_addr.h>
_UNUSABLE = 0x68  # IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE
# Attributes of an address, from <linux/if_addr.h>.
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_EVERYWHERE = 0  # RT_SCOPE_UNIVERSE of <linux/rtnetlink.h>


def add_address(ifname: str, address: IPv4Interface | IPv6Interface) -> None:
    """Put `address` with its prefix on the device; nothing happens if it is there already.

    Raises `SystemFailureError` and `NotPermittedError`.
    """
    index = device_index(ifname)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    header = ADDRESS.pack(family, address.network.prefixlen, 0, _EVERYWHERE, index)
    parts = [attribute(kind, address.ip.packed) for kind in (_IFA_LOCAL, _IFA_ADDRESS)]
    if address.version == 6:
        # On a tunnel nobody else can have the address. Without this it would be "tentative", and
        # unusable as a source, for a second or more (RFC 4862 §5.4).
        parts.append(attribute(_IFA_FLAGS, _NO_DAD))
    ask(
        f"address {address} on {ifname}",
        lambda rtnetlink: rtnetlink.order(NEW_ADDRESS, header, *parts, flags=CREATE | EXCL),
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

    found = []
    for message in _messages():
        _, _, _, scope, index = message.header
        unusable = (message.number(_IFA_FLAGS) or 0) & _UNUSABLE
        if scope == _EVERYWHERE and index != excluded and not unusable:
            found.append(_address(message))
    return tuple(found)


def _addresses(index: int | None) -> tuple[IPv4Interface | IPv6Interface, ...]:
    found = []
    for message in _messages():
        _, prefix, _, _, whose = message.header
        if index is None or whose == index:
            found.append(ip_interface(f"{_address(message)}/{prefix}"))
    return tuple(found)


def _messages() -> list[Message]:
    header = ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    return ask("addresses", lambda rtnetlink: rtnetlink.all(GET_ADDRESS, header))


def _address(message: Message) -> IPv4Address | IPv6Address:
    # IFA_LOCAL is ours; IFA_ADDRESS is the other end on a point-to-point device.
    parts = message.attributes
    return ip_address(parts.get(_IFA_LOCAL) or parts[_IFA_ADDRESS])


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
