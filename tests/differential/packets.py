"""Random SA pairs and random packets, well-formed, odd and broken, from one source of chance."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random

from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.suites import EspSuite
from hushwire.esp.padding import alignment, pad
from hushwire.sa.association import Address, ChildSa, Encapsulation, Mode, Path
from hushwire.sa.selectors import from_network
from hushwire.wire.ike.payloads.ts import TrafficSelector
from hushwire.wire.ip import checksum
from tests.esp.packets import seal_raw
from tests.sa.pairs import mirror

NATT = 4500
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
"""Of the test, which plays the peer, and of the engine."""

PEERS = {4: ip_network("10.0.1.128/25"), 6: ip_network("fd00:1::/64")}
OURS = {4: ip_network("10.0.1.0/25"), 6: ip_network("fd00:2::/64")}

_PROTOCOLS = (6, 17, 17, 1, 58, 253, 132, 50)
_NEXT = {4: 4, 6: 41}
_ECHO = b"\x08\0\0\0"


@dataclass(frozen=True)
class Pair:
    """Both views of a random SA pair; `mtu` of its path, or None."""

    of_peer: ChildSa
    of_engine: ChildSa
    outer: int
    mtu: int | None


def any_pair(rng: Random, number: int) -> Pair:
    cipher = rng.choice(CIPHERS)
    outer = rng.choice((4, 6))
    peer, engine = (Address(ip_address(it), NATT) for it in OUTER[outer])
    mode = rng.choice((Mode.TUNNEL, Mode.TUNNEL, Mode.TRANSPORT))
    local, remote = _selectors(rng, mode, outer)
    of_peer = ChildSa(
        peer="engine",
        inbound_spi=0x1000_0000 + number,
        outbound_spi=0x2000_0000 + number,
        suite=EspSuite(cipher, rng.random() < 0.7),
        inbound_key=rng.randbytes(cipher.keymat_octets),
        outbound_key=rng.randbytes(cipher.keymat_octets),
        local_selectors=local,
        remote_selectors=remote,
        encapsulation=rng.choice((Encapsulation.UDP, Encapsulation.ESP)),
        path=Path(peer, engine),
        replay_window=rng.choice((32, 64, 1000, 1024, 8192)),
        mode=mode,
        rewritten=mode is Mode.TRANSPORT and rng.random() < 0.5,
        copy_dscp=rng.random() < 0.5,
    )
    mtu = rng.choice((None, None, 1500, 1400))
    return Pair(of_peer, mirror(of_peer, "peer"), outer, mtu)


def _selectors(
    rng: Random, mode: Mode, outer: int
) -> tuple[tuple[TrafficSelector, ...], tuple[TrafficSelector, ...]]:
    """The peer's side and the engine's."""
    if mode is Mode.TRANSPORT:
        ends = (TrafficSelector(ip_address(it), ip_address(it)) for it in OUTER[outer])
        peer, engine = ((end,) for end in ends)
        return peer, engine
    both = tuple(
        tuple(from_network(net) for net in nets.values())
        for nets in (PEERS, OURS)  # IPv4 and IPv6 in one SA
    )
    if rng.random() < 0.3:
        both = tuple(
            tuple(
                replace(one, protocol=17, start_port=0, end_port=rng.randrange(1000, 65536))
                for one in s
            )
            for s in both
        )
    return both[0], both[1]


class Source:
    """Packets for one pair, in both directions."""

    def __init__(self, rng: Random, pair: Pair) -> None:
        self._rng = rng
        self._pair = pair
        self._top = rng.choice((0, 0, 1000, (1 << 32) - 200, 5 << 32))
        if not pair.of_peer.suite.esn:
            self._top %= 1 << 32
        self._transport = pair.of_peer.mode is Mode.TRANSPORT
        self._versions = (pair.outer,) if self._transport else (4, 6)
        # No errors to the sender, which are rate-limited; and packets that bring their own header
        # are not fragmented by the kernel.
        whole = self._transport and pair.of_peer.encapsulation is Encapsulation.ESP
        self._most = 900 if pair.mtu or whole else 4000

    def from_application(self) -> bytes:
        """What the engine's host sends, nearly always IP, mostly what the SA carries."""
        rng = self._rng
        if not self._transport and rng.random() < 0.01:
            return rng.randbytes(rng.randrange(1, 100))
        version = rng.choice(self._versions)
        ends = self._ends(version)
        return self._ip(ends[1], ends[0])

    def from_wire(self) -> tuple[bytes, int]:
        """An ESP packet of the peer, or of somebody else, and the marks of its outer header."""
        rng = self._rng
        packet = seal_raw(self._pair.of_peer, self._sequence(), self._plaintext())
        marks = rng.choice((0, 0, 1, 2, 3, rng.randrange(256)))
        chance = rng.random()
        if chance < 0.04:
            packet = flipped(packet, rng.randrange(len(packet) * 8))
        elif chance < 0.06:
            packet = packet[: rng.randrange(8, len(packet))]
        elif chance < 0.07:
            packet = packet[:8] + rng.randbytes(rng.randrange(200))
        elif chance < 0.08 and self._pair.of_peer.encapsulation is Encapsulation.UDP:
            packet = rng.choice((b"\xff", b"\x01", packet[:5]))
        return packet, marks

    def genuine(self) -> bytes:
        """A sealed packet that is delivered, or would be if nothing of it were changed."""
        version = self._versions[0]
        ends = OUTER[version] if self._transport else (PEERS[version][1], OURS[version][1])
        inner = _ipv((ip_address(ends[0]), ip_address(ends[1])), 17, _udp(53, 53, b"hello"))
        if self._transport:
            return seal_raw(self._pair.of_peer, 7, self._padded(_udp(53, 53, b"hello"), 17))
        return seal_raw(self._pair.of_peer, 7, self._padded(inner, _NEXT[version]))

    def _sequence(self) -> int:
        """Mostly the next one; some are skipped, late, old or come twice."""
        rng, top = self._rng, self._top
        chance = rng.random()
        if chance < 0.8:
            sequence = top + 1
        elif chance < 0.9:
            sequence = top - rng.randrange(2 * self._pair.of_peer.replay_window)
        elif chance < 0.99:
            sequence = top + rng.randrange(1, 200)
        else:
            sequence = top + rng.randrange(1, 1 << 20)
        last = (1 << 64 if self._pair.of_peer.suite.esn else 1 << 32) - 1
        sequence = min(max(sequence, 1), last)
        self._top = max(self._top, sequence)
        return sequence

    def _plaintext(self) -> bytes:
        rng = self._rng
        version = rng.choice(self._versions)
        ends = self._ends(version)
        packet = self._ip(*ends)
        next_header = _NEXT[version]
        if self._transport:
            packet = packet[20 if version == 4 else 40 :]
            next_header = rng.choice((6, 17, 253))
        chance = rng.random()
        if chance < 0.01:
            next_header = rng.choice((59, 4, 41, 0, 255))
        elif chance < 0.02:
            packet = packet[: rng.randrange(len(packet) + 1)]
        elif chance < 0.05:
            packet += bytes(rng.randrange(200))  # TFC padding (RFC 4303 §2.7)
        plaintext = self._padded(packet, next_header)
        if rng.random() < 0.01:
            plaintext = plaintext[:-2] + bytes((rng.randrange(256), plaintext[-1]))
        return plaintext

    def _padded(self, payload: bytes, next_header: int) -> bytes:
        return pad(payload, next_header, alignment(self._pair.of_peer.suite.cipher))

    def _ends(self, version: int) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
        """An address of the peer's side and one of the engine's; rarely one of neither."""
        rng = self._rng
        if self._transport:
            return ip_address(OUTER[version][0]), ip_address(OUTER[version][1])
        sides = (PEERS[version], OURS[version])
        if rng.random() < 0.02:
            sides = (OURS[version], PEERS[version])
        peer, ours = (net[rng.randrange(min(net.num_addresses, 1 << 16))] for net in sides)
        return peer, ours

    def _ip(
        self,
        source: IPv4Address | IPv6Address,
        destination: IPv4Address | IPv6Address,
    ) -> bytes:
        rng = self._rng
        protocol = rng.choice(_PROTOCOLS)
        size = rng.choice((0, 1, rng.randrange(100), rng.randrange(self._most)))
        body = rng.randbytes(size)
        if protocol == 17:
            body = _udp(rng.randrange(65536), rng.randrange(65536), body)
        elif protocol == 6:
            body = _tcp(rng, body)
        elif protocol in (1, 58):
            body = _ECHO + body
        packet = _ipv((source, destination), protocol, body, rng, whole=self._transport)
        if rng.random() < 0.01:  # headers that contradict the packet
            at = rng.randrange(min(len(packet), 10))
            if at not in (4, 5) and not (self._transport and at in (6, 7)):
                packet = packet[:at] + rng.randbytes(1) + packet[at + 1 :]
        return packet


def flipped(packet: bytes, bit: int) -> bytes:
    """With one bit changed, counted from the first octet's lowest."""
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def under_own_header(esp: bytes, marks: int, outer: int) -> bytes:
    """An ESP packet of the peer's under an IP header without any chance in it."""
    source, destination = (ip_address(it).packed for it in OUTER[outer])
    if outer == 4:
        head = bytearray(struct.pack(">BBHHHBBH", 0x45, marks, 20 + len(esp), 7, 0, 64, 50, 0))
        head += source + destination
        struct.pack_into(">H", head, 10, checksum(bytes(head)))
        return bytes(head) + esp
    first = struct.pack(">IHBB", 6 << 28 | marks << 20 | 0x12345, len(esp), 50, 64)
    return first + source + destination + esp


def _udp(source: int, destination: int, data: bytes) -> bytes:
    return struct.pack(">4H", source, destination, 8 + len(data), 0x1234) + data


def _tcp(rng: Random, data: bytes) -> bytes:
    options = rng.choice((b"", b"\2\4\5\xb4", b"\1\2\4\5\xb4\1\1\1", b"\1\1\x08\x0a" + bytes(8)))
    flags = rng.choice((0x02, 0x10, 0x18, 0x12, rng.randrange(256)))
    offset = (20 + len(options)) // 4 << 4
    ports = rng.randrange(65536), rng.randrange(65536)
    numbers = rng.randrange(1 << 32), rng.randrange(1 << 32)
    head = struct.pack(">HHIIBBHHH", *ports, *numbers, offset, flags, 512, 0xABCD, 0)
    return head + options + data


def _ipv(
    ends: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address],
    protocol: int,
    body: bytes,
    rng: Random | None = None,
    *,
    whole: bool = True,
) -> bytes:
    """An IP packet; with `rng` one with marks and options of chance, and unless `whole` maybe a
    fragment.
    """
    source, destination = ends
    marks = rng.randrange(256) if rng else 0
    if source.version == 4:
        options = rng.choice((b"", b"", b"", b"\1\1\1\0")) if rng else b""
        fragment = 0x4000
        if rng and not whole:
            fragment = rng.choice((0, 0x4000, 0x4000, 0x2000, 0x2000 | 100, 185))
        head = bytearray(
            struct.pack(
                ">BBHHHBBH4s4s",
                *(0x45 + len(options) // 4, marks, 20 + len(options) + len(body)),
                *(1 + (rng.randrange(65535) if rng else 0), fragment, 64, protocol, 0),
                *(source.packed, destination.packed),
            )
            + options
        )
        struct.pack_into(">H", head, 10, checksum(bytes(head)))
        return bytes(head) + body
    if rng and rng.random() < 0.2:
        # Destination options, six octets of padding.
        body, protocol = bytes((protocol, 0, 1, 4, 0, 0, 0, 0)) + body, 60
    if rng and not whole and rng.random() < 0.1:
        offset = rng.choice((1, 0, 800, 801))
        body, protocol = (
            struct.pack(">BBHI", protocol, 0, offset, rng.randrange(1 << 32)) + body,
            44,
        )
    first = 6 << 28 | marks << 20 | (rng.randrange(1 << 20) if rng else 0)
    head6 = struct.pack(">IHBB", first, len(body), protocol, 64)
    return head6 + source.packed + destination.packed + body
