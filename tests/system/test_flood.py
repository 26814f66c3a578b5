"""Whoever floods us with ICMP errors about nothing does not keep us from everything else."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pytest

from hushwire.system.icmp import receive_too_big
from hushwire.system.unreachable import receive_unreachable

# An IPv4 header of a raw socket, and "port unreachable", with a wrong checksum.
_MALFORMED = b"\x45" + bytes(19) + b"\x03\x03\xff\xff" + bytes(32)


@pytest.mark.parametrize(
    "receive", [receive_unreachable, lambda sock: receive_too_big(sock, 0)], ids=["silence", "size"]
)
def test_a_flood_of_malformed_errors_is_read_in_parts(
    receive: Callable[[socket.socket], object],
) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as floods,
    ):
        hears.bind(("127.0.0.1", 0))
        hears.setblocking(False)
        floods.connect(hears.getsockname())
        for _ in range(100):
            floods.send(_MALFORMED)
        assert receive(hears) is None
        assert select.select([hears], [], [], 0)[0], "all were read at once"
        assert receive(hears) is None
        assert not select.select([hears], [], [], 0)[0]
