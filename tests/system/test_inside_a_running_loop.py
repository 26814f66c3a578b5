from __future__ import annotations

import asyncio
from ipaddress import ip_interface

from hushwire.lab.topology import Topology
from hushwire.system.addresses import add_address
from hushwire.system.tun import open_tun
from tests.netns.inside import inside


def test_netlink_works_from_a_coroutine(topology: Topology) -> None:
    async def set_up() -> None:
        tun = open_tun("hw0", 1400)
        add_address("hw0", ip_interface("10.0.1.1/24"))
        tun.close()

    with inside(topology, "alice"):
        asyncio.run(set_up())
