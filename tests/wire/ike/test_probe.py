"""Probes: any size, and what our own protocol answers to them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from hushwire.ike.effects import Send
from hushwire.ike.endpoint import Endpoint
from hushwire.ike.inputs import IkeDrop
from hushwire.sa.association import Address, Path
from hushwire.wire.ike.probe import answered_spi, build_probe

SPI = b"8 octets"
PATH = Path(Address(ip_address("192.0.2.1"), 500), Address(ip_address("192.0.2.2"), 500))


@pytest.mark.parametrize("octets", [28, 548, 1472, 65507])
def test_a_peer_answers_a_probe_of_any_size_and_keeps_nothing(octets: int) -> None:
    probe = build_probe(SPI, octets)
    assert len(probe) == octets
    peer = Endpoint([], lambda count: bytes(range(count)), 0.0)
    answers = [e.data for e in peer.datagram(probe, PATH, 0.0) if isinstance(e, Send)]
    if octets == 28:  # the answer would be larger than the question
        assert answers == []
        return
    (answer,) = answers
    assert answered_spi(answer) == SPI
    assert len(answer) <= 40
    assert peer.idle
    assert peer.drops[IkeDrop.OTHER_VERSION] == 1


def test_nothing_else_is_an_answer() -> None:
    probe = build_probe(SPI, 100)
    peer = Endpoint([], lambda count: bytes(range(count)), 0.0)
    (answer,) = (e.data for e in peer.datagram(probe, PATH, 0.0) if isinstance(e, Send))
    for other in (b"", probe, answer[:-1], answer + b"x", answer[:-1] + b"\7", SPI + bytes(28)):
        assert answered_spi(other) != SPI
