"""What alice sends bob in tests, and what eve may see besides ESP."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from hushwire.lab.network import Network
from hushwire.lab.reader import Kind

MARKER = b"the key is under the mat "
"""In all that is sent as UDP, for eve to look for."""

HOUSEKEEPING = {Kind.ARP, Kind.NEIGHBOUR, Kind.IKE, Kind.KEEPALIVE}

_TALK = [sys.executable, "-m", "hushwire.lab.talk"]
_UDP_SIZES = Path(__file__).with_name("udp_sizes.py")


def send_ten_megabytes(network: Network, target: str, to: str = "bob") -> None:
    """From alice over TCP; fails unless the same octets arrive."""
    taker = network.start(to, [*_TALK, "take", target, "7001"])
    taker.wait_for_line("ready")
    given = network.run("alice", [*_TALK, "give", target, "7001", "10000000"]).stdout
    taken = taker.finish().splitlines()[-1]
    for key in ("octets", "sha256"):
        assert json.loads(given)[key] == json.loads(taken)[key]


def send_udp_of_every_size(network: Network, target: str) -> None:
    """1 to 1472 octets from alice to bob, each of which must come back."""
    listener = network.start("bob", [sys.executable, _UDP_SIZES, "echo", target])
    listener.wait_for_line("ready")
    done = network.run("alice", [sys.executable, _UDP_SIZES, "send", target])
    assert done.stdout.split() == ["1472", hashlib.sha256(MARKER).hexdigest()]
    listener.finish()
