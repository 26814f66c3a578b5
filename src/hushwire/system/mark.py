"""The mark on every socket whose packets are the tunnel's outside: IKE, and ESP in all its forms.

Packets of a marked socket carry it as their fwmark, by which the guard and policy routing tell
them from packets that belong into the tunnel. Setting it takes CAP_NET_ADMIN, so an application
cannot pass its own packets off as ours.
"""

from __future__ import annotations

import socket

OUTER_MARK = 0x68757368  # "hush"

_SO_MARK = 36  # <asm-generic/socket.h>; Python's socket module has it from 3.13 on, if at all


def mark_outer(sock: socket.socket) -> None:
    """Raises `OSError` (EPERM without CAP_NET_ADMIN)."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, OUTER_MARK)
