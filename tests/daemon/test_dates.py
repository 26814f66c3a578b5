"""What is said at the start about times that are over."""

from __future__ import annotations

from pathlib import Path

import pytest

from hushwire.config.model import Config
from hushwire.daemon.dates import warnings
from tests.config.files import load_text
from tests.crypto.pki import DAY, NOW, authority, issue, revoked

FILE = """\
[interface]
name = "hw0"
address = ["10.0.1.1/24"]
private_key_file = "alice.key"
cert_file = "alice.pem"
ca_file = "ca.pem"
crl_file = "ca.crl"

[peer.one]
endpoint = "one.example.org"
networks = ["10.9.0.0/16"]

[peer.two]
endpoint = "two.example.org"
networks = ["10.8.0.0/16"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    ca = authority(until=100 * DAY)
    alice = issue("CN=alice", by=ca, until=30 * DAY)
    Path("ca.pem").write_text(ca.pem)
    Path("alice.pem").write_text(alice.pem)
    Path("ca.crl").write_bytes(revoked(ca, until=20 * DAY))
    Path("alice.key").write_text(alice.key_pem)
    Path("alice.key").chmod(0o600)
    return load_text(FILE)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0, []),
        (15, []),
        (17, ["Warning: our certificate CN=alice expires on 2026-07-01 00:00 UTC."]),
        (21, ["expires on", "the revocation list of O=Example, CN=Example CA in ca.crl was good"]),
        (31, ["CN=alice expired on 2026-07-01 00:00 UTC: no peer will believe it.", "was good"]),
        (101, ["CN=alice expired", "the authority O=Example, CN=Example CA expired", "was good"]),
        (-2, ["CN=alice is not valid before", "is not valid before", "ca.crl is of 2026-05-31"]),
    ],
)
def test_each_is_said_once(config: Config, days: int, said: list[str]) -> None:
    found = warnings(config, (NOW + days * DAY).timestamp())
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
