"""UDP datagrams that nobody may fragment: they show whether the path takes their size.

They leave by sockets of their own. On the socket that others send by, DF would be on their packets
too for a moment, and DF is what makes black holes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from hushwire.sa.association import Path
from hushwire.system.datagram import open_raw, send_esp
from hushwire.wire.ip import checksum
from hushwire.wire.registry import IpProtocol

_UDP_HEADER_OCTETS = 8

# From <linux/in.h> and <linux/in6.h>.
_IP_MTU_DISCOVER = 10
_PMTUDISC_PROBE = 3  # sets DF, and does not ask what the kernel has heard of the path
_IPV6_DONTFRAG = 62

_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
# Nobody has these: the dummy address of RFC 7600 §4.8, and one that RFC 6666 discards.
_NOBODY4 = ("192.0.0.8", 0)
_NOBODY6 = ("100::8", 0)


class ProbeSender:
    """A raw socket for each family. Raises as `system.datagram.open_raw`."""

    def __init__(self, families: Iterable[int], device: str | None = None) -> None:
        self._sockets: dict[int, socket.socket] = {}
        try:
            for family in families:
                sock = self._sockets[family] = open_raw(family, IpProtocol.UDP, device)
                deafen(sock)
                if family == socket.AF_INET:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        except BaseException:
            self.close()
            raise

    def send(self, data: bytes, path: Path) -> None:
        """With the ports of `path`. Raises `OSError`: EMSGSIZE where the device here is too small,
        and as the kernel does.
        """
        family = socket.AF_INET if path.remote.ip.version == 4 else socket.AF_INET6
        send_esp(self._sockets[family], udp_datagram(data, path), path)

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


def udp_datagram(data: bytes, path: Path) -> bytes:
    """UDP header and data. The checksum is not optional for IPv6 (RFC 8200 §8.1)."""
    source, destination = path.local.ip.packed, path.remote.ip.packed
    length = _UDP_HEADER_OCTETS + len(data)
    pseudo = source + destination + struct.pack(">II", length, IpProtocol.UDP)
    ports = struct.pack(">HHH", path.local.port, path.remote.port, length)
    # RFC 768: a sum that comes out as zero is sent as all ones.
    total = checksum(pseudo + ports + b"\0\0" + data) or 0xFFFF
    return ports + total.to_bytes(2, "big") + data


def deafen(sock: socket.socket) -> None:
    """For a raw socket that only sends: the kernel would copy all that comes in for it.

    A filter would not do: the kernel copies first and asks it then. What is bound to an address
    is given only what comes to that, and each packet brings its own source (IP_PKTINFO). Raises
    `OSError` as the kernel does.
    """
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind(_NOBODY4)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        sock.bind(_NOBODY6)
