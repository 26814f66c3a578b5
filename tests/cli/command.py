"""The real command, as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HUSHWIRE = str(Path(sys.executable).with_name("hushwire"))


def hushwire(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end; its output as text."""
    done = subprocess.run([HUSHWIRE, *arguments], input=stdin, cwd=cwd, capture_output=True)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def shell(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash in which `hushwire` is this project's; pipes fail as a whole."""
    folder = Path(HUSHWIRE).parent
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; PATH="{folder}:$PATH"; {script}'],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
