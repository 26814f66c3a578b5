"""One engine, and a peer that the test itself plays, octet by octet."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from tests.conformance.hosts import NATT, Host, host, plain_socket
from tests.conformance.namespaces import Namespace, joined
from tests.sa.pairs import pair

PORT = 7000
ALICE, BOB = "192.0.2.1", "192.0.2.2"


@dataclass
class Setting:
    """Bob has the engine; Alice is this test, with her half of the same SA."""

    bob: Host
    alice: Namespace
    wire: socket.socket
    application: socket.socket
    of_alice: ChildSa
    of_bob: ChildSa

    def __post_init__(self) -> None:
        self.outbound = OutboundSa(self.of_alice)

    def send(self, datagram: bytes) -> None:
        """To Bob's port 4500."""
        self.wire.sendto(datagram, (BOB, NATT))

    def say(self, text: bytes) -> bytes:
        """An ESP packet whose inner packet says this to Bob's application."""
        return self.outbound.seal(message(text))

    def hear(self) -> bytes:
        """What Bob's application hears next."""
        return self.application.recv(65535)

    def speak(self, text: bytes = b"hello") -> None:
        """Bob's application sends towards Alice's inner address."""
        self.application.sendto(text, ("10.0.1.1", PORT))


def message(text: bytes, source: str = "10.0.1.1", destination: str = "10.0.1.2") -> bytes:
    return bytes(IP(src=source, dst=destination) / UDP(sport=PORT, dport=PORT) / Raw(text))


@contextmanager
def setting(engine: str, keepalive_seconds: float = 20) -> Generator[Setting]:
    of_alice, of_bob = pair()
    with (
        joined((f"{ALICE}/24",), (f"{BOB}/24",), ipv6=False) as (left, right),
        host(
            right, engine, inner=("10.0.1.2/24",), mtu=65535, keepalive_seconds=keepalive_seconds
        ) as bob,
        plain_socket(left, (ALICE, NATT)) as wire,
        plain_socket(right, ("10.0.1.2", PORT)) as application,
    ):
        yield Setting(bob, left, wire, application, of_alice, of_bob)
