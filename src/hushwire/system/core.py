"""`hushwire._core`, the part that is not Python; and why it is not there, where it is not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import ModuleType

from hushwire.system.errors import NotPermittedError, SystemFailureError

_PACKAGE = Path(__file__).parent.parent
_REASON = _PACKAGE / "_core_missing.txt"  # tools/build_backend.py writes it
_CURE = (
    "Rust comes from https://rustup.rs and clang with `sudo apt install clang`; then `make install`"
)

# Bit numbers from <linux/capability.h>.
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_PERFMON": 38, "CAP_BPF": 39}
_SYS_ADMIN = 21
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO of <linux/proc_ns.h>


def why_missing() -> str:
    """Why there is no `hushwire._core`, as half a sentence; empty when it is there."""
    try:
        import hushwire._core  # noqa: F401
    except ImportError as error:
        return _reason(str(error))
    return ""


def _reason(otherwise: str) -> str:
    try:
        return _REASON.read_text().strip()
    except OSError:
        return otherwise


def why_no_ebpf() -> str:
    """The same for the part that loads eBPF programs; an extension may be without it."""
    if why := why_missing():
        return why
    import hushwire._core

    return "" if hasattr(hushwire._core, "Classroom") else _reason("it was built without eBPF")


def core() -> ModuleType:
    """The extension, for eBPF. Raises `SystemFailureError`."""
    if why := why_no_ebpf():
        lacks = "is not here" if why_missing() else "has no eBPF"
        raise SystemFailureError("eBPF", f"hushwire._core {lacks}: {why}", f"{_CURE}.")
    import hushwire._core

    return hushwire._core


def may_not_load() -> list[str]:
    """What keeps this process from loading eBPF programs; empty when nothing does."""
    lacks = []
    have = _effective_capabilities()
    for name, bit in _CAPABILITIES.items():
        # Before Linux 5.8 CAP_SYS_ADMIN was CAP_BPF and CAP_PERFMON too, and still stands for them.
        by_admin = bit > _SYS_ADMIN and have >> _SYS_ADMIN & 1
        if not have >> bit & 1 and not by_admin:
            lacks.append(f"{name} is missing, to load and attach eBPF programs. Run it with sudo.")
    if not lacks and Path("/proc/self/ns/user").stat().st_ino != _INITIAL_USER_NAMESPACE:
        lacks.append(
            "This is root of a user namespace only, and the kernel lets nobody load eBPF programs "
            "from there. Run it with sudo, outside."
        )
    return lacks


def need_permission() -> None:
    """Raises `NotPermittedError` with all of `may_not_load`."""
    if lacks := may_not_load():
        raise NotPermittedError(lacks)


def kernel() -> str:
    """The kernel's version, as `uname -r` says it."""
    return os.uname().release


def is_permission(code: int) -> bool:
    return code in (errno.EPERM, errno.EACCES)


def _effective_capabilities() -> int:
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0
