"""Lets tcpdump start where we are root inside a user namespace only.

    python -m hushwire.lab.rootless /usr/bin/tcpdump -Z root ...

Debian's tcpdump gives up root for another user, and for `-Z root` changes to root again; both
begin with setgroups(2), which user_namespaces(7) forbids here, so it would give up. A seccomp
filter answers that one call with success. Nothing is gained by it: the groups stay as they are.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

# (AUDIT_ARCH_* of <linux/audit.h>, the number of setgroups)
_SETGROUPS = {"x86_64": (0xC000003E, 116), "aarch64": (0xC00000B7, 159)}

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_RETURN_ALLOW = 0x7FFF0000
_RETURN_ERRNO_0 = 0x00050000

# Classic BPF (<linux/bpf_common.h>); struct seccomp_data begins with the number and the machine.
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_AT_NUMBER, _AT_MACHINE = 0, 4


def pretend_setgroups() -> None:
    """From here on, in this process and what it becomes, setgroups(2) succeeds and does nothing.

    Raises `OSError`. Without effect on machines whose numbers are not known here.
    """
    if platform.machine() not in _SETGROUPS:
        return
    machine, number = _SETGROUPS[platform.machine()]
    code = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, _AT_MACHINE),
            (_JUMP_IF_EQUAL, 0, 3, machine),
            (_LOAD_WORD, 0, 0, _AT_NUMBER),
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _RETURN_ERRNO_0),
            (_RETURN, 0, 0, _RETURN_ALLOW),
        )
    )
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp filter: {os.strerror(error)}")


if __name__ == "__main__":
    pretend_setgroups()
    os.execv(sys.argv[1], sys.argv[1:])
