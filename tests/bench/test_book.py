"""docs/ and README.md say what docs/bench.json says, to the digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.book import RECORD, claim, pages
from bench.record import WITH, Record, Sample


@pytest.mark.parametrize("file", pages(Record.load(RECORD)), ids=lambda file: file.name)
def test_what_is_published_is_what_was_measured(file: Path) -> None:
    wanted = pages(Record.load(RECORD))[file]
    assert file.read_text() == wanted, "`python -m bench.show docs/bench.json --publish` mends it"


def test_a_claim_is_rounded_to_our_disadvantage() -> None:
    samples = [
        Sample(1, WITH, "native-aes", {"one_gbits": 5.19, "one_cpu_s_per_gb": 1.001}),
        Sample(1, WITH, "native-raw", {"one_gbits": 1.29}),
        Sample(1, WITH, "wireguard-go", {"one_gbits": 1.0, "one_cpu_s_per_gb": 5.0}),
    ]
    said = claim(Record(samples=samples))
    assert "is 5.1 times as fast as wireguard-go, for 21 % of" in said
    assert "it is 1.2 times as fast as wireguard-go (one round)." in said
    assert "OpenVPN" not in said
