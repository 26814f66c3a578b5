"""The keys of [peer.NAME] that say when its keys are renewed."""

from __future__ import annotations

import re

from hushwire.config import values
from hushwire.config.errors import BadValueError
from hushwire.config.table import Table, quote
from hushwire.sa.lifetimes import Lifetimes

KEYS = {
    "rekey_after": '"1h"',
    "rekey_bytes": '"64GiB"',
    "rekey_packets": '"never"',
    "rekey_ike_after": '"4h"',
    "reauth_after": '"never"',
}

_NEVER = "never"
_SIZE = re.compile(r"([0-9]{1,9})(KiB|MiB|GiB|TiB)")
_OCTETS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_COUNT = re.compile(r"[0-9]{1,18}")


def lifetimes(table: Table) -> Lifetimes:
    """Raises `ConfigError`."""
    default = Lifetimes()
    return Lifetimes(
        _seconds(table, "rekey_after", default.child_seconds),
        _number(table, "rekey_bytes", default.child_octets, size=True),
        _number(table, "rekey_packets", default.child_packets),
        _seconds(table, "rekey_ike_after", default.ike_seconds),
        _seconds(table, "reauth_after", default.reauth_seconds),
    )


def _seconds(table: Table, key: str, default: float | None) -> float | None:
    if table.values.get(key) == _NEVER:
        return None
    found = table.parse(key, values.duration)
    return default if found is None else found


def _number(table: Table, key: str, default: int | None, *, size: bool = False) -> int | None:
    if table.values.get(key) == _NEVER:
        return None
    found = table.parse(key, octets if size else count)
    return default if found is None else found


def octets(text: str) -> int:
    """`64GiB`, as a number of octets. Raises `BadValueError`."""
    match = _SIZE.fullmatch(text)
    if match is None or not int(match[1]):
        raise BadValueError(
            f"{quote(text)} is not an amount of data", 'Write "500MiB", "64GiB" or "never".'
        )
    return int(match[1]) * _OCTETS[match[2]]


def count(text: str) -> int:
    """Raises `BadValueError`."""
    if not _COUNT.fullmatch(text) or not int(text):
        raise BadValueError(
            f"{quote(text)} is not a number of packets", 'Write "1000000000" or "never".'
        )
    return int(text)
