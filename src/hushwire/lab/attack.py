"""eve against the classroom's cipher: what she makes of the UDP payloads that she has recorded.

alice and bob agree on a secret by Diffie-Hellman with p = 23 and g = 5 and XOR every octet with it.
eve needs no luck and no fast machine; each of three ways is enough:

    discrete_logarithms    there are 22 private exponents: she tries them
    secret_by_ending       a typed line ends with a newline: one known octet is all of the key
    secret_by_letters      of the 256 keys one makes English of what they say

Pure: octets in, facts out. Nothing here knows what alice and bob know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import field

from hushwire.records import dataclass

PRIME = 23
GENERATOR = 5

KEYS = range(256)
"""Every key that an XOR with one octet can have."""

_NEWLINE = 0x0A

_MAGIC = b"HUSHWIRE-LESSON!"
_EXCHANGE_OCTETS = 32
_PUBLIC_AT = slice(20, 24)


@dataclass(frozen=True, slots=True)
class Heard:
    """A UDP payload that eve has: from whom, to whom, and its number in her recording."""

    number: int
    source: str
    destination: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """What was said between two hosts under one pair of public values.

    `publics` maps addresses to values: two, or fewer where the recording began too late.
    """

    publics: dict[str, int]
    messages: list[Heard] = field(default_factory=list)

    @property
    def secret(self) -> int | None:
        """By the public values, if eve has both of them."""
        if len(self.publics) != 2:
            return None
        return secret_of(*self.publics.values())


def sessions(recording: Iterable[Heard]) -> list[Session]:
    """The recording, divided: a host that starts anew has another public value from then on."""
    publics: dict[frozenset[str], dict[str, int]] = {}
    found: dict[tuple[frozenset[str], tuple[tuple[str, int], ...]], Session] = {}
    for heard in recording:
        pair = frozenset((heard.source, heard.destination))
        known = publics.setdefault(pair, {})
        public = public_value(heard.payload)
        if public is not None:
            known[heard.source] = public
        key = pair, tuple(sorted(known.items()))
        if len(known) == 2 or public is None:
            session = found.setdefault(key, Session(dict(sorted(known.items()))))
            if public is None:
                session.messages.append(heard)
    spoken = [session for session in found.values() if session.messages]
    return spoken or list(found.values())


def public_value(payload: bytes) -> int | None:
    """The public value in a packet of the key exchange; None for everything else."""
    if len(payload) != _EXCHANGE_OCTETS or not payload.startswith(_MAGIC):
        return None
    return int.from_bytes(payload[_PUBLIC_AT], "big")


# Per thousand characters of English text, small letters; what is not named here is rare.
_PER_THOUSAND = {
    " ": 180, "e": 104, "t": 74, "a": 67, "o": 61, "i": 57, "n": 57, "s": 52, "h": 50, "r": 49,
    "d": 35, "l": 33, "c": 23, "u": 23, "m": 20, "w": 19, "f": 18, "g": 16, "y": 16, "p": 15,
    "b": 12, "v": 8, "k": 6, ",": 10, ".": 10, "\n": 10, "'": 2, "x": 1, "j": 1, "q": 1, "z": 1,
}  # fmt: skip
_PER_THOUSAND_CAPITAL = 1.0
_PER_THOUSAND_PRINTED = 0.3
_PER_THOUSAND_OTHER = 0.001


def discrete_logarithms(public: int) -> list[int]:
    """Every private exponent from 1 to 22 whose public value this is; none for what is no value."""
    return [x for x in range(1, PRIME) if pow(GENERATOR, x, PRIME) == public]


def secret_of(public: int, others_public: int) -> int | None:
    """The secret that two public values lead to, from these alone; None if one is no such value."""
    ours, theirs = discrete_logarithms(public), discrete_logarithms(others_public)
    if not ours or not theirs:
        return None
    # 5 generates all of 1 to 22, so each has one logarithm, and either one is enough.
    return pow(others_public, ours[0], PRIME)


def secret_by_ending(payloads: Iterable[bytes]) -> int | None:
    """By known plaintext: lines end with a newline. None if they do not agree on one key."""
    keys = {payload[-1] ^ _NEWLINE for payload in payloads if payload}
    return keys.pop() if len(keys) == 1 else None


def secret_by_letters(payloads: Sequence[bytes]) -> int | None:
    """By statistics: the key under which it reads most like English. None if there is nothing."""
    octets = b"".join(payloads)
    if not octets:
        return None
    counts = [octets.count(value) for value in KEYS]
    return max(KEYS, key=lambda key: _likeness(counts, key))


def decipher(payload: bytes, secret: int) -> bytes:
    """What was said. To encipher is the same."""
    return bytes(octet ^ secret for octet in payload)


def holds_under_any_key(octets: bytes, text: bytes) -> bool:
    """Whether `text` stands anywhere in `octets`, in clear or XOR one octet, whichever."""
    return any(decipher(text, key) in octets for key in KEYS)


def _likeness(counts: Sequence[int], key: int) -> float:
    """How likely English text is to have these octets, if `key` is the key: a logarithm."""
    return sum(count * _LOG_LIKELIHOOD[value ^ key] for value, count in enumerate(counts) if count)


def _per_thousand(octet: int) -> float:
    character = chr(octet)
    if character in _PER_THOUSAND:
        return _PER_THOUSAND[character]
    if character.lower() in _PER_THOUSAND:
        return _PER_THOUSAND_CAPITAL
    return _PER_THOUSAND_PRINTED if 0x20 <= octet < 0x7F else _PER_THOUSAND_OTHER


_LOG_LIKELIHOOD = [math.log(_per_thousand(octet)) for octet in KEYS]
