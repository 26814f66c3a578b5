"""The UDP datagrams of a capture, one application's: by scapy, independently of our own code."""

from __future__ import annotations

from collections.abc import Iterable

from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from hushwire.lab.attack import Heard
from hushwire.lab.reader import Frame


def overheard(frames: Iterable[Frame], port: int) -> list[Heard]:
    """Those from or to the UDP port, in order; fragments and what is cut short left out."""
    # scapy's dissectors of all that UDP can carry are slow, and not wanted here.
    conf.layers.filter([Ether, Dot1Q, IP, IPv6, UDP])
    try:
        found = [_heard(frame, port) for frame in frames]
    finally:
        conf.layers.unfilter()
    return [heard for heard in found if heard is not None]


def _heard(frame: Frame, port: int) -> Heard | None:
    ether = Ether(frame.octets)
    if UDP not in ether:
        return None
    packet, udp = ether[IP if IP in ether else IPv6], ether[UDP]
    if port not in (udp.sport, udp.dport):
        return None
    if IP in ether and packet.flags.MF:
        return None
    octets = bytes(udp.original)
    if udp.len is None or not 8 <= udp.len <= len(octets):
        return None
    return Heard(frame.number, packet.src, packet.dst, octets[8 : udp.len])
