"""An application that never tires: datagrams to every address given, again and again.

chatter.py SECONDS_BETWEEN ADDRESS...    until SIGTERM, then prints how many it has tried to send,
                                            which are at least 50 in any case

What hinders it, it passes over, as an application with a retry does: no route, a guard, a device
that is gone.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import suppress

TEXT = b"the key is under the mat"
PORT = 7003
_FEWEST = 50


def chat(between: float, addresses: list[str]) -> None:
    going = True

    def end(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, end)
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    socks = [(socket.socket(families[":" in to], socket.SOCK_DGRAM), to) for to in addresses]
    tried = 0
    print("ready", flush=True)
    while going or tried < _FEWEST:
        for sock, to in socks:
            with suppress(OSError):
                sock.sendto(TEXT, (to, PORT))
            tried += 1
        time.sleep(between)
    print(tried)


if __name__ == "__main__":
    chat(float(sys.argv[1]), sys.argv[2:])
