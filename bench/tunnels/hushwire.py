"""Hushwire itself, `hushwire run` on both hosts: guard, path MTU and IKE as anybody has them."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.network import INNER, OUTER, Hosts, wait_for_line
from bench.tunnels.base import Programs, Tunnel

COMMAND = (sys.executable, "-m", "hushwire.cli.main")
NULL_COMMAND = (sys.executable, "-m", "bench.null")
_FILE = """
[interface]
name = "hw0"
address = ["{here}/24"]
engine = "{engine}"

[peer.other]
endpoint = "{endpoint}"
psk_file = "psk"
networks = ["{there}/32"]
encap = "{encap}"
esp = ["{esp}"]
start = "{start}"
"""


def write_files(folder: Path, engine: str, esp: str, encap: str) -> list[Path]:
    """A configuration for each host; the second one waits for the first."""
    psk = folder / "psk"
    psk.touch(mode=0o600)
    psk.write_text("a shared secret between two namespaces of one machine\n")
    files = []
    for end, start in enumerate(("up", "wait")):
        file = folder / f"{end}.toml"
        file.write_text(
            _FILE.format(
                here=INNER[end],
                there=INNER[1 - end],
                endpoint=OUTER[1 - end],
                engine=engine,
                encap=encap,
                esp=esp,
                start=start,
            )
        )
        files.append(file)
    return files


@contextmanager
def hushwire(
    hosts: Hosts, *, engine: str, esp: str, encap: str, command: Sequence[str] = COMMAND
) -> Generator[Tunnel]:
    with Programs() as programs:
        files = write_files(programs.folder, engine, esp, encap)
        ends = []
        for end in (1, 0):  # who waits comes first
            log = programs.folder / f"{end}.log"
            run = hosts[end].start_logged(log, *command, "run", str(files[end]))
            ends.append((log, programs.add(run)))
            wait_for_line(log, "Listening", run)
        for log, run in ends:
            wait_for_line(log, "tunnel up", run)
        yield programs.tunnel
