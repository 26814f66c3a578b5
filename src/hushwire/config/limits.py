"""[limits]: what strangers may cost this host."""

from __future__ import annotations

from hushwire.config import values
from hushwire.config.model import StrangerLimits
from hushwire.config.table import Table

KEYS = {
    "cookies_from": "32",
    "half_open": "1000",
    "half_open_per_source": "32",
    "half_open_timeout": '"35s"',
    "init_rate": "500",
    "init_rate_per_source": "20",
}
_MOST = 1_000_000


def limits(table: Table) -> StrangerLimits:
    """Raises `ConfigError`."""
    table.refuse_unknown_keys()
    return StrangerLimits(
        cookies_from=_count(table, "cookies_from", least=0),
        half_open=_count(table, "half_open"),
        half_open_per_source=_count(table, "half_open_per_source"),
        half_open_timeout=table.parse("half_open_timeout", values.duration),
        init_rate=_count(table, "init_rate"),
        init_rate_per_source=_count(table, "init_rate_per_source"),
    )


def _count(table: Table, key: str, least: int = 1) -> int | None:
    return table.whole(key, least, _MOST) if key in table.values else None
