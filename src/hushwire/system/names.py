"""The address of an endpoint by its DNS name, asked for outside of the tunnel.

With 0.0.0.0/0 in the tunnel the guard stops every program's questions to a name server beside the
tunnel, and there is no tunnel without the answer. This one asks by itself, from a marked socket,
which the guard lets pass; other programs' questions stay where they are.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from hushwire.system.mark import mark
from hushwire.wire.dns import AAAA, A, build_query, parse_answer
from hushwire.wire.errors import WireError

IpAddress = IPv4Address | IPv6Address

# The first says who answers programs here. If that is a program of this host, the others, which
# systemd-resolved and NetworkManager write, say whom it asks.
_FILES = tuple(
    Path(name)
    for name in (
        "/etc/resolv.conf",
        "/run/systemd/resolve/resolv.conf",
        "/run/NetworkManager/no-stub-resolv.conf",
    )
)
_PORT = 53
_TRY_SECONDS = 2.0
_TRIES = 2


def lookup(name: str) -> IpAddress:
    """One of the name's addresses. Raises `OSError` when no name server tells one."""
    for _ in range(_TRIES):
        for server in _servers():
            for kind in (A, AAAA):
                with suppress(OSError, WireError):
                    if found := _ask(server, build_query(secrets.randbits(16), name, kind)):
                        return found[0]
    raise OSError(f"no name server knows {name}, or none can be reached")


def _servers() -> Iterable[IpAddress]:
    for file in _FILES:
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            match line.split():
                case ["nameserver", text, *_]:
                    with suppress(ValueError):
                        address = ip_address(text)
                        if not address.is_loopback:
                            yield address


def _ask(server: IpAddress, query: bytes) -> list[IpAddress]:
    """Raises `OSError` when nothing comes."""
    family = socket.AF_INET if server.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        mark(sock)
        sock.connect((str(server), _PORT))
        sock.send(query)
        deadline = time.monotonic() + _TRY_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            with suppress(WireError):  # somebody's guess: the real one may still come
                return parse_answer(query, sock.recv(4096))
        raise TimeoutError
