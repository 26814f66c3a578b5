from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from hushwire.lab.attack import PRIME, Heard, Session, decipher, sessions
from hushwire.lab.overheard import overheard
from hushwire.lab.reader import read

V4 = IP(src="192.168.77.1", dst="192.168.77.2")
V6 = IPv6(src="fd00:77::1", dst="fd00:77::2")
SAID = UDP(sport=12345, dport=12345) / Raw(b"noon")


def _hear(tmp_path: Path, *packets: Packet) -> list[Heard]:
    file = tmp_path / "eve.pcap"
    wrpcap(str(file), [packet if Ether in packet else Ether() / packet for packet in packets])
    return overheard(read(file), 12345)


@pytest.mark.parametrize(
    "packet",
    [
        V4 / SAID,
        V6 / SAID,
        Ether() / V4 / SAID / Raw(b"") / Raw(bytes(14)),
        IP(src=V4.src, dst=V4.dst, options=[IPOption_NOP()] * 8) / SAID,
        V6 / IPv6ExtHdrHopByHop() / SAID,
        Ether() / Dot1Q(vlan=7) / V4 / SAID,
        V4 / UDP(sport=40000, dport=12345) / Raw(b"noon"),
        V4 / UDP(sport=12345, dport=40000) / Raw(b"noon"),
    ],
    ids=lambda packet: packet.summary(),
)
def test_a_message_is_heard(tmp_path: Path, packet: Packet) -> None:
    (heard,) = _hear(tmp_path, packet)
    assert heard.payload.rstrip(b"\0") == b"noon"
    assert heard.source in {V4.src, V6.src}
    assert heard.destination in {V4.dst, V6.dst}


@pytest.mark.parametrize(
    "packet",
    [
        V4 / UDP(sport=12346, dport=12346) / Raw(b"noon"),
        V4 / TCP(sport=12345, dport=12345) / Raw(b"noon"),
        V4 / UDP(sport=12345, dport=12345, len=99) / Raw(b"noon"),
        V4 / UDP(sport=12345, dport=12345, len=7) / Raw(b"noon"),
        IP(src=V4.src, dst=V4.dst, flags="MF") / SAID,
        IP(src=V4.src, dst=V4.dst, frag=9) / SAID,
        V4 / Raw(b"x"),
    ],
    ids=lambda packet: packet.summary(),
)
def test_what_is_none_is_not(tmp_path: Path, packet: Packet) -> None:
    assert _hear(tmp_path, packet) == []


def test_pieces_of_a_large_message_are_left_out(tmp_path: Path) -> None:
    large = V4 / UDP(sport=12345, dport=12345) / Raw(b"noon" * 1000)
    (heard,) = _hear(tmp_path, *fragment(large, 1400), V4 / SAID)
    assert heard.payload == b"noon"


def _offer(public: int) -> bytes:
    head = b"HUSHWIRE-LESSON!" + bytes([1, 1, PRIME, 5])
    return head + public.to_bytes(4, "big") + bytes(8)


def _heard(number: int, source: str, payload: bytes) -> Heard:
    return Heard(number, source, "bob" if source == "alice" else "alice", payload)


def test_who_starts_anew_begins_another_session() -> None:
    recording = [
        _heard(1, "alice", decipher(b"too early\n", 7)),
        _heard(2, "alice", _offer(8)),
        _heard(3, "bob", _offer(19)),
        _heard(4, "alice", decipher(b"one\n", 2)),
        _heard(5, "bob", _offer(5)),
        _heard(6, "alice", _offer(8)),
        _heard(7, "bob", decipher(b"two\n", 8)),
    ]
    early, first, second = sessions(recording)
    assert (early.secret, [heard.number for heard in early.messages]) == (None, [1])
    assert first == Session({"alice": 8, "bob": 19}, [recording[3]])
    assert second == Session({"alice": 8, "bob": 5}, [recording[6]])
    assert (first.secret, second.secret) == (2, 8)


def test_an_exchange_alone_is_a_session_without_messages() -> None:
    (session,) = sessions([_heard(1, "alice", _offer(8)), _heard(2, "bob", _offer(19))])
    assert (session.secret, session.messages) == (2, [])
    assert sessions([_heard(1, "alice", _offer(8))]) == []


def test_a_public_value_that_is_none_gives_no_secret() -> None:
    for wrong in (0, 23, 1 << 31):
        (session,) = sessions([_heard(1, "alice", _offer(8)), _heard(2, "bob", _offer(wrong))])
        assert session.secret is None
