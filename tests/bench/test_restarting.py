"""One kill of each kind of peer, who then begins anew, and what is told of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure.restarting import CASES, percentile
from bench.tunnels import strongswan

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("world")  # which skips where namespaces cannot be made
@pytest.mark.parametrize("key", ["hushwire-responder", "charon-responder"])
def test_traffic_comes_back(key: str, tmp_path: Path) -> None:
    if key.startswith("charon") and (why := strongswan.missing()):
        pytest.skip(f"no strongSwan: {why}")
    file = tmp_path / "restarts.json"
    argv = [sys.executable, "-m", "bench.measure.restarting", "--kills", "1", "--only", key]
    done = subprocess.run(
        [*argv, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert file.exists(), done.stdout + done.stderr
    (seconds,) = json.loads(file.read_text())["kills"][key]
    # However busy the machine is: noticed by liveness checks alone, it would be fifty and more.
    assert 0 < seconds < 45
    title = next(case.title for case in CASES if case.key == key)
    assert f"{title} " in done.stdout


def test_percentiles_are_figures_that_were_measured() -> None:
    seconds = [float(number) for number in range(20, 0, -1)]
    assert percentile(seconds, 0.5) == 11
    assert percentile(seconds, 0.99) == 20
    assert percentile([3.0], 0.99) == 3
