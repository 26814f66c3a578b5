"""Outer IPv6 packets in fragments of a size of our own choice (RFC 8200 §4.5).

The kernel cuts what is larger than the device at this end; only we know that the path behind it
takes less. (Its option for that, IPV6_MTU, leaves whole what fits the device.)
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator

from hushwire.sa.association import Path
from hushwire.system.datagram import open_raw, send_esp
from hushwire.system.probes import deafen, udp_datagram
from hushwire.wire.ip import IPV6_HEADER_OCTETS
from hushwire.wire.registry import IpProtocol

_FRAGMENT_HEADER_OCTETS = 8
_MORE = 1


class Fragmenter:
    """A raw socket that sends fragments. Raises as `system.datagram.open_raw`."""

    def __init__(self, device: str | None = None) -> None:
        self._socket = open_raw(socket.AF_INET6, IpProtocol.FRAGMENT, device)
        deafen(self._socket)

    def send_esp(self, packet: bytes, path: Path, mtu: int, tos: int = 0) -> None:
        """An ESP packet, in IPv6 packets of at most `mtu` octets. Raises `OSError`."""
        self._send(packet, IpProtocol.ESP, path, mtu, tos)

    def send_udp(self, data: bytes, path: Path, mtu: int, tos: int = 0) -> None:
        """A UDP datagram with the ports of `path`, likewise."""
        self._send(udp_datagram(data, path), IpProtocol.UDP, path, mtu, tos)

    def fileno(self) -> int:
        """The socket's descriptor, for an engine that makes the fragments itself."""
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _send(self, payload: bytes, protocol: int, path: Path, mtu: int, tos: int) -> None:
        for fragment in fragments(payload, protocol, mtu - IPV6_HEADER_OCTETS):
            send_esp(self._socket, fragment, path, tos)


def fits(payload: int, mtu: int) -> bool:
    """Whether an IPv6 packet with so many octets behind its header has at most `mtu`."""
    return IPV6_HEADER_OCTETS + payload <= mtu


def fragments(payload: bytes, protocol: int, room: int) -> Iterator[bytes]:
    """Fragment headers with their parts of `payload`, each at most `room` octets in all.

    Their identification is random (RFC 7739 §4): nobody can send a piece that would fit.
    """
    identification = secrets.randbits(32)
    step = (room - _FRAGMENT_HEADER_OCTETS) & ~7
    for start in range(0, len(payload), step):
        more = _MORE if start + step < len(payload) else 0
        yield (
            struct.pack(">BBHI", protocol, 0, start | more, identification)
            + payload[start : start + step]
        )
