"""What alice and bob say to each other in the lab, each line of it a program of its own.

    python -m hushwire.lab.talk hear 192.168.77.2 7000            one UDP message, printed
    python -m hushwire.lab.talk say 192.168.77.2 7000 "Hello"
    python -m hushwire.lab.talk take 10.0.1.2 7001                octets over TCP, hashed
    python -m hushwire.lab.talk give 10.0.1.2 7001 10000000
    python -m hushwire.lab.talk bookmark br0 "act 2"              a frame that eve sends herself

The first word out of `hear` and `take` is "ready"; facts are one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable

BOOKMARK_ETHERTYPE = 0x88B5  # IEEE Std 802: for local experiments

READY = "ready"

_PATIENCE_SECONDS = 30.0
_PIECE_OCTETS = 1 << 16


def hear(address: str, port: int) -> None:
    """Wait for one message and tell it and its sender."""
    with _bound(address, port, socket.SOCK_DGRAM) as sock:
        print(READY, flush=True)
        data, sender = sock.recvfrom(65535)
    _tell(message=data.decode(errors="replace"), sender=sender[0])


def say(address: str, port: int, message: str) -> None:
    """Send one message."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), (address, port))


def take(address: str, port: int) -> None:
    """Accept one connection and tell how much came and its hash."""
    with _bound(address, port, socket.SOCK_STREAM) as listener:
        listener.listen(1)
        print(READY, flush=True)
        connection, _ = listener.accept()
    digest = hashlib.sha256()
    octets = 0
    with connection:
        connection.settimeout(_PATIENCE_SECONDS)
        while piece := connection.recv(_PIECE_OCTETS):
            digest.update(piece)
            octets += len(piece)
        # Only when all of it is here the giver may go.
        connection.sendall(digest.digest())
    _tell(octets=octets, sha256=digest.hexdigest())


def give(address: str, port: int, octets: int) -> None:
    """Send so many random octets and tell their hash and how long it took."""
    digest = hashlib.sha256()
    with socket.socket(_family(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(_PATIENCE_SECONDS)
        sock.connect((address, port))
        begun = time.monotonic()
        left = octets
        while left:
            piece = os.urandom(min(left, _PIECE_OCTETS))
            sock.sendall(piece)
            digest.update(piece)
            left -= len(piece)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(_PIECE_OCTETS):
            pass
        seconds = time.monotonic() - begun
    _tell(octets=octets, sha256=digest.hexdigest(), seconds=round(seconds, 3))


def bookmark(device: str, text: str) -> None:
    """Send one frame to nobody, so that it stands in a capture at this very place."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        addresses = bytes(12)
        frame = addresses + BOOKMARK_ETHERTYPE.to_bytes(2, "big") + text.encode()
        sock.send(frame.ljust(60, b"\0"))


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(_family(address), kind)
    sock.settimeout(_PATIENCE_SECONDS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _tell(**facts: str | int | float) -> None:
    print(json.dumps(facts), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="talk", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    words: list[tuple[Callable[..., None], list[tuple[str, type]]]] = [
        (hear, [("address", str), ("port", int)]),
        (say, [("address", str), ("port", int), ("message", str)]),
        (take, [("address", str), ("port", int)]),
        (give, [("address", str), ("port", int), ("octets", int)]),
        (bookmark, [("device", str), ("text", str)]),
    ]
    for function, arguments in words:
        verb = verbs.add_parser(function.__name__, help=function.__doc__)
        for name, kind in arguments:
            verb.add_argument(name, type=kind)
        verb.set_defaults(function=function)
    return parser


def main(argv: list[str]) -> int:
    """Exit code 0, or 1 with one line on standard error."""
    chosen = vars(_parser().parse_args(argv))
    function = chosen.pop("function")
    try:
        function(**chosen)
    except OSError as error:
        print(f"{function.__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
