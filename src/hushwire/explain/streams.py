"""ESP in a capture: each direction of an SA, what is missing, and with keys what is in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from ipaddress import IPv4Address, IPv6Address

from hushwire.crypto.cipher import KeyedCipher
from hushwire.crypto.errors import BadIcvError
from hushwire.explain.wireshark import EspKeys
from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.esp import ESP_HEADER_OCTETS, parse_header
from hushwire.wire.ip import parse_flow
from hushwire.wire.registry import IpProtocol

_REMEMBERED = 4096
_MOST_FLOWS = 8
_PROTOCOLS: dict[int, str] = {IpProtocol.ICMP: "ICMP", IpProtocol.TCP: "TCP", IpProtocol.UDP: "UDP",
              IpProtocol.ICMPV6: "ICMPv6"}  # fmt: skip


@dataclass(slots=True)
class EspStream:
    """What one host sent to another under one SPI. Times are seconds, sequence numbers 32 bits."""

    source: str
    target: str
    spi: int
    carrier: str
    first_at: float
    last_at: float = 0.0
    packets: int = 0
    octets: int = 0
    lowest: int = 0xFFFFFFFF
    highest: int = 0
    repeated: int = 0
    late: int = 0
    opened: int = 0
    refused: int = 0
    inside: Counter[str] = field(default_factory=Counter)
    recent: dict[int, None] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Sequence numbers between the lowest and the highest that are not in the capture."""
        return max(0, self.highest - self.lowest + 1 - (self.packets - self.repeated))

    def add(self, packet: bytes, at: float, keyed: tuple[EspKeys, KeyedCipher] | None) -> None:
        """One packet of it, from the ESP header on."""
        _, number = parse_header(packet)
        self.packets += 1
        self.octets += len(packet)
        self.last_at = at
        if number in self.recent:
            self.repeated += 1
        elif self.highest and number < self.highest:
            self.late += 1
        self.recent[number] = None
        if len(self.recent) > _REMEMBERED:
            del self.recent[next(iter(self.recent))]
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)
        if keyed is not None:
            self._open(packet, *keyed)

    def _open(self, packet: bytes, keys: EspKeys, cipher: KeyedCipher) -> None:
        head = ESP_HEADER_OCTETS + keys.cipher.iv_octets
        iv, sealed = packet[ESP_HEADER_OCTETS:head], packet[head:]
        spi_and_number = packet[:ESP_HEADER_OCTETS]
        # The tables do not say whether sequence numbers are extended (RFC 4303 §2.2.1). The high
        # half is 0 in what a person captures.
        extended = spi_and_number[:4] + bytes(4) + spi_and_number[4:]
        ways = [(spi_and_number, b""), (extended, b"")]
        if keys.cipher.integrity is not None:
            ways = [(spi_and_number, b""), (spi_and_number, bytes(4))]
        for aad, tail in ways:
            try:
                plain = cipher.open(iv, sealed, aad, tail)
            except BadIcvError:
                continue
            self.opened += 1
            self._look_inside(plain)
            return
        self.refused += 1

    def _look_inside(self, plain: bytes) -> None:
        if len(plain) < 2:
            return
        padding, next_header = plain[-2], plain[-1]
        what = f"next header {next_header}"
        if next_header in (IpProtocol.IPV4, IpProtocol.IPV6):
            what = _flow_text(plain[: len(plain) - 2 - padding])
        elif next_header == IpProtocol.NO_NEXT_HEADER:
            what = "dummy packets"
        if what in self.inside or len(self.inside) < _MOST_FLOWS:
            self.inside[what] += 1


def _flow_text(packet: bytes) -> str:
    try:
        flow = parse_flow(packet)
    except WireError:
        return "malformed IP packets"
    family = IPv4Address if flow.version == 4 else IPv6Address
    name = _PROTOCOLS.get(flow.protocol, f"protocol {flow.protocol}")
    return f"{name} {family(flow.source)} > {family(flow.destination)}"
