"""The kernel's reverse path filter (RFC 3704), which transport mode has to get past."""

from __future__ import annotations

from pathlib import Path

_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_STRICT = 1


def is_strict(device: str) -> bool:
    """Whether IPv4 packets that reach the device are dropped when the way back is another one.

    In transport mode it always is: the way back to the peer leads into the tunnel device. IPv6 has
    no such filter.
    """
    # The larger of the two counts (ip-sysctl): 0 off, 1 strict, 2 loose.
    return max(_setting("all"), _setting(device)) == _STRICT


def _setting(device: str) -> int:
    try:
        return int((_SETTINGS / device / "rp_filter").read_text())
    except (OSError, ValueError):
        return 0
