"""What a program has used, as the kernel counts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    """Of all threads of these processes, in nanoseconds' resolution (schedstat)."""
    return (
        sum(
            int((task / "schedstat").read_text().split()[0])
            for pid in pids
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
        / 1e9
    )


def resident_octets(pids: Iterable[int]) -> int:
    """Of the larger one; 0 where there is none."""
    page = os.sysconf("SC_PAGE_SIZE")
    statm = (Path(f"/proc/{pid}/statm").read_text() for pid in pids)
    return max((int(one.split()[1]) * page for one in statm), default=0)
