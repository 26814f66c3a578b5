"""The same targets as `run.py`, with a few thousand inputs that are the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from hushwire.wire.ip import parse_flow
from tests.fuzz.targets import SEEDS, TARGETS

ROUNDS = 2000


def _mutant(rng: Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        where = rng.randint(0, len(data))
        match rng.randrange(5):
            case 0:
                data[where : where + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF])])
            case 1:
                data[where : where + 1] = rng.randbytes(1)
            case 2:
                del data[where : where + rng.randint(1, 16)]
            case 3:
                data[where:where] = rng.randbytes(rng.randint(1, 16))
            case _:
                start = rng.randint(0, len(seed))
                data[where:where] = seed[start : start + rng.randint(1, 64)]
    return bytes(data)


def _inputs(name: str) -> Iterator[bytes]:
    rng = Random(name)
    for seed in SEEDS[name]:
        yield from (seed[:length] for length in range(len(seed) + 1))
    for _ in range(ROUNDS):
        yield rng.randbytes(rng.randint(0, 120))
        yield _mutant(rng, rng.choice(SEEDS[name]))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_meets_no_bug(name: str) -> None:
    for data in _inputs(name):
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"target {name}, input {data.hex()}")
            raise


def test_every_target_has_seeds() -> None:
    assert SEEDS.keys() == TARGETS.keys()
    assert all(SEEDS.values())


def test_the_packets_to_begin_with_are_valid() -> None:
    assert {parse_flow(packet).protocol for packet in SEEDS["flow"]} == {1, 6, 17}
