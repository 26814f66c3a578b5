"""RFC 6040, entry by entry, and what becomes of the DSCP."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.ecn import (
    CE,
    ECT_0,
    ECT_1,
    NOT_ECT,
    decapsulated,
    outer_traffic_class,
    traffic_class,
)

DSCP = 0b101110 << 2  # Expedited Forwarding
ECNS = (NOT_ECT, ECT_0, ECT_1, CE)

# Figure 4: a row for each arriving inner field, a column for each arriving outer field, as printed.
FIGURE_4: dict[int, tuple[int | None, ...]] = {
    NOT_ECT: (NOT_ECT, NOT_ECT, NOT_ECT, None),
    ECT_0: (ECT_0, ECT_0, ECT_1, CE),
    ECT_1: (ECT_1, ECT_1, ECT_1, CE),
    CE: (CE, CE, CE, CE),
}
CASES = [
    (inner, outer, FIGURE_4[inner][column]) for inner in ECNS for column, outer in enumerate(ECNS)
]


def packet(version: int, tos: int) -> bytes:
    payload = UDP(sport=1, dport=2) / Raw(b"payload")
    if version == 4:
        return bytes(IP(src="10.0.1.1", dst="10.0.1.2", tos=tos) / payload)
    return bytes(IPv6(src="fd00::1", dst="fd00::2", tc=tos, fl=0xABCDE) / payload)


versions = pytest.mark.parametrize("version", [4, 6])


@versions
@pytest.mark.parametrize("ecn", ECNS)
def test_the_outer_header_gets_the_inner_ecn_and_the_dscp_only_when_asked(
    version: int, ecn: int
) -> None:
    inner = packet(version, DSCP | ecn)
    assert outer_traffic_class(inner, copy_dscp=False) == ecn
    assert outer_traffic_class(inner, copy_dscp=True) == DSCP | ecn


@versions
@pytest.mark.parametrize(("inner", "outer", "after"), CASES)
def test_decapsulation_follows_figure_4(
    version: int, inner: int, outer: int, after: int | None
) -> None:
    arrived = packet(version, DSCP | inner)
    other_dscp = 0b001010 << 2
    if after is None:
        with pytest.raises(EspDropError) as dropped:
            decapsulated(arrived, other_dscp | outer)
        assert dropped.value.drop is Drop.CONGESTED
        return
    got = decapsulated(arrived, other_dscp | outer)
    # scapy makes the same packet from nothing: DSCP, flow label and checksum are right.
    assert got == packet(version, DSCP | after)
    assert traffic_class(got) == DSCP | after
