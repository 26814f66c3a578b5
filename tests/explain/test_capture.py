"""Captures of two peers who know nothing of it: what they show, with and without keys."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap, wrpcapng

from hushwire.esp.seal import OutboundSa
from hushwire.explain import findings
from hushwire.explain.capture import Capture
from hushwire.explain.ladder import ladder
from hushwire.explain.wireshark import (
    esp_lines,
    ike_line,
    parse_esp_table,
    parse_ike_table,
    readable,
)
from hushwire.ike.inputs import Limits
from hushwire.sa.association import Encap
from hushwire.sa.association import Path as Way
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Message, build_plain
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.natt import NON_ESP_MARKER
from hushwire.wire.pcap import LARGEST_FRAME, Frame, frames
from hushwire.wire.registry import NotifyType
from hushwire.wire.tcpencap import STREAM_PREFIX, build_frame
from tests.cli.command import hushwire
from tests.sim.network import Host, Network, Weather, esp, ike, pair, peer
from tests.sim.streams import StreamNetwork, reverse

# With addresses: else scapy asks the network for them.
WIRE = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
WHEN = 1_700_000_000.0


def packets(network: Network) -> list[Packet]:
    """What the simulated network carried, as frames."""
    made = []
    for number, (_, data, path) in enumerate(network.sent):
        marker = NON_ESP_MARKER if path.local.port == 4500 else b""
        packet = (
            WIRE
            / IP(src=str(path.local.ip), dst=str(path.remote.ip))
            / UDP(sport=path.local.port, dport=path.remote.port)
            / Raw(marker + data)
        )
        packet.time = WHEN + number / 10
        made.append(packet)
    return made


def captured(made: Iterable[Packet], hosts: Iterable[Host] = ()) -> Capture:
    live = [keys for host in hosts for keys in host.endpoint.live_keys()]
    capture = Capture(
        parse_ike_table("\n".join(ike_line(one.ike) for one in live if readable(one.ike.cipher))),
        parse_esp_table("\n".join(line for one in live for c in one.children
                                  for line in esp_lines(c))),
    )  # fmt: skip
    for packet in made:
        capture.add(Frame(float(packet.time), 1, bytes(packet)))
    return capture


def said(capture: Capture) -> str:
    return "\n".join(
        line
        for conversation in capture.conversations.values()
        for line in findings.of_conversation(capture, conversation)
    )


def connected(seconds: float = 1, **changes: object) -> tuple[Network, Host, Host]:
    network = Network()
    alice, bob = pair(network, **changes)
    network.connect(alice, "bob")
    network.run(seconds)
    return network, alice, bob


def test_without_keys_the_proposals_and_the_choice_are_seen() -> None:
    network, _, _ = connected(ike_proposals=ike("aes256gcm16-aes128gcm16-prfsha256-x25519"))
    text = said(captured(packets(network)))
    assert "192.0.2.1 offered, 1 of 1: aes256gcm16-aes128gcm16-prfsha256-x25519" in text
    assert "192.0.2.2 chose aes256gcm16-prfsha256-x25519." in text
    assert "2 messages are sealed" in text
    assert "NAT" not in text


@pytest.mark.parametrize("cipher", ["aes256gcm16-prfsha384", "aes128-sha256-prfsha256"])
def test_with_keys_the_sealed_messages_are_read(cipher: str) -> None:
    network, alice, bob = connected(ike_proposals=ike(f"{cipher}-x25519"))
    text = said(captured(packets(network), [alice, bob]))
    assert "2 of 2 sealed messages were opened" in text
    assert "192.0.2.1 is 192.0.2.1, with a proof (AUTH), and asks for 192.0.2.2." in text
    assert "192.0.2.2 chose for ESP: aes256gcm16-esn." in text
    assert "192.0.2.2 agrees to 10.0.1.1/32 <-> 10.0.1.2/32." in text


def test_other_keys_open_nothing_and_say_so() -> None:
    network, alice, _ = connected()
    (live,) = alice.endpoint.live_keys()
    wrong = bytes(len(live.ike.ei))
    line = ike_line(live.ike).replace(live.ike.ei.hex(), wrong.hex())
    capture = Capture(parse_ike_table(line))
    for packet in packets(network):
        capture.add(Frame(float(packet.time), 1, bytes(packet)))
    assert "1 do not open with the keys given" in said(capture)


def test_a_refusal_says_how_the_two_differ_as_far_as_it_is_told() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    theirs = ike("aes128gcm16-prfsha384-x25519")
    network.host("bob", peer("bob", "alice", ike_proposals=theirs))
    network.connect(alice, "bob")
    network.run(1)
    text = said(captured(packets(network)))
    assert "192.0.2.2 takes none of them (NO_PROPOSAL_CHOSEN)" in text
    assert "It would take: aes128gcm16-prfsha384-x25519." in text
    assert "The nearest two differ in: encryption." in text


def test_a_wrong_guess_at_the_group_and_a_cookie_are_told() -> None:
    network = Network()
    both = ike("aes256gcm16-prfsha384-x25519-ecp384")
    alice = network.host("alice", peer("alice", "bob", ike_proposals=both))
    only = ike("aes256gcm16-prfsha384-ecp384")
    network.host("bob", peer("bob", "alice", ike_proposals=only), limits=Limits(cookies_from=0))
    network.connect(alice, "bob")
    network.run(1)
    text = said(captured(packets(network)))
    assert "wanted to see a return address first (COOKIE" in text
    assert "wanted the key exchange ecp384; the first guess was x25519" in text
    assert "192.0.2.2 chose aes256gcm16-prfsha384-ecp384." in text


def test_silence_and_repetition_are_told() -> None:
    network = Network(weather=Weather(loss=1.0))
    alice, _ = pair(network)
    network.connect(alice, "bob")
    network.run(40)
    text = said(captured(packets(network)))
    assert "192.0.2.1 sent IKE_SA_INIT request 0 6 times." in text
    assert "192.0.2.2 never answered IKE_SA_INIT request 0 of 192.0.2.1" in text


def test_a_nat_is_seen_where_the_addresses_are_others_than_were_hashed() -> None:
    network, _, _ = connected()
    made = packets(network)
    for packet in made:
        for name in ("src", "dst"):
            if getattr(packet[IP], name) == "192.0.2.1":
                setattr(packet[IP], name, "198.51.100.7")
    text = said(captured(made))
    assert "198.51.100.7 is behind a NAT, seen from here" in text
    assert "192.0.2.2 knows 198.51.100.7 by another address" in text


def test_a_capture_that_begins_in_the_middle_says_so() -> None:
    network, _, _ = connected()
    assert "begins after IKE_SA_INIT" in said(captured(packets(network)[2:]))


START = 0xFFFFFFF0
"""A sequence number near the last one, so that it begins again at 0 in what follows."""


def segments(size: int) -> tuple[list[Packet], Host, Host]:
    """A tunnel inside TCP and one packet in it: two SYNs, then segments of `size` octets."""
    network = StreamNetwork()
    alice = network.host("alice", peer("alice", "bob", encap=Encap.TCP))
    bob = network.host("bob", peer("bob", "alice", encap=Encap.TCP))
    path = network.connect_in_tcp(alice, "bob")
    network.run(1)
    (packet,) = sealed(alice, 1)
    next_number = dict.fromkeys((path, reverse(path)), START)
    made = [segment(one, START - 1, b"", "S") for one in next_number]
    messages = [(NON_ESP_MARKER + data, one) for _, data, one in network.sent]
    for message, one in [*messages, (bytes(packet[Raw]), path)]:
        octets = build_frame(message)
        if (one, next_number[one]) == (path, START):
            octets = STREAM_PREFIX + octets
        for at in range(0, len(octets), size):
            piece = octets[at : at + size]
            made.append(segment(one, next_number[one], piece, "PA"))
            next_number[one] += len(piece)
    for number, one in enumerate(made):
        one.time = WHEN + number / 10
    return made, alice, bob


def segment(path: Way, number: int, octets: bytes, flags: str) -> Packet:
    return (
        WIRE
        / IP(src=str(path.local.ip), dst=str(path.remote.ip))
        / TCP(sport=path.local.port, dport=path.remote.port, seq=number % 2**32, flags=flags)
        / Raw(octets)
    )


def shuffled(made: list[Packet]) -> list[Packet]:
    """Neighbours have changed places, and some come twice."""
    pairs = [made[at : at + 2][::-1] for at in range(2, len(made), 2)]
    return [*made[:2], *(one for two in pairs for one in (*two, two[0]))]


@pytest.mark.parametrize("size", [5, 100, 1400, 60_000])
@pytest.mark.parametrize("order", [list, shuffled])
def test_what_goes_inside_tcp_is_put_together_and_read(
    size: int, order: Callable[[list[Packet]], list[Packet]]
) -> None:
    made, alice, bob = segments(size)
    capture = captured(order(made), [alice, bob])
    text = said(capture)
    assert "192.0.2.2 chose aes256gcm16-prfsha384-x25519" in text
    assert "2 of 2 sealed messages were opened" in text
    (conversation,) = capture.conversations.values()
    assert "TCP port 4500:" in "\n".join(ladder(capture.attempt(conversation)))
    (stream,) = capture.streams.values()
    assert (stream.carrier, stream.opened) == ("TCP 4500", 1)
    assert findings.of_the_rest(capture) == []


def test_a_capture_of_tcp_that_begins_in_the_middle_is_read_from_the_next_whole_frame_on() -> None:
    made, alice, bob = segments(1400)
    capture = captured(made[3:], [alice, bob])  # without the SYNs and the first request
    assert "2 of 2 sealed messages were opened" in said(capture)
    (stream,) = capture.streams.values()
    assert stream.opened == 1
    made, _, _ = segments(50)
    late = captured(made[5:])
    assert not late.streams
    assert "TCP segments (RFC 9329) not read" in "\n".join(findings.of_the_rest(late))


def test_a_segment_that_is_missing_does_not_end_the_reading() -> None:
    made, _, _ = segments(1400)
    path = made[-1]
    capture = captured(made[:4])
    for number in range(1, 200):  # behind a gap
        late = path.copy()
        late[TCP].seq = (path[TCP].seq + number) % 2**32
        late[TCP].payload = Raw(b"\xff" * 10)
        capture.add(Frame(WHEN, 1, bytes(late)))
        assert capture.unread == number
    assert not capture.streams
    again = path.copy()
    again[TCP].seq = 4711
    capture.add(Frame(WHEN, 1, bytes(again)))
    assert len(capture.streams) == 1


def sealed(alice: Host, count: int) -> list[Packet]:
    (child,) = alice.sas.values()
    outbound = OutboundSa(child)
    inner = bytes(IP(src="10.0.1.1", dst="10.0.1.2") / UDP(sport=1, dport=2) / Raw(b"at dawn"))
    made = [
        WIRE / IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / Raw(outbound.seal(inner))
        for _ in range(count)
    ]
    for number, packet in enumerate(made):
        packet.time = WHEN + number
    return made


@pytest.mark.parametrize(
    "suite", ["aes256gcm16-esn", "aes256gcm16", "chacha20poly1305-esn", "aes256-sha256-esn"]
)
def test_esp_shows_its_gaps_and_with_keys_what_is_in_it(suite: str) -> None:
    _, alice, bob = connected(esp_proposals=esp(suite))
    made = sealed(alice, 10)
    seen = [*made[:3], *made[5:8], made[6], made[4], made[9]]
    (without,) = captured(seen).streams.values()
    assert (without.packets, without.lowest, without.highest) == (9, 1, 10)
    assert (without.missing, without.repeated, without.late) == (2, 1, 1)
    assert without.opened == 0
    (stream,) = captured(seen, [bob]).streams.values()
    assert (stream.opened, stream.refused) == (9, 0)
    assert dict(stream.inside) == {"UDP 10.0.1.1 > 10.0.1.2": 9}
    assert "2 missing, 1 there twice, 1 late" in "\n".join(findings.of_stream(stream))


def test_pcap_and_pcapng_vlan_and_ipv6_are_read(tmp_path: Path) -> None:
    network, _, _ = connected()
    made = packets(network)
    tagged = [WIRE / Dot1Q(vlan=7) / packet[IP] for packet in made]
    as6 = [
        WIRE / IPv6(src="2001:db8::1", dst="2001:db8::2") / packet[UDP].copy() for packet in made
    ]
    for packet in as6:
        del packet[UDP].chksum
    for name, write in (("c.pcap", wrpcap), ("c.pcapng", wrpcapng)):
        for content in (made, tagged, as6):
            write(str(tmp_path / name), content)
            done = hushwire("explain", str(tmp_path / name))
            assert done.returncode == 0, done.stderr
            assert "chose aes256gcm16-prfsha384-x25519" in done.stdout
            assert "IKE_AUTH request 1" in done.stdout


def test_what_is_no_capture_or_no_table_is_said(tmp_path: Path) -> None:
    file = tmp_path / "no.pcap"
    file.write_bytes(b"not a capture at all")
    done = hushwire("explain", str(file))
    assert done.returncode == 2
    assert "not a capture" in done.stderr
    wrpcap(str(file), [WIRE / IP() / Raw(b"x")])
    assert "neither IKE nor ESP" in hushwire("explain", str(file)).stdout
    done = hushwire("explain", str(file), "--keys", str(tmp_path))
    assert done.returncode == 2
    assert "esp_sa" in done.stderr


def test_a_refusal_in_clear_cannot_end_what_goes_on() -> None:
    network, _, _ = connected()
    made = packets(network)
    reply = network.sent[1]
    forged = made[1].copy()
    plain = build_plain(Message.parse(reply[1]).header, (Notify(NotifyType.NO_PROPOSAL_CHOSEN),))
    forged[UDP].payload = Raw(plain)
    del forged[IP].len, forged[UDP].len, forged[UDP].chksum, forged[IP].chksum
    forged.time = made[0].time + 0.01
    text = said(captured([made[0], forged, *made[1:]]))
    assert "192.0.2.2 chose" in text


@given(st.binary(max_size=400), st.sampled_from(["pcap", "pcapng", ""]))
def test_any_octets_are_frames_or_a_wire_error(data: bytes, kind: str) -> None:
    start = {
        "pcap": bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000"),
        "pcapng": bytes.fromhex("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000"),
        "": b"",
    }[kind]
    with suppress(WireError):
        for frame in frames(io.BytesIO(start + data).read):
            assert len(frame.data) <= LARGEST_FRAME


@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from([0, 1, 101, 113, 276, 7]))
def test_any_frame_is_looked_at_without_an_exception(contents: list[bytes], link: int) -> None:
    capture = Capture()
    for content in contents:
        for start in (
            "",
            "4500001c00000000401100000a0000010a00000201f401f4",
            "4500000000000000400600000a0000010a0000020400119400000000000000005018000000000000",
        ):
            capture.add(Frame(0.0, link, bytes.fromhex(start) + content))
    said(capture)


def test_many_sas_are_kept_within_bounds() -> None:
    capture = Capture()
    for number in range(1, 2000):
        head = number.to_bytes(8, "big") + bytes(8) + bytes.fromhex("212022080000000000 00001c")
        udp = bytes.fromhex("01f401f4") + (36).to_bytes(2, "big") + bytes(2) + head
        ip = bytes(IP(src="192.0.2.1", dst="192.0.2.2", proto=17, len=20 + len(udp)) / Raw(udp))
        capture.add(Frame(0.0, 101, ip))
        sealed_ip = IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / Raw(
            (number + 255).to_bytes(4, "big") + bytes(20)
        )
        capture.add(Frame(0.0, 101, bytes(sealed_ip)))
    assert len(capture.conversations) == 64
    assert len(capture.streams) == 256
    assert capture.left_out > 3000
