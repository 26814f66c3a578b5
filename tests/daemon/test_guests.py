"""How many strangers may be at the TCP port, and for how long."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from hushwire.daemon.guests import GuestLimits, Guests
from hushwire.sa.association import Address, Carrier, Path

BOB = Address(ip_address("192.0.2.2"), 4500)


def path(ip: str, port: int = 40000) -> Path:
    return Path(BOB, Address(ip_address(ip), port), Carrier.TCP)


def source(number: int) -> str:
    return str(ip_address("198.51.0.0") + number)


def test_one_source_gets_so_many_and_others_are_not_touched() -> None:
    guests = Guests()
    for port in range(8):
        assert guests.enter(path("192.0.2.1", port), 0) is None
    ninth = path("192.0.2.1", 9)
    assert guests.enter(ninth, 0) == ninth
    assert ninth not in guests
    assert guests.enter(path("192.0.2.3"), 0) is None
    guests.left(path("192.0.2.1", 0))
    assert guests.enter(ninth, 0) is None


def test_a_whole_ipv6_network_is_one_source() -> None:
    guests = Guests()
    for host in range(8):
        assert guests.enter(path(f"2001:db8::{host}"), 0) is None
    ninth = path("2001:db8::9")
    assert guests.enter(ninth, 0) == ninth
    assert guests.enter(path("2001:db8:0:1::9"), 0) is None


def test_when_there_are_too_many_in_all_the_oldest_goes() -> None:
    guests = Guests()
    for number in range(256):
        assert guests.enter(path(source(number)), number) is None
    assert guests.enter(path(source(1000)), 300) == path(source(0))
    assert guests.enter(path(source(1001)), 301) == path(source(1))
    assert len(guests) == 256


def test_who_has_an_ike_sa_counts_no_more_and_is_never_thrown_out() -> None:
    guests = Guests(GuestLimits(strangers=2, of_one_source=2))
    friends = {path("192.0.2.1", port) for port in range(10)}
    for friend in sorted(friends):
        assert guests.enter(friend, 0) is None
        assert guests.review(friends, 0) == []
    for number in range(10):
        assert guests.enter(path(source(number)), 1) not in friends
    assert guests.review(friends, 1000) == [path(source(8)), path(source(9))]
    assert all(friend in guests for friend in friends)


def test_who_loses_its_ike_sa_has_the_time_of_a_stranger_again() -> None:
    guests = Guests()
    friend = path("192.0.2.1")
    guests.enter(friend, 0)
    assert guests.review({friend}, 100) == []
    assert guests.review(set(), 200) == []
    assert guests.review(set(), 229) == []
    assert guests.review(set(), 230) == [friend]


def test_the_same_path_twice_is_refused() -> None:
    guests = Guests()
    guests.enter(path("192.0.2.1"), 0)
    assert guests.enter(path("192.0.2.1"), 0) == path("192.0.2.1")
    assert len(guests) == 1


_STEPS = st.tuples(
    st.sampled_from(["enter", "left", "review"]), st.integers(0, 5), st.integers(0, 3)
)


@given(st.lists(_STEPS))
def test_whatever_happens_nobody_is_counted_who_has_gone(
    story: list[tuple[str, int, int]],
) -> None:
    limits = GuestLimits(strangers=4, of_one_source=2, seconds=5)
    guests = Guests(limits)
    established: set[Path] = set()
    there: set[Path] = set()
    for now, (what, number, port) in enumerate(story):
        one = path(source(number), port)
        if what == "enter" and one not in there:
            there |= {one}
            there -= {gone for gone in [guests.enter(one, now)] if gone}
        elif what == "left":
            guests.left(one)
            there -= {one}
            established -= {one}
        elif what == "review":
            established ^= {one} & there
            for overdue in guests.review(established, now):
                guests.left(overdue)
                there -= {overdue}
        assert {p for p in there if p in guests} == there
        assert len(guests) == len(there)
    for one in there:
        guests.left(one)
    for number in range(2):
        for port in range(2):
            assert guests.enter(path(source(number), port), 0) is None
