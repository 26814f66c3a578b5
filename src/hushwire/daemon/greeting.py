"""The first words of a running interface: what it is, where it listens, whom it waits for."""

from __future__ import annotations

import time

from hushwire.config.model import Config, Start
from hushwire.daemon.dates import warnings
from hushwire.daemon.journal import Journal

_WAITING = (
    (Start.WAIT, "Waiting for {} to begin."),
    (Start.TRAFFIC, "Waiting for traffic to {}."),
)


def greet(journal: Journal, config: Config, engine: str, mtu: int) -> None:
    """Tell it all; `mtu` is that of the device, in octets."""
    interface = config.interface
    addresses = ", ".join(map(str, interface.address)) or "no address"
    in_tcp = f", on TCP {interface.tcp_port}" if config.listens_in_tcp else ""
    underlay = f" on {interface.underlay}" if interface.underlay else ""
    journal.say(
        f"{interface.name}: {addresses}, MTU {mtu}, {engine} engine. "
        f"Listening on UDP 500 and 4500{in_tcp} and for ESP{underlay}.",
        interface=interface.name,
        mtu=mtu,
    )
    for warning in warnings(config, time.time()):
        journal.say(warning)
    for start, sentence in _WAITING:
        if names := [peer.name for peer in config.peers if peer.start is start]:
            journal.say(sentence.format(", ".join(names)))
