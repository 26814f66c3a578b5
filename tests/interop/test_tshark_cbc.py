"""Wireshark decrypts what we protect with AES-CBC and HMAC, and finds its ICVs right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from hushwire.crypto.cbc import CBCS
from hushwire.crypto.cipher import Cipher
from hushwire.esp.seal import OutboundSa
from hushwire.wire.ike.message import Message, first
from hushwire.wire.ike.payloads.authentication import Authentication
from tests.interop.tshark import datagrams, read
from tests.sim.network import Host, Network, esp, ike, pair
from tests.sim.stages import secrets_of, session_of

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

EVERY = pytest.mark.parametrize("cipher", CBCS, ids=lambda cipher: cipher.name)
IKE_INTEGRITY = {
    16: "HMAC_SHA2_256_128 [RFC4868]",
    24: "HMAC_SHA2_384_192 [RFC4868]",
    32: "HMAC_SHA2_512_256 [RFC4868]",
}
ESP_INTEGRITY = {
    16: "HMAC-SHA-256-128 [RFC4868]",
    24: "HMAC-SHA-384-192 [RFC4868]",
    32: "HMAC-SHA-512-256 [RFC4868]",
}


def connected(cipher: Cipher) -> tuple[Network, Host, Host]:
    network = Network()
    alice, bob = pair(
        network,
        ike_proposals=ike(f"{cipher.name}-x25519"),
        esp_proposals=esp(cipher.name),
    )
    network.connect(alice, "bob")
    network.run(1)
    return network, alice, bob


@EVERY
def test_tshark_reads_ike_auth(cipher: Cipher, tmp_path: Path) -> None:
    network, alice, bob = connected(cipher)
    capture = tmp_path / "ike.pcap"
    wrpcap(str(capture), datagrams(network.sent))
    secrets, link = secrets_of(alice), session_of(alice).link
    assert secrets is not None
    keys = secrets.keys
    table = ",".join(
        (
            *(spi.hex() for spi in (link.initiator_spi, link.responder_spi)),
            *(key.hex() for key in (keys.ei, keys.er)),
            f'"AES-CBC-{cipher.key_bits} [RFC3602]"',
            *(key.hex() for key in (keys.ai, keys.ar)),
            f'"{IKE_INTEGRITY[cipher.icv_octets]}"',
        )
    )
    seen = read(
        capture,
        f"uat:ikev2_decryption_table:{table}",
        fields=(
            "isakmp.exchangetype",
            "isakmp.id.data.ipv4_addr",
            "isakmp.auth.data",
            "isakmp.enc.icd",
            "isakmp.enc.pad_length",
            "_ws.expert.message",
        ),
    )
    assert [packet["isakmp.exchangetype"] for packet in seen] == [["34"], ["34"], ["35"], ["35"]]
    for (_, data, _), packet, reader, identities in zip(
        network.sent[2:],
        seen[2:],
        (bob, alice),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.2"]),
        strict=True,
    ):
        sealed, secrets = Message.parse(data).encrypted, secrets_of(reader)
        assert sealed is not None
        assert secrets is not None
        proof = first(secrets.protection.open_payloads(sealed), Authentication)
        assert proof is not None
        assert packet["isakmp.id.data.ipv4_addr"] == identities
        assert packet["isakmp.auth.data"] == [proof.data.hex()]
        assert packet["isakmp.enc.icd"] == [data[-cipher.icv_octets :].hex()]
        assert int(packet["isakmp.enc.pad_length"][0]) < 16
        assert not packet["_ws.expert.message"]  # nothing to complain of


@EVERY
def test_tshark_reads_esp_and_finds_its_icv_good(cipher: Cipher, tmp_path: Path) -> None:
    _, alice, _ = connected(cipher)
    (child,) = alice.sas.values()
    outside = {"src": str(child.path.local.ip), "dst": str(child.path.remote.ip)}
    outbound = OutboundSa(child)
    said = [b"attack at dawn"[:length] for length in (1, 2, 14)]
    packets: list[Packet] = [
        IP(**outside, proto=50)
        / Raw(
            outbound.seal(bytes(IP(src="10.0.1.1", dst="10.0.1.2") / ICMP(id=7, seq=9) / Raw(text)))
        )
        for text in said
    ]
    capture = tmp_path / "esp.pcap"
    wrpcap(str(capture), packets)
    key = child.outbound_key.hex()
    split = 2 * cipher.encryption_octets
    seen = read(
        capture,
        "esp.enable_encryption_decode:TRUE",
        "esp.enable_authentication_check:TRUE",
        f'uat:esp_sa:"IPv4","*","*","0x{child.outbound_spi:08x}","AES-CBC [RFC3602]",'
        f'"0x{key[:split]}","{ESP_INTEGRITY[cipher.icv_octets]}","0x{key[split:]}"',
        fields=("ip.src", "esp.sequence", "esp.icv_good", "data.data"),
    )
    assert seen == [
        {
            "ip.src": [outside["src"], "10.0.1.1"],
            "esp.sequence": [str(number)],
            "esp.icv_good": ["1"],
            "data.data": [text.hex()],
        }
        for number, text in enumerate(said, start=1)
    ]
