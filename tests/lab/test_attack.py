"""eve against every key pair there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.lab.attack import (
    GENERATOR,
    PRIME,
    decipher,
    discrete_logarithms,
    holds_under_any_key,
    secret_by_ending,
    secret_by_letters,
    secret_of,
)
from hushwire.lab.conversation import LINES

EXPONENTS = range(1, PRIME)
SAID = [f"{line}\n".encode() for _, line in LINES]


def test_from_any_two_public_values_the_secret_follows() -> None:
    for a, b in itertools.product(EXPONENTS, EXPONENTS):
        alice, bob = pow(GENERATOR, a, PRIME), pow(GENERATOR, b, PRIME)
        assert discrete_logarithms(alice) == [a]
        assert discrete_logarithms(bob) == [b]
        secret = secret_of(alice, bob)
        assert secret == secret_of(bob, alice) == pow(GENERATOR, a * b, PRIME)
        assert secret in EXPONENTS


@given(st.integers(), st.sampled_from(EXPONENTS))
def test_what_is_no_public_value_has_no_logarithm_and_no_secret(value: int, public: int) -> None:
    if value in EXPONENTS:
        return
    assert discrete_logarithms(value) == []
    assert secret_of(value, public) is secret_of(public, value) is None


def test_without_the_exchange_what_they_say_tells_the_key() -> None:
    for key in range(256):
        sealed = [decipher(line, key) for line in SAID]
        assert secret_by_ending(sealed) == key
        assert secret_by_letters(sealed) == key
        assert [decipher(line, key) for line in sealed] == SAID


@pytest.mark.parametrize("line", SAID)
def test_one_line_alone_is_enough_for_statistics(line: bytes) -> None:
    assert [secret_by_letters([decipher(line, key)]) for key in range(256)] == list(range(256))


def test_a_text_is_found_in_other_octets_whatever_octet_hides_it() -> None:
    for key in range(256):
        frame = b"\1\2\3" + decipher(b"under the mat", key) + b"\4"
        assert holds_under_any_key(frame, b"under the mat")
        assert not holds_under_any_key(frame, b"under the cat")


@given(st.lists(st.binary(), max_size=5))
def test_any_octets_at_all_are_no_error(payloads: list[bytes]) -> None:
    assert secret_by_letters(payloads) in {None, *range(256)}
    endings = {payload[-1] for payload in payloads if payload}
    expected = endings.pop() ^ 0x0A if len(endings) == 1 else None
    assert secret_by_ending(payloads) == expected
