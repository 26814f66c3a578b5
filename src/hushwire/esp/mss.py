"""TCP's maximum segment size, lowered on its way through the tunnel (RFC 9293 §3.7.1, RFC 2923).

A host derives its MSS from its own device. Behind a gateway that device knows nothing of the
tunnel, and would learn only from ICMP, which is often lost. So each SYN that passes, in either
direction, says at most what the tunnel carries whole.
"""

from __future__ import annotations

from hushwire.wire.ip import IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, adjusted_checksum
from hushwire.wire.registry import IpProtocol

_TCP_HEADER_OCTETS = 20
_SYN = 0x02
_END, _NOTHING, _MSS = 0, 1, 2
_MSS_OCTETS = 4
_SMALLEST = 88
"""RFC 9293 §3.7.1 has no least MSS; Linux takes nothing under 88 seriously either."""


def clamped(packet: bytes, largest: int) -> bytes:
    """`packet` with the MSS option of a SYN such that its answers have at most `largest` octets.

    Every other packet comes back as it is, and so does one that is malformed, a fragment, or TCP
    behind IPv6 extension headers (ICMP has to do there). `packet` is a well-formed IP packet.
    """
    if packet[0] >> 4 == 4:
        start = (packet[0] & 0x0F) * 4
        # The two octets of flags and offset: but for DF, all are zero in a whole packet.
        tcp = packet[9] == IpProtocol.TCP and not (packet[6] & 0x3F or packet[7])
        most = largest - IPV4_HEADER_OCTETS - _TCP_HEADER_OCTETS
    else:
        start = IPV6_HEADER_OCTETS
        tcp = packet[6] == IpProtocol.TCP
        most = largest - IPV6_HEADER_OCTETS - _TCP_HEADER_OCTETS
    if not tcp or len(packet) < start + _TCP_HEADER_OCTETS or not packet[start + 13] & _SYN:
        return packet
    at = _option(packet, start)
    if at is None or int.from_bytes(packet[at : at + 2], "big") <= most:
        return packet
    return _with(packet, start, at, max(most, _SMALLEST).to_bytes(2, "big"))


def _option(packet: bytes, start: int) -> int | None:
    """Where the 16 bits of the MSS option are; None without one, or among broken options."""
    at = start + _TCP_HEADER_OCTETS
    end = start + (packet[start + 12] >> 4) * 4
    if end > len(packet):
        return None
    while at < end and packet[at] != _END:
        if packet[at] == _NOTHING:
            at += 1
            continue
        length = packet[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            return None
        if packet[at] == _MSS:
            return at + 2 if length == _MSS_OCTETS else None
        at += length
    return None


def _with(packet: bytes, start: int, at: int, value: bytes) -> bytes:
    changed = bytearray(packet)
    changed[at : at + 2] = value
    # The checksum is over 16-bit words: an option at an odd offset has a half in each of two.
    first = at - (at - start) % 2
    last = first + (4 if first != at else 2)
    checksum = packet[start + 16 : start + 18]
    changed[start + 16 : start + 18] = adjusted_checksum(
        checksum, packet[first:last], bytes(changed[first:last])
    )
    return bytes(changed)
