"""strongSwan 6.1 on bob, in a root of its own: another libc, and an OpenSSL that has ML-KEM.

`tools/strongswan-newest` unpacks it.
"""

from __future__ import annotations

from pathlib import Path

from tests.interop.strongswan import Strongswan

ROOT = Path(__file__).resolve().parents[3] / "build" / "strongswan-newest"


class Strongswan6(Strongswan):
    """As `Strongswan`, behind chroot; the world's own mounts show there too."""

    def _mount(self) -> None:
        for place in ("/dev", "/proc", "/run", "/sys"):
            self.topology.run(None, ["mount", "--rbind", place, f"{ROOT}{place}"])

    def _enter(self) -> list[str]:
        return ["chroot", str(ROOT)]

    def _program(self, name: str) -> str:
        return f"/usr/sbin/{name}"
