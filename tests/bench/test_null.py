"""The cipher that does nothing stays where it is measured with."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hushwire.crypto.ciphers import CIPHERS
from hushwire.system.core import core

ROOT = Path(__file__).parents[2]
MARK = b"HUSHWIRE NULL CIPHER: NO ENCRYPTION."


def shipped() -> bytes:
    place = core().__file__
    assert place is not None
    return Path(place).read_bytes()


def test_the_extension_has_no_such_cipher() -> None:
    assert MARK not in shipped()


def test_the_mark_is_in_the_source_that_has_it() -> None:
    assert MARK.decode() in (ROOT / "rust/core/src/crypto/null.rs").read_text()


def test_no_configuration_can_name_it() -> None:
    assert not [cipher.name for cipher in CIPHERS if "null" in cipher.name]


def test_nothing_but_the_benchmarks_own_library_asks_for_it() -> None:
    asking = [
        str(file.relative_to(ROOT))
        for file in ROOT.glob("rust/*/Cargo.toml")
        if "null-cipher" in file.read_text()
    ]
    assert sorted(asking) == ["rust/core/Cargo.toml", "rust/null/Cargo.toml"]
    features = tomllib.loads((ROOT / "rust/core/Cargo.toml").read_text())["features"]
    assert "default" not in features
