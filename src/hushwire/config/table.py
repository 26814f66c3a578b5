"""One table of the document, read key by key, with complaints that name the place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from hushwire.config.errors import BadValueError, ConfigError
from hushwire.config.lines import KeyPath, Lines
from hushwire.records import dataclass

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TYPES = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class Table:
    """`examples` gives for each key that this table may have a value to show in complaints;
    `later` the keys that a later version will know."""

    file: Path
    lines: Lines
    path: tuple[str, ...]
    values: Mapping[str, object]
    examples: Mapping[str, str]
    later: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """As it stands in the file, with its brackets."""
        return table_name(self.path)

    def error(self, key: KeyPath, what: str, cure: str = "") -> ConfigError:
        """A complaint about a key below this table, or about the table itself: ()."""
        return ConfigError(self.file, self.lines.of(self.path + key), what, cure)

    def refuse_unknown_keys(self) -> None:
        for key in self.values:
            if key in self.later:
                raise self.error(
                    (key,),
                    f"{key} in {self.name} is not in this version",
                    "Leave it out.",
                )
            if key not in self.examples:
                raise self.error(
                    (key,),
                    f"unknown key {quote(key)} in {self.name}",
                    nearest(key, self.examples, "Known keys"),
                )

    def text(self, key: str) -> str | None:
        """A string that is not empty, or None where the key is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong_type(key, value, "text in quotes")
        if not value:
            raise self.error((key,), f"{key} in {self.name} is empty", self._write(key))
        return value

    def parse(self, key: str, parser: Callable[[str], _T]) -> _T | None:
        """What `parser` makes of the string; its `BadValueError` becomes a complaint."""
        text = self.text(key)
        return None if text is None else self._parse((key,), text, parser)

    def parse_each(self, key: str, parser: Callable[[str], _T]) -> tuple[_T, ...] | None:
        """The same for a list of strings that is not empty and has nothing twice."""
        values = self.values.get(key)
        if values is None:
            return None
        if not isinstance(values, list):
            raise self._wrong_type(key, values, "a list")
        if not values:
            raise self.error((key,), f"{key} in {self.name} is empty", self._write(key))
        parsed: list[_T] = []
        for index, text in enumerate(values):
            if not isinstance(text, str):
                raise self.error(
                    (key, index),
                    f"{key} in {self.name} must be a list of texts in quotes; "
                    f"one of them is {_type_name(text)}",
                    self._write(key),
                )
            value = self._parse((key, index), text, parser)
            if value in parsed:
                raise self.error(
                    (key, index), f"{key} in {self.name} has {quote(text)} twice", "Leave one out."
                )
            parsed.append(value)
        return tuple(parsed)

    def port(self, key: str, default: int) -> int:
        """A port number."""
        return self.whole(key, 1, 0xFFFF, "ports are") if key in self.values else default

    def whole(self, key: str, least: int, most: int, these: str = "it can be") -> int:
        """A whole number; the key must be there."""
        value = self.values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong_type(key, value, "a whole number")
        if not least <= value <= most:
            what = f"{key} in {self.name} cannot be {value}: {these} {least} to {most}"
            raise self.error((key,), what, self._write(key))
        return value

    def choice(self, key: str, default: _E, later: tuple[str, ...] = ()) -> _E:
        """One of the values of `default`'s enumeration; `later` are a later version's."""
        text = self.text(key)
        if text is None:
            return default
        known = [member.value for member in type(default)]
        if text in known:
            return type(default)(text)
        if text in later:
            *all_but_one, last = (quote(value) for value in known)
            raise self.error(
                (key,),
                f"{key} = {quote(text)} in {self.name} is not in this version",
                f"It has {', '.join(all_but_one)} and {last} only.",
            )
        raise self.error(
            (key,),
            f"{key} in {self.name} cannot be {quote(text)}",
            nearest(text, known, "It can be", quote),
        )

    def switch(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong_type(key, value, "true or false")
        return value

    def missing(self, key: str) -> ConfigError:
        """A complaint that this table must have `key` and has not."""
        return self.error((), f"{self.name} has no {key}", self._write(key))

    def _parse(self, key: KeyPath, text: str, parser: Callable[[str], _T]) -> _T:
        try:
            return parser(text)
        except BadValueError as error:
            what = f"{key[0]} in {self.name}: {error.what}"
            raise self.error(key, what, error.cure) from error

    def _wrong_type(self, key: str, value: object, wanted: str) -> ConfigError:
        return self.error(
            (key,),
            f"{key} in {self.name} must be {wanted}, not {_type_name(value)}",
            self._write(key),
        )

    def _write(self, key: str) -> str:
        return f"Write for example: {key} = {self.examples[key]}"


def table_name(path: tuple[str, ...]) -> str:
    """`[peer.bob]`, with quotes where TOML wants them."""
    return f"[{'.'.join(part if _BARE.fullmatch(part) else quote(part) for part in path)}]"


def quote(text: str) -> str:
    """In double quotes, control characters escaped, as TOML writes it."""
    return json.dumps(text, ensure_ascii=False)


def nearest(
    wrong: str,
    known: Mapping[str, object] | list[str],
    otherwise: str,
    show: Callable[[str], str] = str,
) -> str:
    """`Did you mean "address"?`, or all that is known when nothing comes near."""
    close = get_close_matches(wrong.lower(), list(known), 1, 0.6)
    if close:
        return f"Did you mean {quote(close[0])}?"
    return f"{otherwise}: {', '.join(show(name) for name in known)}."


def _type_name(value: object) -> str:
    return _TYPES.get(type(value), "a date or time")
