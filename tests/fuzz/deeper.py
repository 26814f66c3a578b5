"""Targets behind the parsers: ESP opened with the right keys, a whole endpoint, a whole file."""

from __future__ import annotations

import random
import tempfile
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path as FilePath

from hushwire.config.errors import ConfigError
from hushwire.config.load import load
from hushwire.esp.drops import EspDropError
from hushwire.esp.open import InboundSa
from hushwire.ike.effects import Send
from hushwire.ike.endpoint import Endpoint
from hushwire.sa.association import Address, Path
from tests.esp.packets import inner, seal_raw
from tests.sa.pairs import pair
from tests.sim.network import Network, peer

_PATH = Path(Address(ip_address("192.0.2.2"), 500), Address(ip_address("192.0.2.9"), 500))
_TOML = """[interface]
address = ["10.0.1.1/24"]
[peer.bob]
endpoint = "192.0.2.2"
psk_file = "bob.psk"
networks = ["10.0.1.2/32"]
"""


def esp_open(data: bytes) -> None:
    """An ESP packet of somebody without the keys: refused, whatever it is."""
    _, bob = pair()
    if data not in SEEDS["esp_open"]:
        with suppress(EspDropError):
            InboundSa(bob).open(data)
            raise AssertionError("a packet that nobody sealed was opened")


def esp_inside(data: bytes) -> None:
    """An authentic ESP packet whose plaintext is anything, as a careless peer may send."""
    alice, bob = pair()
    with suppress(EspDropError):
        opened = InboundSa(bob).open(seal_raw(alice, 1, data)).inner
        assert opened
        assert len(opened) <= len(data)


def endpoint(data: bytes) -> None:
    """A datagram on port 500 of a responder: no exception, and no answer that amplifies."""
    host = Endpoint([peer("bob", "alice")], random.Random(0).randbytes, 0.0)
    for effect in host.datagram(data, _PATH, 0.0):
        if isinstance(effect, Send):
            assert len(effect.data) <= len(data)
    assert not host.sessions()


def config(data: bytes) -> None:
    """A configuration file: loaded, or refused with a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        file = FilePath(folder) / "hw0.toml"
        file.write_bytes(data)
        with suppress(ConfigError):
            load(file)


def first_message() -> bytes:
    """A genuine IKE_SA_INIT request."""
    network = Network()
    network.connect(network.host("alice", peer("alice", "bob")), "bob")
    return network.sent[0][1]


TARGETS = {"esp_open": esp_open, "esp_inside": esp_inside, "endpoint": endpoint, "config": config}
SEEDS = {
    "esp_open": [seal_raw(pair()[0], 1, inner(40) + b"\1\2\2\4")],
    "esp_inside": [inner(40) + b"\1\2\2\4", inner(60, 6) + b"\1\2\2\x29", b"\1\2\2\x3b"],
    "endpoint": [first_message()],
    "config": [_TOML.encode()],
}
