"""Packets that eve makes up: ICMP errors and fragments, sent by a raw socket of her own.

forgery.py icmp VICTIM PEER MTU PROTOCOL QUOTED     an error about a packet of VICTIM's to PEER
forgery.py fragments VICTIM PEER COUNT KIND DEVICE/MAC    pieces that never become a packet, or
                                                          overlap, as if from PEER
"""

from __future__ import annotations

import sys
from pathlib import Path

from scapy.config import conf
from scapy.layers.inet import ICMP, IP, fragment
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.sendrecv import send, sendp


def too_big(
    victim: str, peer: str, mtu: int, quoted: bytes, protocol: int = 50
) -> list[str | Path]:
    """The command, for a host whose packets reach `victim`."""
    return [
        sys.executable, Path(__file__), "icmp", victim, peer, str(mtu), str(protocol), quoted.hex(),
    ]  # fmt: skip


def fragments(victim: str, peer: str, count: int, kind: str, wire: str) -> list[str | Path]:
    """Likewise; `kind` is "unfinished" or "overlapping", `wire` is DEVICE/MAC of the victim."""
    return [sys.executable, Path(__file__), "fragments", victim, peer, str(count), kind, wire]


def _icmp(victim: str, peer: str, mtu: int, protocol: int, quoted: bytes) -> None:
    if ":" in victim:
        about = IPv6(src=victim, dst=peer, nh=protocol) / Raw(quoted)
        _send([IPv6(dst=victim) / ICMPv6PacketTooBig(mtu=mtu) / about])
    else:
        about = IP(src=victim, dst=peer, proto=protocol, flags="DF") / Raw(quoted)
        _send([IP(dst=victim) / ICMP(type=3, code=4, nexthopmtu=mtu) / about])


def _fragments(victim: str, peer: str, count: int, kind: str, wire: str) -> None:
    pieces = [piece for number in range(count) for piece in _pieces(victim, peer, number, kind)]
    conf.verb = 0
    device, _, mac = wire.partition("/")
    sendp([Ether(dst=mac) / piece for piece in pieces], iface=device)


def _pieces(victim: str, peer: str, number: int, kind: str) -> list[Packet]:
    """ESP of 3000 octets."""
    payload = Raw(b"\0\0\1\0" + bytes(2996))
    if ":" in victim:
        head = IPv6(src=peer, dst=victim) / IPv6ExtHdrFragment(nh=50, id=number, m=1)
        first = head / Raw(bytes(payload)[:1400])
        if kind == "unfinished":
            return [first]
        head = IPv6(src=peer, dst=victim) / IPv6ExtHdrFragment(nh=50, id=number, m=0, offset=100)
        return [first, head / Raw(bytes(1400))]
    first, second, last = fragment(IP(src=peer, dst=victim, proto=50, id=number) / payload, 1400)
    if kind == "unfinished":
        return [first, last]
    second.frag -= 50
    return [first, second, last]


def _send(packets: list[Packet]) -> None:
    conf.verb = 0
    send(packets)


if __name__ == "__main__":
    if sys.argv[1] == "icmp":
        _, _, victim_, peer_, mtu_, protocol_, quoted_ = sys.argv
        _icmp(victim_, peer_, int(mtu_), int(protocol_), bytes.fromhex(quoted_))
    else:
        _, _, victim_, peer_, count_, kind_, wire_ = sys.argv
        _fragments(victim_, peer_, int(count_), kind_, wire_)
