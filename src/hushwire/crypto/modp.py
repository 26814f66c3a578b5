"""Diffie-Hellman modulo the primes of RFC 3526, for peers that have nothing better.

The numbers are Python's own, so an operation takes a time that depends on its exponent. That tells
nothing of use: each exponent is for one exchange only.
"""

from __future__ import annotations

from functools import cache

from hushwire.records import dataclass

_GENERATOR = 2

# RFC 3526 §3 to §7: what is added to the digits of pi so that the number is prime; §8: how many
# bits an exponent has at most that is as hard to find as the group is to break.
_GROUPS = {
    2048: (124476, 320),
    3072: (1690314, 420),
    4096: (240904, 480),
    6144: (929484, 540),
    8192: (4743158, 620),
}


@dataclass(frozen=True, slots=True)
class Group:
    """One group, by its prime. All values are big-endian and as long as the prime (RFC 7296 §3.4).

    `exponent_octets`: how many random octets a private value has.
    """

    prime: int
    exponent_octets: int

    @property
    def _octets(self) -> int:
        return self.prime.bit_length() // 8

    def public(self, private: int) -> bytes:
        """g^private."""
        return pow(_GENERATOR, private, self.prime).to_bytes(self._octets, "big")

    def shared(self, private: int, peer_public: bytes) -> bytes:
        """The peer's public value to the power of `private`.

        Raises `ValueError` for one that RFC 6989 §2.1 forbids. The primes are safe: but for 1 and
        p - 1, which would leave one of two secrets, every value generates a large subgroup.
        """
        value = int.from_bytes(peer_public, "big")
        if not 1 < value < self.prime - 1:
            raise ValueError("is not between 1 and p - 1")
        return pow(value, private, self.prime).to_bytes(self._octets, "big")


@cache
def group(bits: int) -> Group:
    """The group with a prime of so many bits, 2048 to 8192."""
    offset, exponent_bits = _GROUPS[bits]
    low = (_pi(bits - 130) + offset) << 64
    prime = (1 << bits) - (1 << (bits - 64)) - 1 + low
    return Group(prime, (exponent_bits + 7) // 8)


def _pi(bits: int) -> int:
    """The integer part of 2^bits times pi, by Machin's formula."""
    guard = 64  # the error of each term is below 1, and there are few thousand
    one = 1 << (bits + guard)
    return (16 * _arctan(5, one) - 4 * _arctan(239, one)) >> guard


def _arctan(inverse: int, one: int) -> int:
    """arctan(1 / inverse), in units of 1 / one."""
    total = term = one // inverse
    square, divisor, sign = inverse * inverse, 1, 1
    while term:
        term //= square
        divisor += 2
        sign = -sign
        total += sign * (term // divisor)
    return total
