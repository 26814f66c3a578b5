"""The keys of a post-quantum preshared key."""

from __future__ import annotations

from pathlib import Path

import pytest

from hushwire.sa.ppk import Ppk
from tests.config.files import RIGHT, complaint, load_text, write_keys


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("use", "required"), [("", True), ('ppk = "prefer"\n', False)])
def test_it_has_a_file_and_a_name(use: str, required: bool) -> None:
    config = load_text(f'{RIGHT}ppk_file = "bob.psk"\nppk_id = "ours"\n{use}')
    assert config.peers[0].ppk == Ppk(b"c2VjcmV0", "ours", required)
    assert load_text(RIGHT).peers[0].ppk is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('ppk_id = "ours"', "no ppk_file"),
        ('ppk = "require"', "no ppk_file"),
        ('ppk_file = "bob.psk"', "no ppk_id"),
        ('ppk_file = "bob.psk"\nppk_id = "ours"\nppk = "always"', "always"),
        ('ppk_file = "open.psk"\nppk_id = "ours"', "chmod 600"),
        ('ppk_file = "none.psk"\nppk_id = "ours"', "no file"),
    ],
)
def test_what_is_wrong_with_it_is_said(lines: str, said: str) -> None:
    assert said in complaint(f"{RIGHT}{lines}\n")
