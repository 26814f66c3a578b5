"""Our `dataclass` is the standard one as far as anybody here can tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hushwire.records import dataclass


def _classes(make: Any) -> tuple[type, type, type, type]:  # noqa: ANN401 (either decorator)
    @make(frozen=True, slots=True)
    class Point:
        x: int
        y: str = dataclasses.field(default="a", repr=False)
        z: int = dataclasses.field(default=0, compare=False)

    @make(frozen=True, slots=True)
    class Empty:
        pass

    @make(slots=True)
    class Changing:
        x: int

    @make(frozen=True, slots=True)
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    return Point, Empty, Changing, Own


@pytest.mark.parametrize("make", [dataclass, dataclasses.dataclass])
def test_both_compare_hash_and_print_alike(make: Any) -> None:  # noqa: ANN401
    point, empty, changing, own = _classes(make)
    assert point(1, "b", 2) == point(1, "b", 3) != point(1, "c", 2)
    assert hash(point(1, "b", 2)) == hash(point(1, "b", 3)) != hash(point(2, "b", 2))
    assert repr(point(1)).endswith("Point(x=1, z=0)")
    assert (empty() == empty(), hash(empty()) == hash(empty())) == (True, True)
    assert repr(empty()).endswith("Empty()")
    assert point(1) != changing(1) != empty()
    assert changing(1) == changing(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(changing(1))
    assert (own(1) == 5, hash(own(1)), repr(own(1))) == (True, 7, "own")
    assert dataclasses.replace(point(1), x=2) == point(2)
    assert not hasattr(point(1), "__dict__")
    match point(4, "d"):
        case object(x=x):
            assert x == 4


def test_classes_of_one_shape_are_not_equal() -> None:
    @dataclass(frozen=True, slots=True)
    class One:
        spi: int

    @dataclass(frozen=True, slots=True)
    class Other:
        spi: int

    one, other = One(1), Other(1)
    assert one.__eq__(other) is NotImplemented
    assert {one, other} == {other, one}
    assert len({one, other}) == 2


def test_what_has_no_comparison_is_itself_alone() -> None:
    @dataclass(frozen=True, slots=True, eq=False, repr=False)
    class Token:
        x: int

    token = Token(1)
    assert token == token  # noqa: PLR0124
    assert token != Token(1)
    assert {token}
    assert repr(token).startswith("<")
