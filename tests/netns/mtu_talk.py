"""UDP messages of given sizes, with and without leave to fragment them.

mtu_talk.py echo ADDRESS                 sends back what comes, until it is killed
mtu_talk.py ask ADDRESS free SIZE...     prints the sizes that do not come back whole
mtu_talk.py ask ADDRESS df SIZE...       prints the sizes that do not come back and of which the
                                         kernel never said that they are too large
"""

from __future__ import annotations

import errno
import socket
import sys
import time

_PORT = 7003
_PATIENCE_SECONDS = 20.0
_MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (41, 23)}
_DISCOVER = {"free": 0, "df": 2}  # IP_PMTUDISC_DONT, IP_PMTUDISC_DO


def echo(address: str) -> None:
    with _socket(address, "free") as sock:
        sock.bind((address, _PORT))
        print("ready", flush=True)
        while True:
            data, sender = sock.recvfrom(65535)
            sock.sendto(data, sender)


def ask(address: str, kind: str, sizes: list[int]) -> None:
    with _socket(address, kind) as sock:
        sock.connect((address, _PORT))
        print(*(size for size in sizes if not _settled(sock, size)))


def _settled(sock: socket.socket, size: int) -> bool:
    data = size.to_bytes(4, "big") + bytes(index & 0xFF for index in range(4, size))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.2
    while time.monotonic() < deadline:
        sock.settimeout(pause)
        pause = min(2 * pause, 2.0)
        try:
            sock.send(data)
            while sock.recv(65535) != data:
                pass
            return True
        except TimeoutError:
            continue
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return True
            raise
    return False


def _socket(address: str, kind: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    level, option = _MTU_DISCOVER[family]
    sock.setsockopt(level, option, _DISCOVER[kind])
    return sock


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2])
    else:
        ask(sys.argv[2], sys.argv[3], [int(size) for size in sys.argv[4:]])
