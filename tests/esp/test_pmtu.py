"""The path MTU state machine on simulated paths, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.esp.pmtu import (
    AGEING_SECONDS,
    CONFIRM_SECONDS,
    DEAF_SECONDS,
    FINE_ENOUGH,
    LEAST,
    PathMtu,
)

versions = pytest.mark.parametrize("version", [4, 6])


class World:
    """A path that takes `takes` octets in one piece, and a clock."""

    def __init__(self, version: int, link: int, takes: int, *, icmp: bool = False) -> None:
        self.now = 100.0
        self.takes = takes
        self.icmp = icmp
        self.probes: list[int] = []
        self.path = PathMtu(version, link, self.now)

    def step(self, *, used: bool = True) -> None:
        """To the next deadline, and what the network does then."""
        self.now = max(self.now, self.path.deadline)
        size = self.path.timer(self.now, used=used)
        if size is None:
            return
        self.probes.append(size)
        if size <= self.takes:
            self.path.answered(size, self.now + 0.05)
        elif self.icmp:
            self.path.too_big(self.takes, self.now + 0.05)

    def settle(self) -> None:
        """Until nothing is looked for any more."""
        for _ in range(200):
            if not self.path.awaited:
                return
            self.step()
        raise AssertionError("the search does not end")

    def pass_time(self, seconds: float, *, used: bool = True) -> None:
        until = self.now + seconds
        for _ in range(1000):
            if self.path.deadline > until:
                break
            self.step(used=used)
        self.now = until


@given(
    version=st.sampled_from([4, 6]),
    link=st.integers(576, 65535),
    share=st.floats(0, 1),
    icmp=st.booleans(),
)
def test_it_finds_what_the_path_takes_with_icmp_and_without(
    version: int, link: int, share: float, icmp: bool
) -> None:
    link = max(link, LEAST[version])
    takes = LEAST[version] + int(share * (link - LEAST[version]))
    world = World(version, link, takes, icmp=icmp)
    world.settle()
    assert world.path.known
    assert takes - FINE_ENOUGH < world.path.mtu <= takes
    assert world.path.whole == world.path.mtu
    if icmp or takes == link:
        assert world.path.mtu == takes
        assert len(world.probes) <= 2


@given(
    link=st.integers(1280, 9000),
    takes=st.integers(1280, 9000),
    later=st.integers(1280, 9000),
    icmp=st.booleans(),
)
def test_ipv6_never_sends_in_one_piece_what_was_not_proved(
    link: int, takes: int, later: int, icmp: bool
) -> None:
    world = World(6, link, takes, icmp=icmp)
    while world.path.awaited:
        assert world.path.whole <= takes or world.path.whole == 1280
        world.step()
    world.takes = later
    world.pass_time(CONFIRM_SECONDS + 4.0)
    # A minute and three lost probes later at most, nothing too large goes out whole any more.
    assert world.path.whole <= later or world.path.whole == 1280


@versions
def test_a_peer_that_answers_nothing_leaves_what_is_safe(version: int) -> None:
    world = World(version, 1500, 0)
    world.settle()
    assert not world.path.known
    assert world.path.mtu == world.path.whole == {4: 1500, 6: 1280}[version]
    assert len(world.probes) == 6
    world.pass_time(AGEING_SECONDS - 60)
    assert len(world.probes) == 6
    world.takes = 1500
    world.pass_time(120)
    assert (world.path.mtu, world.path.known) == (1500, True)


@versions
def test_inner_packets_are_sized_for_the_link_while_the_first_search_goes_on(version: int) -> None:
    world = World(version, 9000, 2000)
    world.step()
    assert (world.path.mtu, world.path.whole) == (9000, {4: 9000, 6: 1280}[version])


@versions
def test_a_path_that_takes_more_again_is_noticed_after_ten_minutes(version: int) -> None:
    world = World(version, 1500, 1400)
    world.settle()
    world.takes = 1500
    world.pass_time(AGEING_SECONDS - CONFIRM_SECONDS)
    assert world.path.mtu < 1500
    world.pass_time(2 * CONFIRM_SECONDS)
    assert world.path.mtu == 1500


@versions
def test_a_path_that_takes_less_is_noticed_within_a_minute_of_use(version: int) -> None:
    world = World(version, 1500, 1500)
    world.settle()
    world.takes = 1300
    world.pass_time(CONFIRM_SECONDS * 3, used=False)
    assert world.path.mtu == 1500  # nothing was sent, so nothing was lost: no probes either
    assert world.probes == [1500]
    world.pass_time(CONFIRM_SECONDS + 40)
    assert 1292 < world.path.mtu <= 1300


@versions
def test_an_icmp_error_lowers_at_once_and_a_probe_proves_it(version: int) -> None:
    world = World(version, 1500, 1500)
    world.settle()
    world.takes = 1400
    assert world.path.too_big(1400, world.now)
    assert world.path.mtu == world.path.whole == 1400
    world.settle()
    assert world.path.mtu == 1400
    assert world.path.known


@versions
def test_a_forged_icmp_error_is_undone_by_the_next_answer_and_its_like_not_heard(
    version: int,
) -> None:
    world = World(version, 1500, 1500)
    world.settle()
    assert world.path.too_big(1300, world.now)
    world.step()
    assert world.path.mtu == 1500
    assert not world.path.too_big(1300, world.now + 1)
    assert world.path.mtu == 1500
    assert world.path.too_big(1300, world.now + DEAF_SECONDS + 1)


@versions
def test_absurd_errors_are_not_believed(version: int) -> None:
    world = World(version, 1500, 1500)
    world.settle()
    for absurd in (0, 68, LEAST[version] - 1, 1500, 1501, 65535, 1 << 31):
        assert not world.path.too_big(absurd, world.now)
    assert world.path.mtu == 1500


@given(
    version=st.sampled_from([4, 6]),
    told=st.lists(st.tuples(st.booleans(), st.integers(0, 70000), st.floats(0, 90)), max_size=30),
)
def test_whatever_is_forged_the_estimate_stays_between_the_least_and_the_link(
    version: int, told: list[tuple[bool, int, float]]
) -> None:
    world = World(version, 9000, 9000)
    for answer, size, seconds in told:
        world.now += seconds
        world.path.timer(world.now)
        if answer:
            world.path.answered(size, world.now)
        else:
            world.path.too_big(size, world.now)
        assert LEAST[version] <= world.path.whole <= world.path.mtu <= 9000
    world.pass_time(AGEING_SECONDS + DEAF_SECONDS + 60)
    assert world.path.mtu == 9000


def test_a_late_answer_to_another_size_is_nothing() -> None:
    world = World(6, 1500, 0)
    world.step()
    world.path.answered(1280, world.now)
    assert world.path.whole == 1280
    assert not world.path.known


def test_a_link_at_the_least_size_needs_one_probe() -> None:
    world = World(6, 1280, 1280)
    world.settle()
    assert (world.path.mtu, world.probes) == (1280, [1280])
