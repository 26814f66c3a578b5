from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.sa.selectors import (
    ANY_PORT,
    OPAQUE_PORT,
    FlowMatcher,
    covers,
    describe,
    from_network,
    narrow,
)
from hushwire.wire.ike.payloads.ts import TrafficSelector
from hushwire.wire.ip import Flow

BASE = int(IPv4Address("10.0.0.0"))
PORTS = (ANY_PORT, OPAQUE_PORT, (0, 0), (1, 2), (2, 3), (3, 65535))


def selector(start: str, end: str, *rest: int) -> TrafficSelector:
    family: type[IPv4Address] | type[IPv6Address] = IPv6Address if ":" in start else IPv4Address
    return TrafficSelector(family(start), family(end), *rest)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    first, last = sorted(draw(st.tuples(st.integers(0, 5), st.integers(0, 5))))
    families: tuple[type[IPv4Address] | type[IPv6Address], ...] = (IPv4Address, IPv6Address)
    address = draw(st.sampled_from(families))
    return TrafficSelector(
        address(BASE + first),
        address(BASE + last),
        draw(st.sampled_from((0, 6, 17))),
        *draw(st.sampled_from(PORTS)),
    )


ENDS = list(
    itertools.product((4, 6), range(BASE, BASE + 6), (6, 17, 1), (None, 0, 1, 2, 3, 4, 65535))
)


@given(st.lists(selectors(), max_size=4), st.lists(selectors(), max_size=4))
def test_narrowing_keeps_exactly_what_both_sides_cover(
    proposed: list[TrafficSelector], allowed: list[TrafficSelector]
) -> None:
    common = narrow(proposed, allowed)
    for end in ENDS:
        assert covers(common, *end) == (covers(proposed, *end) and covers(allowed, *end)), end
    for a, b in itertools.permutations(common, 2):
        assert narrow([a], [b]) != (a,), "one selector is a part of another"


def test_narrowing_keeps_the_order_of_the_proposal() -> None:
    one, two = (from_network(ip_network(net)) for net in ("10.0.2.0/24", "10.0.1.0/24"))
    everything = from_network(ip_network("0.0.0.0/0"))
    assert narrow([one, two], [everything]) == (one, two)
    assert narrow([one, two], [two, one]) == (one, two)
    assert narrow([everything], [one, two]) == (one, two)
    assert narrow([one], [two]) == ()
    assert narrow([from_network(ip_network("::/0"))], [everything]) == ()


def test_hidden_ports_match_only_any_and_opaque() -> None:
    address = "10.0.0.1"
    end = (4, int(IPv4Address(address)), 6, None)
    assert covers([selector(address, address, 6)], *end)
    assert covers([selector(address, address, 6, *OPAQUE_PORT)], *end)
    assert not covers([selector(address, address, 6, 0, 65534)], *end)
    assert not covers([selector(address, address, 6, 443, 443)], *end)


@pytest.mark.parametrize(
    ("ts", "text"),
    [
        (selector("10.0.1.2", "10.0.1.2"), "10.0.1.2/32"),
        (selector("10.0.1.5", "10.0.1.9"), "10.0.1.5-10.0.1.9"),
        (selector("0.0.0.0", "255.255.255.255"), "0.0.0.0/0"),
        (selector("fd00::", "fd00::ffff"), "fd00::/112"),
        (selector("10.0.1.0", "10.0.1.255", 6, 443, 443), "10.0.1.0/24[tcp/443]"),
        (selector("10.0.1.0", "10.0.1.255", 17, 1, 9), "10.0.1.0/24[udp/1-9]"),
        (selector("10.0.1.0", "10.0.1.255", 132), "10.0.1.0/24[132]"),
        (selector("10.0.1.0", "10.0.1.255", 6, *OPAQUE_PORT), "10.0.1.0/24[tcp/opaque]"),
        (selector("10.0.1.0", "10.0.1.255", 0, 5, 5), "10.0.1.0/24[any/5]"),
        (selector("10.0.1.2", "10.0.1.2", 1, 0x0800, 0x0800), "10.0.1.2/32[icmp/8(0)]"),
        (selector("fd00::1", "fd00::1", 58, 0x8000, 0x81FF), "fd00::1/128[icmpv6/128(0)-129(255)]"),
    ],
)
def test_a_selector_is_told_in_the_words_of_its_configuration(
    ts: TrafficSelector, text: str
) -> None:
    assert describe(ts) == text


def test_a_flow_must_match_at_both_ends_and_in_its_direction() -> None:
    here, there, elsewhere = (int(IPv4Address(f"10.0.{n}.1")) for n in (1, 2, 3))
    matcher = FlowMatcher(
        [from_network(ip_network("10.0.1.0/24"))],
        [selector("10.0.2.0", "10.0.2.255", 6, 443, 443)],
    )
    out = Flow(4, here, there, 6, 50000, 443)
    back = Flow(4, there, here, 6, 443, 50000)
    assert matcher.outbound(out)
    assert matcher.inbound(back)
    assert not matcher.outbound(back)
    assert not matcher.inbound(out)
    for wrong in (
        out._replace(source=elsewhere),
        out._replace(destination=elsewhere),
        out._replace(version=6),
        out._replace(protocol=17),
        out._replace(destination_port=444),
        out._replace(source_port=None, destination_port=None),
    ):
        assert not matcher.outbound(wrong), wrong
