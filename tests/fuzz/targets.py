"""What is fuzzed: for every parser a function that raises only when the parser has a bug.

A target takes any octets. The errors that a parser promises are its right; whatever it accepts
must also survive being built and parsed again. To add a parser, add one entry to `TARGETS` and
its valid inputs to `SEEDS`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

from hushwire.esp import ecn, mss
from hushwire.esp.drops import EspDropError
from hushwire.esp.reassembly import Reassembly
from hushwire.explain import findings
from hushwire.explain.capture import Capture
from hushwire.explain.ladder import ladder
from hushwire.wire import dns, esp, front, icmp, ip, natt, pcap, tcpencap, unreachable
from hushwire.wire.errors import WireError
from hushwire.wire.fragments import cut
from hushwire.wire.ike import probe
from hushwire.wire.ike.message import Message, Payload, build_chain, build_plain, parse_chain
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.ike.payloads.ts import TrafficSelectors, TsInitiator
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.ike.rules import check_inner, check_outer
from tests.fuzz import certificates, deeper
from tests.wire import samples
from tests.wire.mutations import with_true_length

Target = Callable[[bytes], None]


def _keeps_all(payload: Payload) -> bool:
    """False for what parsing reduces to a mark: unknown attributes and unknown selector types."""
    if isinstance(payload, SecurityAssociation):
        return not any(t.unknown_attribute for p in payload.proposals for t in p.transforms)
    if isinstance(payload, TrafficSelectors):
        return not payload.unknown
    return True


def message(data: bytes) -> None:
    """A datagram on port 500, as it came and again with a length field that is right."""
    for datagram in (data, with_true_length(data)):
        with suppress(WireError):
            parsed = Message.parse(datagram)
            if parsed.encrypted is not None:
                sealed = parsed.encrypted
                assert sealed.aad + sealed.body == datagram
            elif all(map(_keeps_all, parsed.payloads)):
                built = build_plain(parsed.header, parsed.payloads)
                assert Message.parse(built).payloads == parsed.payloads
            check_outer(parsed)


def chain(data: bytes) -> None:
    """What an authenticated peer sends inside SK: the first octet is the first payload's type."""
    if not data:
        return
    with suppress(WireError):
        payloads = parse_chain(data[0], data[1:])
        if all(map(_keeps_all, payloads)):
            assert parse_chain(*build_chain(payloads)) == payloads
        for sample in samples.MESSAGES:
            with suppress(WireError):
                check_inner(Message.parse(sample).header, payloads)


def payload_target(kind: type[Payload]) -> Target:
    """The body of one payload."""

    def target(data: bytes) -> None:
        with suppress(WireError):
            payload = kind.parse(data)
            if _keeps_all(payload):
                assert kind.parse(payload.build()) == payload

    return target


def flow(data: bytes) -> None:
    """An IP packet: from the TUN device, or out of an ESP packet."""
    with suppress(WireError):
        parsed = ip.parse_flow(data)
        end = ip.total_length(data)
        assert end <= len(data)
        assert ip.parse_flow(data[:end]) == parsed


def boundary(data: bytes) -> None:
    """A well-formed inner packet at the tunnel's mouth, the outer traffic class before it."""
    if not data:
        return
    tos, packet = data[0], data[1:]
    with suppress(WireError):
        parsed = ip.parse_flow(packet)
        assert len(mss.clamped(packet, 1000)) == len(packet)
        icmp.build_too_big(packet, 1280)
        with suppress(EspDropError):
            assert ip.parse_flow(ecn.decapsulated(packet, tos)) == parsed


def too_big(data: bytes) -> None:
    """An ICMP error from the network, of either version."""
    for parse in (icmp.parse_too_big4, icmp.parse_too_big6):
        with suppress(WireError):
            parse(data)
    probe.answered_spi(data)


def fragments(data: bytes) -> None:
    """The same in transport mode: split, cut into fragments, and whole again."""
    with suppress(WireError):
        own, rest = front.split(data)
        assert data.startswith(own.octets + rest)
        Reassembly().add(data, 0.0)
        packet = front.join(own, 253, rest)
        reassembly = Reassembly()
        pieces = [reassembly.add(piece, 0.0) for piece in cut(packet, len(packet) // 2, 1)]
        assert pieces[-1] is not None
        assert front.split(pieces[-1].packet)[1] == rest


def esp_header(data: bytes) -> None:
    """An ESP packet."""
    with suppress(WireError):
        assert esp.build_header(*esp.parse_header(data)) == data[:8]


def nat_traversal(data: bytes) -> None:
    """A datagram on port 4500."""
    kind = natt.classify(data)
    if kind is natt.Datagram.IKE:
        message(data[len(natt.NON_ESP_MARKER) :])
    elif kind is natt.Datagram.ESP:
        esp_header(data)


def tcp_stream(data: bytes) -> None:
    """What a TCP connection brings, in two pieces: the first octet says where it is cut."""
    if not data:
        return
    cut, stream = data[0], data[1:]
    found = _messages(stream)
    assert found == _messages(stream[:cut], stream[cut:])
    for content in found:
        nat_traversal(content)
    again = b"".join(map(tcpencap.build_frame, found))
    assert _messages(again) == found


def _messages(*pieces: bytes) -> list[bytes]:
    reader = tcpencap.FrameReader()
    found = []
    with suppress(WireError):
        for piece in pieces:
            for content in reader.feed(piece):
                found.append(content)
    return found


_QUERY = dns.build_query(4711, "bob.example", dns.A)
_RESPONSE = bytes.fromhex("1267818000010001") + bytes(4) + _QUERY[12:]


def dns_response(data: bytes) -> None:
    """What a name server, or somebody in its place, says."""
    with suppress(WireError):
        assert len(dns.parse_answer(_QUERY, data)) <= len(data) // 15


def capture_file(data: bytes) -> None:
    """A capture that somebody gives us to explain, with all that is told of it."""
    capture = Capture()
    with suppress(WireError):
        for frame in pcap.frames(io.BytesIO(data).read):
            capture.add(frame)
    for conversation in capture.conversations.values():
        findings.of_conversation(capture, conversation)
        ladder(capture.attempt(conversation))
    for stream in capture.streams.values():
        findings.of_stream(stream)


def unreachable_error(data: bytes) -> None:
    """An ICMP error about IKE, of either version."""
    for parse in (unreachable.parse_unreachable4, unreachable.parse_unreachable6):
        with suppress(WireError):
            parse(data)


PAYLOADS: dict[str, type[Payload]] = {
    "sa": SecurityAssociation,
    "ke": KeyExchangePayload,
    "id": IdInitiator,
    "cert": Certificate,
    "certreq": CertificateRequest,
    "auth": Authentication,
    "nonce": Nonce,
    "notify": Notify,
    "delete": Delete,
    "vendor": VendorId,
    "ts": TsInitiator,
}

_ADDRESSES = "20010db8" * 8
_IP_PACKETS = [
    # TCP over IPv4; ICMP behind an option
    "4500002800010000400672c8c0000201c63364020014005000000000000000005002200091750000",
    "4600002000010000400170c8c0000201c6336402940400000800f7ff00000000",
    # UDP over IPv6; the same behind hop-by-hop and fragment headers
    "6000000000181140" + _ADDRESSES + "0035003500180000" + "00" * 16,
    "6000000000180040" + _ADDRESSES + "2c0001040000000011000001000000010035003500080000",
]


def _capture(message: bytes) -> bytes:
    """A pcap file of raw IPv4 with this message once, on UDP port 500."""
    udp = bytes.fromhex("01f401f4") + (8 + len(message)).to_bytes(2, "big") + bytes(2) + message
    return _pcap(17, udp)


def _capture_of_tcp(message: bytes) -> bytes:
    """The same, as the first in a stream to TCP port 4500."""
    frame = tcpencap.build_frame(natt.NON_ESP_MARKER + message)
    header = bytes.fromhex("c000119400000001000000005018ffff00000000")
    return _pcap(6, header + tcpencap.STREAM_PREFIX + frame)


def _pcap(protocol: int, segment: bytes) -> bytes:
    total = (20 + len(segment)).to_bytes(2, "big")
    addresses = bytes.fromhex("0000c0000201c0000202")
    packet = b"\x45\0" + total + bytes([0, 0, 0, 0, 64, protocol]) + addresses + segment
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000")
    return head + bytes(8) + len(packet).to_bytes(4, "little") * 2 + packet


TARGETS: dict[str, Target] = {
    "message": message,
    "chain": chain,
    "flow": flow,
    "boundary": boundary,
    "too_big": too_big,
    "fragments": fragments,
    "esp_header": esp_header,
    "natt": nat_traversal,
    "tcp_stream": tcp_stream,
    "dns": dns_response,
    "capture": capture_file,
    "unreachable": unreachable_error,
    **{name: payload_target(kind) for name, kind in PAYLOADS.items()},
    **deeper.TARGETS,
    **certificates.TARGETS,
}

SEEDS: dict[str, list[bytes]] = {
    "message": list(samples.MESSAGES),
    "chain": [bytes([first]) + rest for first, rest in map(build_chain, samples.CHAINS)],
    "flow": [bytes.fromhex(packet) for packet in _IP_PACKETS],
    "boundary": [b"\3" + bytes.fromhex(packet) for packet in _IP_PACKETS],
    "too_big": [
        bytes.fromhex("0304f89e00000578" + _IP_PACKETS[0]),
        bytes.fromhex("0200000000000514" + _IP_PACKETS[2]),
        probe.build_probe(b"8 octets", 40),
    ],
    "fragments": [bytes.fromhex(packet) for packet in _IP_PACKETS],
    "esp_header": [esp.build_header(0xC0FFEE01, 1) + bytes(32)],
    "dns": [_RESPONSE + bytes.fromhex("c00c00010001000000000004c0000207")],
    "capture": [
        make(message) for message in samples.MESSAGES for make in (_capture, _capture_of_tcp)
    ],
    "unreachable": [
        bytes.fromhex("0303fcfc00000000" + _IP_PACKETS[0]),
        bytes.fromhex("0104000000000000" + _IP_PACKETS[2]),
    ],
    "natt": [
        natt.KEEPALIVE,
        esp.build_header(0xC0FFEE01, 1) + bytes(32),
        *(natt.NON_ESP_MARKER + message for message in samples.MESSAGES),
    ],
    "tcp_stream": [
        b"\5" + b"".join(map(tcpencap.build_frame, (natt.KEEPALIVE, b"", b"sealed ESP"))),
        *(
            b"\7" + tcpencap.build_frame(natt.NON_ESP_MARKER + message)
            for message in samples.MESSAGES
        ),
    ],
    **{
        name: [sample.build() for sample in samples.PAYLOADS if isinstance(sample, kind)]
        for name, kind in PAYLOADS.items()
    },
    **deeper.SEEDS,
    **certificates.SEEDS,
}
