"""`dataclass`, as of the standard library, in a quarter of the time.

The standard one writes and compiles six methods for each class: for the 200 of Hushwire that was
half of all the time in which `hushwire run` starts. Here it writes `__init__` alone; what compares,
hashes and prints is the same for every class, and goes over its fields. That nobody assigns to what
is frozen is mypy's to prove, and costs nothing while we run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass  # for mypy it is the standard one
else:

    def dataclass(
        *,
        frozen: bool = False,
        slots: bool = False,
        eq: bool = True,
        repr: bool = True,  # noqa: A002 (as the standard one has it)
    ) -> Callable[[type], type]:
        def decorate(cls: type) -> type:
            made = dataclasses.dataclass(cls, slots=slots, eq=False, repr=False)
            methods = (_comparing(made, frozen) if eq else {}) | (_printing(made) if repr else {})
            for name, method in methods.items():
                if vars(cls).get(name) is None:  # one of its own stays
                    setattr(made, name, method)
            return made

        return decorate


def _comparing(cls: type, frozen: bool) -> dict[str, Any]:
    """Equal are two of one class with equal fields. What may change has no hash."""
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def equal(self: object, other: object) -> Any:  # noqa: ANN401 (NotImplemented too)
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    def hash_(self: object) -> int:
        return hash(values(self))

    return {"__eq__": equal, "__hash__": hash_ if frozen else None}


def _printing(cls: type) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls) if field.repr]

    def repr_(self: object) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({fields})"

    return {"__repr__": repr_}
