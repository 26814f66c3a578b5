"""Where ESP comes from, and what that tells: a NAT's new mapping, or a peer that this host forgot.

(RFC 7296 §2.23 and §1.5)
"""

from __future__ import annotations

import time
from ipaddress import ip_address

from hushwire.engines.base import Drop, PathMoved, UnknownSpi
from hushwire.engines.python.events import EventQueue
from hushwire.engines.python.table import Tunnel
from hushwire.sa.association import Address, Encapsulation, Path
from hushwire.wire.errors import WireError
from hushwire.wire.esp import parse_header
from hushwire.wire.front import Front

UNKNOWN_SECONDS = 1.0

_IKE_PORT = 500
_NATT_PORT = 4500


class Origins:
    """Tells `events` what is new about the senders of ESP."""

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._next_unknown = 0.0

    def note(self, outcome: Tunnel | Drop, packet: bytes, by: Path | Front) -> None:
        """What has become of a packet; it came in UDP by a path, or under its own IP header."""
        if outcome is Drop.UNKNOWN_SPI:
            self._unknown(packet, by)
        elif isinstance(outcome, Tunnel) and isinstance(by, Path):
            self._follow(outcome, packet, by)

    def _follow(self, tunnel: Tunnel, packet: bytes, path: Path) -> None:
        encapsulation, known = tunnel.route
        if not tunnel.follow or encapsulation is not Encapsulation.UDP or tunnel.retired:
            return
        newest = tunnel.inbound.window.top & 0xFFFFFFFF == parse_header(packet).sequence
        if newest and path != natt_path(known):
            tunnel.route = (encapsulation, path)
            self._events.put(PathMoved(tunnel.child.inbound_spi, path))

    def _unknown(self, packet: bytes, by: Path | Front) -> None:
        now = time.monotonic()
        if now < self._next_unknown:
            return
        try:
            spi = parse_header(packet).spi
        except WireError:
            return
        self._next_unknown = now + UNKNOWN_SECONDS
        self._events.offer(UnknownSpi(spi, by if isinstance(by, Path) else _bare_path(by)))


def natt_path(path: Path) -> Path:
    """A path that IKE found on port 500 has ESP on 4500 (RFC 7296 §2.23); else it is as it is."""
    if path.remote.port != _IKE_PORT:
        return path
    return Path(path.local, Address(path.remote.ip, _NATT_PORT))


def _bare_path(own: Front) -> Path:
    """The path of a packet without UDP: the addresses of its IP header, no ports."""
    octets = own.octets
    at, size = (12, 4) if octets[0] >> 4 == 4 else (8, 16)
    source, destination = octets[at : at + size], octets[at + size : at + 2 * size]
    return Path(Address(ip_address(destination), 0), Address(ip_address(source), 0))
