"""What `hushwire quick` makes of its line, and what it thinks of a key."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from hushwire.config.quick import derive_addresses
from hushwire.config.strength import weakness

_V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
_V6 = st.integers(0, 2**128 - 1).map(IPv6Address)


@given(st.one_of(st.tuples(_V4, _V4), st.tuples(_V6, _V6)).filter(lambda ends: ends[0] != ends[1]))
def test_both_hosts_derive_two_ends_of_the_same_networks(
    ends: tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address],
) -> None:
    alice, bob = derive_addresses(*ends), derive_addresses(ends[1], ends[0])
    for mine, theirs in zip(alice, bob, strict=True):
        assert mine.network == theirs.network
        assert mine.ip != theirs.ip
        assert mine.ip not in ends
        assert mine.ip in theirs.network
        assert mine.ip != mine.network.network_address


@given(st.binary(min_size=32, max_size=32).filter(lambda key: len(set(key)) > 10))
def test_a_random_key_is_not_called_weak(key: bytes) -> None:
    assert weakness(base64.b64encode(key)) is None


def test_what_a_person_types_is() -> None:
    for key in (
        b"256",
        b"secret",
        b"hushwire123",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"Alice&Bob",
    ):
        assert weakness(key) is not None
