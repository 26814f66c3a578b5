"""One end of a tunnel in a process of its own: `python -m bench.end ENGINE a|b CIPHER`.

Runs in a network namespace that is there already. Says "ready", then answers each line on standard
input with what it has used so far, as JSON, until that ends.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import asdict
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from hushwire.config.model import EngineChoice
from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.suites import EspSuite
from hushwire.engines.base import Interface
from hushwire.engines.choice import make_engine
from hushwire.esp.size import inner_mtu
from hushwire.sa.association import Address, ChildSa, Encapsulation
from hushwire.sa.association import Path as Way
from hushwire.sa.selectors import from_network
from hushwire.system.addresses import add_address
from hushwire.system.datagram import open_raw_esp, open_udp
from hushwire.system.routes import add_route
from hushwire.system.tun import open_tun

_OUTER = ("192.0.2.1", "192.0.2.2")
_INNER = ("10.0.1.1", "10.0.1.2")
_MTU = 1500


def child(end: int, cipher_name: str) -> ChildSa:
    """An SA with fixed keys, worthless as secrets."""
    cipher = next(one for one in CIPHERS if one.name == cipher_name)
    keys = [
        bytes((index * 7 + way) & 0xFF for index in range(cipher.keymat_octets)) for way in (1, 2)
    ]
    here, there = (Address(ip_address(_OUTER[one]), 4500) for one in (end, 1 - end))
    return ChildSa(
        "peer",
        0x1000 + end,
        0x1000 + 1 - end,
        EspSuite(cipher, esn=True),
        keys[end],
        keys[1 - end],
        (from_network(ip_network(_INNER[end])),),
        (from_network(ip_network(_INNER[1 - end])),),
        Encapsulation.UDP,
        Way(here, there),
    )


def used() -> dict[str, float]:
    """CPU seconds of all threads (schedstat), resident octets."""
    nanoseconds = sum(
        int((task / "schedstat").read_text().split()[0])
        for task in Path("/proc/self/task").iterdir()
    )
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"cpu": nanoseconds / 1e9, "resident": pages * os.sysconf("SC_PAGE_SIZE")}


def main() -> None:
    name, side, cipher_name = sys.argv[1:]
    end = "ab".index(side)
    sa = child(end, cipher_name)
    engine, _ = make_engine(EngineChoice(name))
    mtu = inner_mtu(_MTU, 4, sa.encapsulation, sa.suite.cipher)
    tun = open_tun("tun0", mtu, headers=engine.capabilities().tun_headers)
    add_address("tun0", ip_interface(f"{_INNER[end]}/32"))
    add_route("tun0", ip_network(_INNER[1 - end]), ip_address(_INNER[end]))
    sockets = (open_udp(socket.AF_INET, 4500),), (open_raw_esp(socket.AF_INET),)
    engine.open(Interface("tun0", tun.fd, *sockets))
    engine.install(sa)
    print("ready", flush=True)
    for _ in sys.stdin:
        counters = engine.counters()
        (carried,) = counters.sas.values()
        drops = {str(drop): count for drop, count in counters.drops.items() if count}
        print(json.dumps({**used(), **asdict(carried), "drops": drops}), flush=True)
    engine.close()
    tun.close()


if __name__ == "__main__":
    main()
