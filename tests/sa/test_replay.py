from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.sa.replay import ReplayWindow

SUBSPACE = 1 << 32


class NaiveWindow:
    """RFC 4303 §3.4.3 word for word: a set of everything seen, and the highest number."""

    def __init__(self, size: int, last: int) -> None:
        self.size, self.last = size, last
        self.top = 0
        self.seen: set[int] = set()

    def accepts(self, sequence: int) -> bool:
        return (
            0 < sequence <= self.last
            and sequence > self.top - self.size
            and sequence not in self.seen
        )

    def note(self, sequence: int) -> None:
        self.seen.add(sequence)
        self.top = max(self.top, sequence)


def walk(starts: tuple[int, ...]) -> st.SearchStrategy[tuple[int, int, list[int]]]:
    """A window size, a first number, and steps relative to the top: near it, or a long way on."""
    near = st.integers(-140, 140) | st.integers(-8200, 8200)
    far = st.integers(-(1 << 34), 1 << 31)
    return st.tuples(
        st.sampled_from((32, 33, 64, 1024, 8192)),
        st.sampled_from(starts),
        st.lists(near | far, max_size=60),
    )


STARTS = (1, 31, 32, 100, SUBSPACE - 60)


@given(walk(STARTS))
def test_without_esn_the_window_agrees_with_a_set_of_all_numbers_seen(
    case: tuple[int, int, list[int]],
) -> None:
    size, start, steps = case
    window, naive = ReplayWindow(size, esn=False), NaiveWindow(size, SUBSPACE - 1)
    for step in [start, *steps]:
        sequence = min(max(naive.top + step, 0), SUBSPACE - 1)
        assert window.recover(sequence) == sequence
        agrees_on(window, naive, sequence)


@given(walk((*STARTS, 3 * SUBSPACE - 50, 7 * SUBSPACE, 1 << 63)))
def test_with_esn_the_window_also_recovers_the_high_bits(
    case: tuple[int, int, list[int]],
) -> None:
    size, start, steps = case
    window, naive = ReplayWindow(size, esn=True), NaiveWindow(size, (1 << 64) - 1)
    assert window.commit(start)
    naive.note(start)
    for step in steps:
        sequence = max(naive.top + step, 0)
        # Appendix A2.2 determines one number in each 2^32 that begin at the window's bottom.
        bottom = naive.top - size + 1
        if max(bottom, 0) <= sequence < bottom + SUBSPACE:
            assert window.recover(sequence % SUBSPACE) == sequence
        agrees_on(window, naive, sequence)


def agrees_on(window: ReplayWindow, naive: NaiveWindow, sequence: int) -> None:
    accepted = naive.accepts(sequence)
    assert window.check(sequence) == accepted
    assert window.commit(sequence) == accepted
    if accepted:
        naive.note(sequence)
    assert window.top == naive.top
    assert not window.check(sequence)


def test_zero_is_never_a_sequence_number() -> None:
    for esn in (False, True):
        window = ReplayWindow(64, esn=esn)
        assert not window.check(window.recover(0))
        assert not window.commit(0)


def test_low_bits_zero_are_a_number_like_any_other_once_esn_has_wrapped() -> None:
    window = ReplayWindow(64, esn=True)
    assert window.commit(SUBSPACE - 2)
    assert window.recover(0) == SUBSPACE
    assert window.commit(SUBSPACE)
    assert window.recover(SUBSPACE - 1) == SUBSPACE - 1
    assert window.commit(SUBSPACE - 1)


def test_nothing_lies_beyond_the_last_number() -> None:
    for esn, last in ((False, SUBSPACE - 1), (True, (1 << 64) - 1)):
        window = ReplayWindow(64, esn=esn)
        assert window.commit(last)
        assert not window.check(last + 1)
        assert not window.check(window.recover(5)), "a wrapped counter would reuse nonces"


@pytest.mark.parametrize("size", [0, 31, SUBSPACE])
def test_sizes_that_the_rfc_excludes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="replay window"):
        ReplayWindow(size, esn=True)
