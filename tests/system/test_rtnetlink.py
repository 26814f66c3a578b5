from __future__ import annotations

import errno
import socket

import pytest

from hushwire.lab.topology import Topology
from hushwire.system.rtnetlink import GET_LINK, LINK, NEW_LINK, Rtnetlink, attribute, attributes
from tests.netns.inside import inside

_IFLA_IFNAME = 3


@pytest.mark.parametrize("value", [b"", b"a", b"abc", b"abcd", b"abcde"])
def test_an_attribute_ends_where_the_next_one_may_begin(value: bytes) -> None:
    both = attribute(1, value) + attribute(2, 0x01020304)
    assert len(both) % 4 == 0
    assert attributes(both) == {1: value, 2: (0x01020304).to_bytes(4, "little")} or (
        attributes(both) == {1: value, 2: (0x01020304).to_bytes(4, "big")}
    )


def test_attributes_nest_and_their_flags_do_not_count() -> None:
    nested = attribute(0x8000 | 18, attribute(1, b"tun\0"))
    assert attributes(attributes(nested)[18]) == {1: b"tun\0"}


@pytest.mark.parametrize("octets", [b"\0", b"\0\0\0\0", b"\xff\xff\1\0", b"\1\0\1\0\0"])
def test_what_is_no_attribute_ends_all_the_same(octets: bytes) -> None:
    assert len(attributes(octets)) <= 1


def test_the_kernel_answers_one_question_and_lists_everything(topology: Topology) -> None:
    with inside(topology, "alice"), Rtnetlink() as rtnetlink:
        index = socket.if_nametoindex("eth0")
        one = rtnetlink.one(GET_LINK, LINK.pack(0, 0, index, 0, 0))
        assert one.attributes[_IFLA_IFNAME] == b"eth0\0"
        names = {
            link.attributes[_IFLA_IFNAME] for link in rtnetlink.all(GET_LINK, LINK.pack(*[0] * 5))
        }
        assert names == {name.encode() + b"\0" for _, name in socket.if_nameindex()}


def test_the_kernels_refusal_is_an_error_with_its_number(topology: Topology) -> None:
    with inside(topology, "alice"), Rtnetlink() as rtnetlink:
        for order in (rtnetlink.one, rtnetlink.order):
            with pytest.raises(OSError, match="No such device") as refused:
                order(GET_LINK if order == rtnetlink.one else NEW_LINK, LINK.pack(0, 0, 9999, 0, 0))
            assert refused.value.errno == errno.ENODEV
