"""Whether a shared secret is one that nobody guesses."""

from __future__ import annotations

import math
import string

WEAK_BELOW_BITS = 80

_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_OTHER_CHARACTERS = 33


def guessing_bits(secret: str) -> int:
    """At most this many bits of guessing, by the look of it: length times variety.

    A random secret looks as strong as it is; words look stronger than they are.
    """
    alphabet = sum(len(kind) for kind in _ALPHABETS if set(kind) & set(secret))
    if set(secret) - set("".join(_ALPHABETS)):
        alphabet += _OTHER_CHARACTERS
    variety = min(alphabet, len(set(secret)))
    return int(len(secret) * math.log2(variety)) if variety > 1 else 1


def weakness(secret: bytes) -> str | None:
    """What an attacker could do with a weak secret, and how to make a good one; else None."""
    bits = guessing_bits(secret.decode("latin-1"))
    if bits >= WEAK_BELOW_BITS:
        return None
    return (
        f"This key is weak (about {bits} bits of guessing; {WEAK_BELOW_BITS} are the least). The "
        "tunnel works, and who only listens learns nothing. But somebody who puts himself between "
        "the two hosts once can let one of them begin, take its answer home, try one word after "
        "the other until it fits, and from then on pose as either host. A good key: "
        "`hushwire genpsk -o FILE`, the same FILE on both hosts, and -key @FILE."
    )
