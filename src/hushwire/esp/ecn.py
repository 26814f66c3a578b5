"""The DS and ECN fields of the two IP headers of a tunnel (RFC 6040, RFC 4301 §5.1.2).

    encapsulation   outer ECN = inner ECN (§4.1, normal mode: IKEv2 peers know ECN, RFC 7296 §2.24)
                    outer DSCP = 0, or the inner one where the user wants `copy_dscp`
    decapsulation   inner ECN by the table of §4.2; the inner DSCP stays as it is

DSCP is not copied by default: it tells an observer what kind of traffic is inside, and is a covert
channel out of the protected side (RFC 4301 §5.1.2).
"""

from __future__ import annotations

from hushwire.esp.drops import Drop, EspDropError
from hushwire.wire.ip import adjusted_checksum

NOT_ECT, ECT_1, ECT_0, CE = 0b00, 0b01, 0b10, 0b11
"""The four codepoints of RFC 3168 §5."""

_ECN = 0b11

# RFC 6040 §4.2, Figure 4: row by the arriving inner field, column by the arriving outer field, both
# in the order Not-ECT, ECT(1), ECT(0), CE, as the two bits count. None: the packet is dropped.
_DECAPSULATED: tuple[tuple[int | None, ...], ...] = (
    (NOT_ECT, NOT_ECT, NOT_ECT, None),
    (ECT_1, ECT_1, ECT_1, CE),
    (ECT_0, ECT_1, ECT_0, CE),
    (CE, CE, CE, CE),
)


def traffic_class(packet: bytes) -> int:
    """The 8 bits DSCP | ECN of a well-formed IPv4 or IPv6 packet."""
    if packet[0] >> 4 == 4:
        return packet[1]
    return (packet[0] & 0x0F) << 4 | packet[1] >> 4


def outer_traffic_class(inner: bytes, *, copy_dscp: bool) -> int:
    """What the outer header gets for this inner packet."""
    inner_class = traffic_class(inner)
    return inner_class if copy_dscp else inner_class & _ECN


def decapsulated(inner: bytes, outer_class: int) -> bytes:
    """The inner packet as it goes on, given the 8 bits of the outer header that brought it.

    Raises `EspDropError` (CONGESTED) where the network marked a packet whose sender understands
    only loss: losing it is how that sender is told.
    """
    before = traffic_class(inner) & _ECN
    after = _DECAPSULATED[before][outer_class & _ECN]
    if after == before:
        return inner
    if after is None:
        raise EspDropError(Drop.CONGESTED)
    return _with_ecn(inner, after)


def _with_ecn(packet: bytes, ecn: int) -> bytes:
    changed = bytearray(packet)
    if packet[0] >> 4 == 4:
        changed[1] = packet[1] & ~_ECN | ecn
        changed[10:12] = adjusted_checksum(packet[10:12], packet[:2], bytes(changed[:2]))
    else:
        changed[1] = packet[1] & ~(_ECN << 4) | ecn << 4
    return bytes(changed)
