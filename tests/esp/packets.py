"""Inner packets between the addresses of `tests.sa.pairs`, and ESP made by hand."""

from __future__ import annotations

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from hushwire.esp.aad import covered
from hushwire.sa.association import ChildSa
from hushwire.wire.esp import build_header

EXPERIMENTAL = 253
"""RFC 3692: a protocol without ports, so that a packet of 20 octets is whole."""


def inner(octets: int, version: int = 4) -> bytes:
    """An IP packet from Alice to Bob of exactly so many octets."""
    if version == 4:
        header = IP(src="10.0.1.1", dst="10.0.1.2", proto=EXPERIMENTAL)
    else:
        header = IPv6(src="fd00::1", dst="fd00::2", nh=EXPERIMENTAL)
    return bytes(header / Raw(bytes(n & 0xFF for n in range(octets - len(header)))))


def seal_raw(child: ChildSa, sequence: int, plaintext: bytes) -> bytes:
    """What an authentic but careless peer sends: any plaintext, sealed under the outbound key."""
    cipher = child.suite.cipher
    iv = sequence.to_bytes(cipher.iv_octets, "big")
    sealed = cipher.keyed(child.outbound_key).seal(
        iv, plaintext, *covered(cipher, child.outbound_spi, sequence, child.suite.esn)
    )
    return build_header(child.outbound_spi, sequence & 0xFFFFFFFF) + iv + sealed
