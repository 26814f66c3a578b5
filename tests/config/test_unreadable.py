"""Files that cannot be read, or hold what is no configuration at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hushwire.config.errors import ConfigError
from hushwire.config.load import load
from tests.config.files import changed, complaint, write_keys


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)


def test_a_file_name_that_can_be_no_device_needs_a_name() -> None:
    assert complaint(changed('name = "hw0"\n', ""), "my tunnel.toml") == (
        "my tunnel.toml:1: without a name in [interface] the file's name counts, and "
        '"my tunnel" cannot be the name of a device. Write for example: name = "hw0"'
    )


def test_a_file_that_cannot_be_read_is_named() -> None:
    for name, said in [
        ("none.toml", "there is no such file. Give the path of a file, or the NAME of "),
        (".", "cannot be read: Is a directory."),
        ("a\0b", "cannot be read: embedded null byte."),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(Path(name))
        assert str(caught.value).startswith(f"{name}: {said}")
        assert caught.value.line is None


def test_octets_that_are_no_text_are_found_in_their_line() -> None:
    Path("alice.toml").write_bytes(b"[interface]\nname = '\xff'\n")
    with pytest.raises(ConfigError) as caught:
        load(Path("alice.toml"))
    assert str(caught.value) == "alice.toml:2: not TOML: not text in UTF-8."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[" * 20000, "alice.toml: not TOML that can be used: nested too deep."),
        ("1" * 5000, "alice.toml: not TOML: Exceeds the limit"),
    ],
)
def test_absurd_values_are_refused_kindly(value: str, said: str) -> None:
    assert complaint(f"x = {value}").startswith(said)


def test_a_secret_behind_a_fifo_is_refused_and_not_waited_for() -> None:
    os.mkfifo("fifo", 0o600)
    said = complaint(changed('"alice.key"', '"fifo"'))
    assert said == "alice.toml:4: private_key_file in [interface]: fifo is not a plain file."
