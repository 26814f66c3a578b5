from __future__ import annotations

import pytest

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.esp.seal import OutboundSa
from hushwire.esp.size import inner_mtu
from hushwire.sa.association import Encapsulation
from tests.esp.packets import inner
from tests.sa.pairs import pair


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize(("version", "header"), [(4, 20), (6, 40)])
@pytest.mark.parametrize(
    ("encapsulation", "around"),
    # Inside TCP: its header, the timestamps option, the length of the frame (RFC 9329 §3.2).
    [(Encapsulation.ESP, 0), (Encapsulation.UDP, 8), (Encapsulation.TCP, 20 + 12 + 2)],
)
def test_the_largest_inner_packet_fits_and_one_octet_more_does_not(
    cipher: Cipher, version: int, header: int, encapsulation: Encapsulation, around: int
) -> None:
    outbound = OutboundSa(pair(cipher)[0])
    for underlay in (*range(1280, 1290), 1500, 9000):
        largest = inner_mtu(underlay, version, encapsulation, cipher)
        assert header + around + len(outbound.seal(inner(largest))) <= underlay
        assert header + around + len(outbound.seal(inner(largest + 1))) > underlay


def test_the_number_that_everybody_asks_for() -> None:
    assert inner_mtu(1500, 4, Encapsulation.UDP, CIPHERS[0]) == 1438
    assert inner_mtu(1500, 6, Encapsulation.UDP, CIPHERS[0]) == 1418
