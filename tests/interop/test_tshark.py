"""Wireshark as an independent reader: it decrypts our IKE_AUTH and ESP with the keys we name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from hushwire.esp.seal import OutboundSa
from hushwire.ike.states import Established
from hushwire.wire.ike.message import first
from hushwire.wire.ike.payloads.authentication import Authentication
from tests.interop.tshark import datagrams, read
from tests.sim.network import Host, esp, ike
from tests.sim.stages import Scene, Stage, session_of

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

IKE_NAMES = {
    "aes256gcm16": "AES-GCM-256 with 16 octet ICV [RFC5282]",
    "aes128gcm16": "AES-GCM-128 with 16 octet ICV [RFC5282]",
}


def established(cipher: str) -> Scene:
    return Scene(
        Stage.UP,
        ike_proposals=ike(f"{cipher}-prfsha256-x25519"),
        esp_proposals=esp(f"{cipher}-noesn"),
    )


def exported(host: Host, cipher: str) -> str:
    """A line of Wireshark's table ikev2_decryption_table. SK_e is the key and its salt joined."""
    session = session_of(host)
    assert isinstance(session.state, Established)
    keys, link = session.state.secrets.keys, session.link
    spis = link.initiator_spi.hex(), link.responder_spi.hex()
    return (
        f"uat:ikev2_decryption_table:{spis[0]},{spis[1]},{keys.ei.hex()},{keys.er.hex()},"
        f'"{IKE_NAMES[cipher]}",,,"NONE [RFC4306]"'
    )


@pytest.mark.parametrize("cipher", IKE_NAMES)
def test_tshark_reads_ike_auth_with_the_exported_keys(cipher: str, tmp_path: Path) -> None:
    scene = established(cipher)
    capture = tmp_path / "ike.pcap"
    wrpcap(str(capture), datagrams(scene.network.sent))
    keys = exported(scene.alice, cipher)
    assert keys == exported(scene.bob, cipher)
    seen = read(
        capture,
        keys,
        fields=(
            "isakmp.exchangetype",
            "isakmp.typepayload",
            "isakmp.id.data.ipv4_addr",
            "isakmp.auth.method",
            "isakmp.auth.data",
            "isakmp.spi",
            "isakmp.ts.start_ipv4",
            "isakmp.ts.end_ipv4",
            "_ws.expert.message",
        ),
    )
    assert [packet["isakmp.exchangetype"] for packet in seen] == [["34"], ["34"], ["35"], ["35"]]
    proofs = [first(scene.inside.open(data), Authentication) for data, _ in scene.messages[2:]]
    spis = [next(iter(host.sas)) for host in (scene.alice, scene.bob)]
    identities = [["192.0.2.1", "192.0.2.2"], ["192.0.2.2"]]  # the request names IDr as well
    for packet, proof, spi, ids in zip(seen[2:], proofs, spis, identities, strict=True):
        assert proof is not None
        assert packet["isakmp.id.data.ipv4_addr"] == ids
        assert packet["isakmp.auth.method"] == ["2"]
        assert packet["isakmp.auth.data"] == [proof.data.hex()]
        assert packet["isakmp.spi"] == [f"{spi:08x}"]
        assert packet["isakmp.ts.start_ipv4"] == ["10.0.1.1", "10.0.1.2"]
        assert packet["isakmp.ts.end_ipv4"] == ["10.0.1.1", "10.0.1.2"]
    assert not any(packet["_ws.expert.message"] for packet in seen)


@pytest.mark.parametrize("cipher", IKE_NAMES)
def test_tshark_reads_esp_with_the_keys_of_the_child_sa(cipher: str, tmp_path: Path) -> None:
    scene = established(cipher)
    capture = tmp_path / "esp.pcap"
    packets: list[Packet] = []
    settings = ["esp.enable_encryption_decode:TRUE"]
    expected: list[dict[str, list[str]]] = []
    inside = {"alice": "10.0.1.1", "bob": "10.0.1.2"}
    for sender, receiver in ((scene.alice, scene.bob), (scene.bob, scene.alice)):
        (child,) = sender.sas.values()
        outside = str(child.path.local.ip), str(child.path.remote.ip)
        source, target = inside[sender.name], inside[receiver.name]
        settings.append(
            f'uat:esp_sa:"IPv4","*","*","0x{child.outbound_spi:08x}",'
            f'"AES-GCM with 16 octet ICV [RFC4106]","0x{child.outbound_key.hex()}","NULL",""'
        )
        outbound = OutboundSa(child)
        inner = bytes(IP(src=source, dst=target) / ICMP(id=7, seq=9) / Raw(b"attack at dawn"))
        for number in ("1", "2"):
            sealed = outbound.seal(inner)
            packets.append(IP(src=outside[0], dst=outside[1], proto=50) / Raw(sealed))
            expected.append(
                {
                    "ip.src": [outside[0], source],
                    "ip.dst": [outside[1], target],
                    "esp.spi": [f"0x{child.outbound_spi:08x}"],
                    "esp.sequence": [number],
                    "icmp.seq": ["9"],
                    "data.data": [b"attack at dawn".hex()],
                }
            )
    wrpcap(str(capture), packets)
    assert read(capture, *settings, fields=tuple(expected[0])) == expected
