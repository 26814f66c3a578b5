"""Where it was measured, as far as it matters to the figures."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

_FLAGS = ("aes", "vaes", "vpclmulqdq", "avx2", "avx512f", "sha_ni")


def machine() -> dict[str, str]:
    """CPU and its flags for ciphers, cores, memory, software, what else it did, and when."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.M)
    have = set(flags[1].split()) if flags else set()
    virtual = ", a virtual machine" if "hypervisor" in have else ""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cpu": (name[1] if name else platform.machine()) + virtual,
        "flags": " ".join(flag for flag in _FLAGS if flag in have),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{gigabytes:.0f} GB",
        "kernel": f"Linux {platform.release().partition('-')[0]}",
        "tcp": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
