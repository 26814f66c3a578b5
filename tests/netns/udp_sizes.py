"""Sends UDP messages of 1 to 1472 octets, each of which must come back unchanged.

udp_sizes.py echo ADDRESS    answers 1472 different messages, then ends
udp_sizes.py send ADDRESS    prints how many came back whole, and a hash of the text they repeat
"""

from __future__ import annotations

import hashlib
import socket
import sys

_TEXT = b"the key is under the mat "
_PORT = 7002
_LARGEST = 1472
_TRIES = 10


def message(size: int) -> bytes:
    return (_TEXT * (size // len(_TEXT) + 1))[:size]


def echo(address: str) -> None:
    with _socket(address) as sock:
        sock.bind((address, _PORT))
        print("ready", flush=True)
        sock.settimeout(60)
        seen: set[int] = set()
        while len(seen) < _LARGEST:
            data, sender = sock.recvfrom(65535)
            sock.sendto(data, sender)
            seen.add(len(data))


def send(address: str) -> None:
    whole = 0
    with _socket(address) as sock:
        sock.connect((address, _PORT))
        sock.settimeout(3)
        for size in range(1, _LARGEST + 1):
            whole += _comes_back(sock, message(size))
    print(whole, hashlib.sha256(_TEXT).hexdigest())


def _comes_back(sock: socket.socket, data: bytes) -> bool:
    for _ in range(_TRIES):
        sock.send(data)
        try:
            while (answer := sock.recv(65535)) != data:
                if len(answer) >= len(data):
                    return False
        except TimeoutError:
            continue
        return True
    return False


def _socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM)


if __name__ == "__main__":
    {"echo": echo, "send": send}[sys.argv[1]](sys.argv[2])
