"""UDP datagrams of 64 octets, as many as go through: sent and received 128 by one system call.

iperf3 makes a system call for each, and then it is what is measured. This sender is the same for
all contestants; what counts is what a program at the far end has received.
`python -m bench.measure.datagrams send ADDRESS SECONDS` and `… count LIMIT` are its two ends.
"""

from __future__ import annotations

import ctypes
import json
import select
import socket
import sys
import time

from bench.network import BenchError, Hosts
from bench.tunnels.base import Tunnel
from bench.usage import cpu_seconds

_PORT = 5202
_OCTETS = 64
_BATCH = 128
_BUFFER_OCTETS = 8 << 20
_SILENCE_SECONDS = 0.5


def datagrams(hosts: Hosts, tunnel: Tunnel, seconds: float) -> dict[str, float]:
    """Datagrams a second at the far end, CPU microseconds for each, and the share that arrived."""
    module = (sys.executable, "-m", "bench.measure.datagrams")
    with hosts[1].running(*module, "count", f"{seconds + 20:g}") as counting:
        counting.line()
        before = cpu_seconds(tunnel.pids)
        sent = int(hosts[0].run(*module, "send", tunnel.target, f"{seconds:g}"))
        said = counting.rest(seconds + 60)
    spent = cpu_seconds(tunnel.pids) - before
    counted, duration = json.loads(said)
    if not counted or not duration:
        raise BenchError("no datagram arrived")
    return {
        "small_per_s": counted / duration,
        "small_cpu_us": spent / counted * 1e6,
        "small_arrived": counted / sent,
    }


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("octets", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_octets", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("octets", ctypes.c_uint))


_libc = ctypes.CDLL(None)


def _messages() -> ctypes.Array[_Message]:
    """All of one buffer: nobody looks at what is in it."""
    buffer = ctypes.create_string_buffer(_OCTETS)
    vector = _Vector(ctypes.addressof(buffer), _OCTETS)
    messages = (_Message * _BATCH)()
    for message in messages:
        message.header.vectors = ctypes.pointer(vector)
        message.header.vector_count = 1
    messages.kept = buffer  # type: ignore[attr-defined]
    return messages


def send(address: str, seconds: float) -> int:
    """How many the kernel took."""
    messages, sent = _messages(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        near.connect((address, _PORT))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # Refused where a queue is full: then they are lost, as anybody's would be.
            sent += max(_libc.sendmmsg(near.fileno(), messages, _BATCH, 0), 0)
    return sent


def count(limit: float) -> tuple[int, float]:
    """How many came, and the seconds from the first to the last; ends when no more come."""
    messages = _messages()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        far.bind(("", _PORT))
        print("ready", flush=True)
        counted = _receive(far, messages, limit)
        first = last = time.monotonic()
        while came := _receive(far, messages, _SILENCE_SECONDS):
            last = time.monotonic()
            counted += came
    return counted, last - first


def _receive(far: socket.socket, messages: ctypes.Array[_Message], patience: float) -> int:
    """What is there, or the first that comes within `patience` seconds; 0 when nothing does."""
    came: int = _libc.recvmmsg(far.fileno(), messages, _BATCH, socket.MSG_DONTWAIT, None)
    if came > 0:
        return came
    if not select.select([far], [], [], patience)[0]:
        return 0
    came = _libc.recvmmsg(far.fileno(), messages, _BATCH, socket.MSG_DONTWAIT, None)
    return max(came, 0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", to, duration]:
            print(send(to, float(duration)))
        case ["count", longest]:
            print(json.dumps(count(float(longest))))
