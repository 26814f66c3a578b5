"""Scapy's ESP as an independent oracle: it opens what we seal, and we open what it seals."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Packet, Raw

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from hushwire.wire.registry import EncryptionId, IntegrityId
from tests.sa.pairs import pair

SCAPY_NAMES = {
    EncryptionId.AES_GCM_16: "AES-GCM",
    EncryptionId.CHACHA20_POLY1305: "CHACHA20-POLY1305",
    EncryptionId.AES_CBC: "AES-CBC",
}
SCAPY_INTEGRITY = {
    None: "NULL",
    IntegrityId.HMAC_SHA2_256_128: "SHA2-256-128",
    IntegrityId.HMAC_SHA2_384_192: "SHA2-384-192",
    IntegrityId.HMAC_SHA2_512_256: "SHA2-512-256",
}
INNER = {
    "IPv4 ping": IP(src="10.0.1.1", dst="10.0.1.2") / ICMP() / Raw(b"attack at dawn"),
    "IPv4 TCP": IP(src="10.0.1.1", dst="10.0.1.2") / TCP(dport=443) / Raw(bytes(range(256))),
    "IPv6 ping": IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(data=b"12345"),
    "IPv6 UDP": IPv6(src="fd00::1", dst="fd00::2") / UDP(dport=53) / Raw(b"x" * 1000),
}
OUTER = {
    "IPv4": IP(src="192.0.2.1", dst="192.0.2.2"),
    "IPv6": IPv6(src="2001:db8::1", dst="2001:db8::2"),
}


def oracle(
    child: ChildSa, outer: Packet | None = None, *, nat: bool = False
) -> SecurityAssociation:
    """Scapy's SA for the direction in which `child` sends; without `outer` in transport mode."""
    cipher = child.suite.cipher
    return SecurityAssociation(
        ESP,
        spi=child.outbound_spi,
        crypt_algo=SCAPY_NAMES[cipher.id],
        crypt_key=child.outbound_key[: cipher.encryption_octets],
        auth_algo=SCAPY_INTEGRITY[cipher.integrity],
        auth_key=child.outbound_key[cipher.encryption_octets :],
        tunnel_header=outer,
        nat_t_header=UDP(sport=4500, dport=4500) if nat else None,
        esn_en=child.suite.esn,
    )


def around(outer: Packet, sealed: bytes, nat: bool) -> Packet:
    """Our ESP packet as scapy would meet it on the wire."""
    wire = outer / UDP(sport=4500, dport=4500) if nat else outer.copy()
    if not nat:
        wire.fields["proto" if wire.version == 4 else "nh"] = 50
    return wire.__class__(bytes(wire / Raw(sealed)))


CASES = [
    pytest.param(cipher, esn, nat, OUTER[outer], INNER[inner], id="-".join(names))
    for cipher in CIPHERS
    for esn in (False, True)
    for nat in (False, True)
    for outer in OUTER
    for inner in INNER
    if (
        names := (
            cipher.name,
            "esn" if esn else "noesn",
            "udp" if nat else "esp",
            outer,
            inner,
        )
    )
]
EVERY = pytest.mark.parametrize(("cipher", "esn", "nat", "outer", "inner"), CASES)


@EVERY
def test_scapy_opens_what_we_seal(
    cipher: Cipher, esn: bool, nat: bool, outer: Packet, inner: Packet
) -> None:
    alice, _ = pair(cipher, esn=esn)
    wire = around(outer, OutboundSa(alice).seal(bytes(inner)), nat)
    assert bytes(oracle(alice, outer, nat=nat).decrypt(wire)) == bytes(inner)


@EVERY
def test_we_open_what_scapy_seals(
    cipher: Cipher, esn: bool, nat: bool, outer: Packet, inner: Packet
) -> None:
    alice, bob = pair(cipher, esn=esn)
    wire = oracle(alice, outer, nat=nat).encrypt(inner.__class__(bytes(inner)))
    assert (UDP in wire) == nat
    assert InboundSa(bob).open(bytes(wire[ESP])).inner == bytes(inner)


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("sequence", [(1 << 32) - 1, 1 << 32, (1 << 32) + 1, 5 << 32, 1 << 63])
def test_both_agree_on_the_high_bits_of_extended_sequence_numbers(
    cipher: Cipher, sequence: int
) -> None:
    outer, inner = OUTER["IPv4"], INNER["IPv4 ping"]
    alice, bob = pair(cipher, esn=True)
    high, low = divmod(sequence, 1 << 32)
    scapys = oracle(alice, outer)
    scapys.seq_num, scapys.esn = low, high

    wire = around(outer, OutboundSa(alice, sent=sequence - 1).seal(bytes(inner)), nat=False)
    assert wire[ESP].seq == low
    assert bytes(scapys.decrypt(wire)) == bytes(inner)

    inbound = InboundSa(bob)
    inbound.window.commit(sequence - 1)
    assert inbound.open(bytes(scapys.encrypt(inner)[ESP])).inner == bytes(inner)
    assert inbound.window.top == sequence
