"""MODP groups (RFC 3526), and the public values that RFC 6989 forbids."""

from __future__ import annotations

import os

import pytest

from hushwire.crypto import modp
from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import KeyExchange, exchange
from hushwire.wire.registry import KeyExchangeId

NUMBERS = {2048: 14, 3072: 15, 4096: 16, 6144: 17, 8192: 18}

# What follows the first 64 ones: digits of pi, the same in all of them (RFC 3526).
PI = "C90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"


def group(bits: int) -> KeyExchange:
    found = exchange(NUMBERS[bits])
    assert found is not None
    return found


@pytest.mark.parametrize("bits", NUMBERS)
def test_the_prime_is_that_of_the_rfc(bits: int) -> None:
    prime = modp.group(bits).prime
    text = f"{prime:X}"
    assert prime.bit_length() == bits
    assert text[:16] == text[-16:] == "F" * 16
    assert text[16:].startswith(PI)
    # A safe prime: only the right offset makes one (a wrong one is caught by chance 1 in 2^40).
    for number in (prime, (prime - 1) // 2):
        assert pow(2, number - 1, number) == 1
        assert pow(3, number - 1, number) == 1


@pytest.mark.parametrize("bits", [2048, 3072])
def test_values_that_leave_no_secret_are_refused(bits: int) -> None:
    method, prime = group(bits), modp.group(bits).prime
    for bad in (0, 1, prime - 1, prime, prime + 1, (1 << bits) - 1):
        octets = bad.to_bytes(bits // 8, "big")
        with pytest.raises(BadPublicValueError, match="between 1 and p - 1"):
            method.answer(octets, os.urandom)
        with pytest.raises(BadPublicValueError, match="between 1 and p - 1"):
            method.offer(os.urandom).finish(octets)
    for good in (2, prime - 2):
        method.answer(good.to_bytes(bits // 8, "big"), os.urandom)


def test_public_values_and_secrets_are_as_long_as_the_prime() -> None:
    """RFC 7296 §2.14, §3.4: zeros in front are kept."""
    made = modp.group(2048)
    assert made.public(1) == (2).to_bytes(256, "big")
    assert made.shared(1, (3).to_bytes(256, "big")) == (3).to_bytes(256, "big")
    assert group(2048).method == KeyExchangeId.MODP_2048
