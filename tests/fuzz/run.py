"""Fuzz every target with atheris for a while: `python tests/fuzz/run.py --seconds 60 [NAME...]`.

The time is shared by the targets. Each one runs in a process of its own, and begins with its valid
inputs. A finding is kept in a file, which `run.py --replay FILE NAME` runs once more. `inside.py`
runs beside them all the time. Exits 1 when there is a finding.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

LONGEST_INPUT = 2048
SLOWEST_INPUT_SECONDS = 10
GRACE_SECONDS = 120


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers of Hushwire.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input once")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a target; none means all")
    arguments = parser.parse_args()
    if arguments.corpus:
        _fuzz(arguments.names[0], round(arguments.seconds), arguments.corpus)

    from tests.fuzz.targets import TARGETS

    names: list[str] = arguments.names or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if arguments.replay:
        for name in names:
            TARGETS[name](arguments.replay.read_bytes())
        return 0
    seconds = max(1, round(arguments.seconds / len(names)))
    return _fuzz_all(names, seconds, inside=not arguments.names)


def _fuzz_all(names: list[str], seconds: int, *, inside: bool) -> int:
    """One target after the other; `inside` of SK meanwhile, in processes of its own."""
    failed = 0
    insider = _start_inside(seconds * len(names)) if inside else None
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  ", end="", flush=True)
        finding, runs = _run_apart(name, seconds)
        failed += finding is not None
        print(f"{runs:>9} inputs in {seconds} s  {finding or 'no finding'}", flush=True)
    if insider is not None:
        said, _ = insider.communicate(timeout=GRACE_SECONDS)
        print(said, end="")
        failed += insider.returncode != 0
    print(f"{len(names) + inside - failed} passed, {failed} failed")
    return 1 if failed else 0


def _start_inside(seconds: int) -> subprocess.Popen[str]:
    """Genuine keys and changed messages: no parser alone, so not a target like the others."""
    command = [sys.executable, "-m", "tests.fuzz.inside", "--seconds", str(seconds)]
    command += ["--processes", str(max(1, multiprocessing.cpu_count() - 1))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _run_apart(name: str, seconds: int) -> tuple[str | None, str]:
    """Fuzz one target in its own process: what was found, if anything, and how many inputs ran."""
    from tests.fuzz.targets import SEEDS

    with tempfile.TemporaryDirectory(prefix="hushwire-corpus-") as folder:
        for index, seed in enumerate(SEEDS[name]):
            Path(folder, str(index)).write_bytes(seed)
        command = [sys.executable, __file__, "--seconds", str(seconds), "--corpus", folder, name]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=seconds + GRACE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"still running {GRACE_SECONDS} s after its time", "?"
    log = (done.stdout + done.stderr).decode(errors="replace")
    counted = re.findall(r"^Done (\d+) runs", log, re.M) or re.findall(r"^#(\d+)\s", log, re.M)
    runs = counted[-1] if counted else "?"
    if done.returncode == 0 and counted:
        return None, runs
    return f"exit code {done.returncode}, {_keep(name, log)}", runs


def _keep(name: str, log: str) -> str:
    """Say where the input of a finding is, and show what it raised."""
    raised = re.search(r"=== Uncaught Python exception: ===\n(.*?)\n\n", log, re.S)
    print("\n" + (raised.group(1) if raised else log[-3000:]))
    written = re.search(r"Test unit written to (\S+)", log)
    return f"input in {written.group(1)}" if written else f"{name} left no input"


def _fuzz(name: str, seconds: int, corpus: Path) -> NoReturn:
    """Fuzz one target in this process, which ends with code 0 when nothing was found."""
    import atheris

    # Only what is imported in here guides the fuzzer, so nothing of ours may be imported before.
    with atheris.instrument_imports(include=["hushwire"]):
        from tests.fuzz.targets import TARGETS

    findings = Path(tempfile.gettempdir(), f"hushwire-finding-{name}-")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_INPUT_SECONDS}",
        f"-artifact_prefix={findings}",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()
    sys.exit("the fuzzer returned, which it never does")


if __name__ == "__main__":
    sys.exit(main())
