"""Commands as an ordinary user of a Debian desktop: no capability, and a /dev/net/tun for all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

USER = 65534

really_root = pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"],
    reason="needs root of the machine, not of a user namespace",
)

# In a mount namespace of its own. An interpreter below a private directory (/root) is shown again
# under a public one, so that the user can run it.
_SETTING = """
set -e
mount -t tmpfs -o mode=755 setting /mnt
mknod -m 666 /mnt/tun c 10 200
mount --bind /mnt/tun /dev/net/tun
if [ -n "$HIDDEN" ]; then
    mkdir /mnt/python
    mount --bind "$PREFIX" /mnt/python
    mount -t tmpfs -o mode=755 setting "$HIDDEN"
    mkdir -p "$PREFIX"
    mount --bind /mnt/python "$PREFIX"
fi
if [ -n "$CHROOT" ]; then
    mkdir /mnt/root
    mount --rbind / /mnt/root
    change="chroot /mnt/root"
fi
exec $change setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --bounding-set=-all "$@"
"""


def as_ordinary_user(*argv: str | Path, tun: bool = True, namespaces: bool = True) -> list[str]:
    """`argv` as an ordinary user; only for tests marked `really_root`.

    Without `tun` that user may not open /dev/net/tun; without `namespaces` the kernel allows no
    user namespace, as it never does in a chroot.
    """
    words = [str(word) for word in argv]
    hidden = _private_ancestor(Path(sys.base_prefix))
    variables = [
        f"USER_ID={USER}",
        f"PREFIX={sys.base_prefix}",
        f"HIDDEN={hidden or ''}",
        f"CHROOT={'' if namespaces else 'yes'}",
        "HOME=/tmp",
    ]
    setting = _SETTING if tun else _SETTING.replace("-m 666", "-m 600")
    return ["env", *variables, "unshare", "--mount", "sh", "-c", setting, "sh", *words]


def _private_ancestor(path: Path) -> Path | None:
    """The outermost directory on the way that an ordinary user may not pass."""
    for directory in reversed(path.parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None
