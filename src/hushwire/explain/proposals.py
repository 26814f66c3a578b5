"""Two sides' proposals side by side: where they differ, and the smallest change that ends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.names import REFUSED, SUPPORTED
from hushwire.records import dataclass
from hushwire.wire.registry import TransformType

# A transform without a name of its own is "encr-99" or "type6-1/256".
_TOKEN = re.compile(r"(?:encr|prf|integ|ke|esn|type\d+)-\d+(?:/\d+)?|[^-]+")
_ADDITIONAL = re.compile(r"ke(\d)_")
_KINDS = {
    TransformType.ENCR: "encryption",
    TransformType.INTEG: "integrity",
    TransformType.PRF: "PRF",
    TransformType.KE: "key exchange",
    TransformType.ESN: "sequence numbers",
}
_BY_NUMBER = {"encr": "encryption", "integ": "integrity", "prf": "PRF", "ke": "key exchange"}
_NOTHING = "none"
_AEADS = frozenset(cipher.name for cipher in CIPHERS if cipher.integrity is None)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of algorithm: what each side accepts. `ours` and `theirs` may be empty."""

    kind: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]

    @property
    def common(self) -> tuple[str, ...]:
        """What both accept, in our order; where both want none, that is in common too."""
        found = tuple(name for name in self.ours if name in self.theirs)
        return found or (() if self.ours or self.theirs else (_NOTHING,))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two proposals that are nearest to each other. `theirs_number` counts from 1."""

    rows: tuple[Row, ...]
    ours_number: int
    theirs_number: int

    @property
    def differing(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.common)

    @property
    def change_here(self) -> str:
        """The proposal that would do if we changed; "" if theirs is nothing that we can do."""
        chosen: list[str] = []
        for row in self.rows:
            able = [name for name in row.theirs if name in SUPPORTED]
            if row.common:
                chosen += [name for name in row.common[:1] if name != _NOTHING]
            elif row.theirs and not able:
                return ""
            else:
                chosen += able[:1]
        return _join(chosen)

    @property
    def change_there(self) -> str:
        """The proposal that would do if the peer changed."""
        kept = [row.common[0] if row.common else next(iter(row.ours), "") for row in self.rows]
        return _join(name for name in kept if name != _NOTHING)

    @property
    def unable(self) -> tuple[str, ...]:
        """Why we cannot take theirs, one sentence for each algorithm."""
        return tuple(
            f"{name} {REFUSED[name].reason if name in REFUSED else 'is not known here'}"
            for row in self.differing
            for name in row.theirs
            if row.theirs and name not in SUPPORTED
        )


def nearest(ours: Sequence[str], theirs: Sequence[str]) -> Comparison:
    """Compare each proposal of ours with each of theirs; both have at least one.

    The nearest pair differs in the fewest kinds of algorithm; among equals the one we prefer.
    """
    every = [
        Comparison(_rows(our, their), number, their_number)
        for number, our in enumerate(ours, start=1)
        for their_number, their in enumerate(theirs, start=1)
    ]
    return min(every, key=lambda found: (len(found.differing), not found.change_here))


def by_kind(text: str) -> dict[str, tuple[str, ...]]:
    """The algorithms of one proposal, in strongSwan's notation, by their kind."""
    found: dict[str, tuple[str, ...]] = {}
    for token in _TOKEN.findall(text):
        kind = _kind(token)
        found[kind] = (*found.get(kind, ()), token)
    return found


def alternatives(text: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What else could be put in place of each kind of algorithm in a proposal of ours.

    Kind, what could stand there, and the whole proposal with the first of these.
    """
    own = by_kind(text)
    aead = "integrity" not in own
    found = []
    for kind, names in own.items():
        others = tuple(
            name
            for name in SUPPORTED
            if _kind(name) == kind and name not in names and _same_sort(name, aead=aead)
        )
        if others and kind != "sequence numbers":
            changed = {**own, kind: others[:1]}
            found.append((kind, others, "-".join(n for ns in changed.values() for n in ns)))
    return found


def _rows(ours: str, theirs: str) -> tuple[Row, ...]:
    mine, yours = by_kind(ours), by_kind(theirs)
    kinds = [*_KINDS.values(), *sorted((mine.keys() | yours.keys()) - set(_KINDS.values()))]
    return tuple(
        Row(kind, mine.get(kind, ()), yours.get(kind, ()))
        for kind in kinds
        if kind in mine or kind in yours
    )


def _kind(token: str) -> str:
    if additional := _ADDITIONAL.match(token):
        return f"key exchange {additional[1]}"
    transform = SUPPORTED.get(token) or (REFUSED[token].transform if token in REFUSED else None)
    if transform is not None:
        return _KINDS.get(TransformType(transform.type), "other")
    return _BY_NUMBER.get(token.partition("-")[0], "other")


def _same_sort(name: str, *, aead: bool) -> bool:
    """Whether a cipher may stand where another does: with integrity of its own, or without."""
    transform = SUPPORTED[name]
    if transform.type != TransformType.ENCR:
        return True
    return (name in _AEADS) is aead


def _join(names: Iterable[str]) -> str:
    return "-".join(name for name in names if name and name != "noesn")
