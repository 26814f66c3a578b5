"""Strangers at a TCP port: `tcp_strangers.py ADDRESS PORT COUNT SOURCE...`

Opens COUNT connections, one after the other from the sources in turn, and on each does one thing
that no honest peer does: nothing, another protocol, a prefix and no more, a length of 0 or 1,
half a frame, the largest frame full of nonsense, ESP of nobody's. Keeps as many open as it can.
Says "opened N" at the end and stays until its input ends.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import random
import select
import socket
import sys
from collections import deque

_KEPT = 900
_PREFIX = b"IKETCP"
_HABITS = (
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    _PREFIX[:3],
    _PREFIX,
    _PREFIX + b"\0\0",
    _PREFIX + b"\0\1",
    _PREFIX + b"\0\2" * 50,
    _PREFIX + b"\xff\xff" + bytes(3000),
    _PREFIX + b"\xff\xff" + random.Random(1).randbytes(65533),
    _PREFIX + b"\0\x2a\1\2\3\4" + bytes(36),
    (_PREFIX + b"\0\x2a\1\2\3\4" + bytes(36)) * 40,
    _PREFIX + b"\0\x22" + bytes(32),
    random.Random(2).randbytes(2000),
)


def main(address: str, port: str, count: str, *sources: str) -> None:
    kept: deque[socket.socket] = deque()
    opened = 0
    turns = zip(itertools.cycle(sources), itertools.cycle(_HABITS), range(int(count)), strict=False)
    for source, habit, _ in turns:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.bind((source, 0))
        sock.setblocking(False)
        kept.append(sock)
        if sock.connect_ex((address, int(port))) in (0, errno.EINPROGRESS):
            select.select([], [sock], [], 1)
            with contextlib.suppress(OSError):
                sock.send(habit)
                opened += 1
        if len(kept) > _KEPT:
            kept.popleft().close()
    print("opened", opened, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
