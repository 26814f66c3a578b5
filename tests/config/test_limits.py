"""[limits]: what strangers may cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from hushwire.config.limits import KEYS
from hushwire.daemon.peers import ike_limits
from hushwire.ike.inputs import Limits
from tests.config.files import RIGHT, complaint, load_text, write_keys


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)


def test_without_it_the_defaults_count_and_its_examples_are_the_defaults() -> None:
    assert ike_limits(load_text(RIGHT)) == Limits()
    every = "\n".join(f"{key} = {value}" for key, value in KEYS.items())
    assert ike_limits(load_text(f"{RIGHT}\n[limits]\n{every}\n")) == Limits()


def test_every_key_counts() -> None:
    found = ike_limits(
        load_text(
            RIGHT + "[limits]\ncookies_from = 0\nhalf_open = 7\nhalf_open_per_source = 3\n"
            'half_open_timeout = "9s"\ninit_rate = 5\ninit_rate_per_source = 2\n'
        )
    )
    assert found == Limits(
        cookies_from=0,
        half_open=7,
        half_open_per_source=3,
        half_open_seconds=9.0,
        init_rate=5,
        init_rate_per_source=2,
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("half_open = 0", "half_open in [limits] cannot be 0: it can be 1 to 1000000"),
        ("half_open = true", "half_open in [limits] must be a whole number, not true or false"),
        ('half_open_timeout = "35"', 'half_open_timeout in [limits]: "35" is not a duration'),
        ("half_opened = 5", 'unknown key "half_opened" in [limits]'),
    ],
)
def test_what_is_wrong_is_said(line: str, said: str) -> None:
    assert said in complaint(f"{RIGHT}[limits]\n{line}\n")


def test_it_is_one_table() -> None:
    assert "limits must be one table" in complaint("limits = 5\n" + RIGHT)
