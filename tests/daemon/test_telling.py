"""What `hushwire explain` is told of an attempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from hushwire.config.model import Config
from hushwire.daemon.attempt_facts import attempt_facts
from hushwire.explain.outcome import NoProposal
from hushwire.explain.trace import Attempt
from tests.config.files import RIGHT, load_text, write_keys

ESP = "aes128gcm16"
ATTEMPT = Attempt(
    peer="bob", left="we", right="bob", right_address="192.168.77.2", initiator=True, began=0.0,
    steps=(), outcome=NoProposal("bob", "ESP", ("aes256gcm16",), (ESP,), refused_by_us=False),
)  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)
    return load_text(f'{RIGHT}esp = ["aes256gcm16"]\n')


def told(config: Config) -> str:
    why = attempt_facts(ATTEMPT, config, 0.0)["why"]
    assert isinstance(why, list)
    return "\n".join(why)


def test_the_line_of_our_file_is_the_one_that_has_the_key(config: Config) -> None:
    assert f'here, in alice.toml, line 10, under [peer.bob]:\n        esp = ["{ESP}"]' in told(
        config
    )


def test_without_a_file_none_is_named(config: Config) -> None:
    quick = Config(Path("the command line"), config.interface, config.peers)
    assert "here, in a file for hushwire run, under [peer.bob]:" in told(quick)
