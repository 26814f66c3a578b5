"""The keys of [peer.NAME] for a post-quantum preshared key (RFC 8784)."""

from __future__ import annotations

from enum import StrEnum

from hushwire.config import keys
from hushwire.config.table import Table
from hushwire.sa.ppk import Ppk

KEYS = {
    "ppk_file": '"bob.ppk"',
    "ppk_id": '"alice and bob"',
    "ppk": '"require"',
}


class Use(StrEnum):
    """Whether a tunnel without it is better than none."""

    REQUIRE = "require"
    PREFER = "prefer"


def ppk(table: Table) -> Ppk | None:
    """Raises `ConfigError`."""
    secret = table.parse(
        "ppk_file", lambda text: keys.read_psk(keys.key_path(text, table.file.parent))
    )
    name = table.text("ppk_id")
    if secret is None:
        for key in ("ppk_id", "ppk"):
            if key in table.values:
                what = f"{key} in {table.name}, and no ppk_file with the key itself"
                raise table.error((key,), what, "Make one, for both hosts: hushwire genpsk -o FILE")
        return None
    if not name:
        what = f"ppk_file in {table.name}, and no ppk_id by which the peer knows it"
        raise table.error(("ppk_file",), what, 'Write on both hosts: ppk_id = "alice and bob"')
    return Ppk(secret, name, table.choice("ppk", Use.REQUIRE) is Use.REQUIRE)
