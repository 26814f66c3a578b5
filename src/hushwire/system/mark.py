"""The mark on every packet that Hushwire itself sends: it tells them from an application's."""

from __future__ import annotations

import socket

MARK = 0x48575245
"""The letters HWRE. Routing rules and the firewall match it whole, all 32 bits."""

_SO_MARK = 36  # <asm-generic/socket.h>; Python's socket module has it on some platforms only


def mark(sock: socket.socket) -> None:
    """Mark all that leaves by the socket. Raises `PermissionError` without CAP_NET_ADMIN."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)
