"""What this process lacks to run a tunnel, said before anything is tried."""

from __future__ import annotations

import os
from pathlib import Path

from hushwire.system.tun import TUN_NODE

# Bit numbers from <linux/capability.h>.
_NET_BIND_SERVICE = 10
_NET_ADMIN = 12
_NET_RAW = 13

_IKE_PORT = 500

_CURE = "Run it with sudo, or give the service {0} (systemd: AmbientCapabilities={0})."


def missing() -> list[str]:
    """One sentence for each thing that is missing, with its cure; empty when nothing is.

    Capabilities count as they are, so those within a user namespace count too: they hold for the
    network namespaces made in it.
    """
    return [*missing_capabilities(), *missing_tun()]


def missing_capabilities() -> list[str]:
    """Those of `missing` that are about this process; each begins with the capability's name."""
    have = _effective_capabilities()
    lacks = []
    if not have >> _NET_ADMIN & 1:
        lacks.append(_lack("CAP_NET_ADMIN", "to make the tunnel device and its routes"))
    if not have >> _NET_RAW & 1:
        lacks.append(_lack("CAP_NET_RAW", "to send and receive ESP, IP protocol 50"))
    if not have >> _NET_BIND_SERVICE & 1 and _first_free_port() > _IKE_PORT:
        lacks.append(_lack("CAP_NET_BIND_SERVICE", f"to listen on UDP port {_IKE_PORT}"))
    return lacks


def _lack(capability: str, purpose: str) -> str:
    return f"{capability} is missing, {purpose}. {_CURE.format(capability)}"


def _effective_capabilities() -> int:
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _first_free_port() -> int:
    """Ports from this one on need no capability (ip-sysctl)."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:
        return 1024


def missing_tun() -> list[str]:
    """That of `missing` which is about the device node; at most one."""
    try:
        # Opening makes no device yet: that is a later ioctl.
        os.close(os.open(TUN_NODE, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        return [
            f"{TUN_NODE} may not be opened by this user. Run it with sudo, or let the user open it "
            f"(`sudo chmod 666 {TUN_NODE}`, as Debian has it)."
        ]
    except OSError as error:
        return [
            f"{TUN_NODE} cannot be opened ({os.strerror(error.errno or 0).lower()}). Load the "
            "module with `modprobe tun`; for a container, pass `--device /dev/net/tun`."
        ]
    return []
