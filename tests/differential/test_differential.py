"""A slice of what `make differential` does with millions of packets."""

from __future__ import annotations

import random
from collections.abc import Generator

import pytest

from tests.differential.run import Subjects, both, differ, flip_every_bit

ENGINES = pytest.importorskip("tests.conformance.hosts").ENGINES


@pytest.fixture(scope="module")
def subjects() -> Generator[Subjects]:
    if "native" not in ENGINES:
        pytest.skip("the native engine is not here")
    with both() as running:
        yield running


def test_both_engines_do_the_same_with_thousands_of_random_packets(subjects: Subjects) -> None:
    rng = random.Random(0)
    done = sum(differ(subjects, rng, number, packets=100) for number in range(40))
    assert done == 8000


def test_a_packet_with_any_one_bit_changed_is_refused_by_both_for_the_same_reason(
    subjects: Subjects,
) -> None:
    rng = random.Random(0)
    changed = sum(flip_every_bit(subjects, rng, 1000 + number) for number in range(8))
    assert changed > 4000
