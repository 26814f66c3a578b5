"""Wireshark's tables, written and read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.explain.wireshark import (
    IkeSaKeys,
    esp_lines,
    ike_line,
    parse_esp_table,
    parse_ike_table,
    readable,
)
from tests.sim.network import Network, esp, pair

READABLE = [cipher for cipher in CIPHERS if readable(cipher)]


@pytest.mark.parametrize("cipher", READABLE, ids=lambda cipher: cipher.name)
def test_ike_keys_come_back_as_they_were(cipher: Cipher) -> None:
    ei, er = (bytes([n]) * cipher.encryption_octets for n in (1, 2))
    ai, ar = (bytes([n]) * cipher.integrity_octets for n in (3, 4))
    keys = IkeSaKeys(b"12345678", b"abcdefgh", cipher, ei, er, ai, ar)
    (read,) = parse_ike_table(f"# a comment\n{ike_line(keys)}\n")
    assert read == keys


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
def test_esp_keys_come_back_as_they_were(cipher: Cipher) -> None:
    network = Network()
    alice, _ = pair(network, esp_proposals=esp(cipher.name))
    network.connect(alice, "bob")
    network.run(1)
    (child,) = alice.sas.values()
    inward, outward = parse_esp_table("\n".join(esp_lines(child)))
    assert (inward.spi, inward.key) == (child.inbound_spi, child.inbound_key)
    assert (outward.spi, outward.key) == (child.outbound_spi, child.outbound_key)
    assert inward.cipher == outward.cipher == cipher


def test_keys_are_not_in_any_repr() -> None:
    cipher = READABLE[0]
    secret = bytes(range(100, 100 + cipher.encryption_octets))
    keys = IkeSaKeys(bytes(8), bytes(8), cipher, secret, secret)
    assert repr(secret)[2:-1] not in repr(keys)
    assert secret.hex() not in repr(keys)


@given(st.text(max_size=400))
def test_any_text_is_a_table_of_what_can_be_read_in_it(text: str) -> None:
    parse_ike_table(text)
    parse_esp_table(text)


@pytest.mark.parametrize("line", ["", "a,b", '"', ",".join(["0x"] * 8), ",".join(["zz"] * 8)])
def test_lines_that_are_none_are_passed_over(line: str) -> None:
    assert parse_ike_table(line) == []
    assert parse_esp_table(line) == []
