"""Frames that user space sends for the programs: what was held, and knocks.

The programs say where in a frame its headers are, so nothing is parsed here a second time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from hushwire.records import dataclass
from hushwire.wire.checksums import remake
from hushwire.wire.front import Front, join
from hushwire.wire.ip import IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS
from hushwire.wire.registry import IpProtocol

_MACS_OCTETS = 12
_HOPS = 64
_PROTOCOL_AT = {4: 9, 6: 6}
_UDP = struct.Struct(">HHHH")
_U16 = struct.Struct(">H")


class Part(IntEnum):
    """What a frame holds of its datagram: `enum part` of bpf/classroom/shared.h."""

    WHOLE = 0
    FIRST = 1
    LATER = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame with UDP in it.

    `network` and `transport` are the offsets of its IP and UDP headers. `message_octets` is not 0
    when it holds several messages of that size that the network card should have cut (GSO).
    `vlan` is the protocol and the TCI of a tag that is not among the octets, or None.
    """

    octets: bytes
    network: int
    transport: int
    source_port: int
    destination_port: int
    part: Part = Part.WHOLE
    message_octets: int = 0
    vlan: tuple[int, int] | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.octets[self.network] >> 4

    def ready(self) -> Iterator[bytes]:
        """As it goes to the device: tagged, one frame for each message, with its checksum.

        The kernel leaves the checksum of UDP to the card, and there is none on the way by which
        these frames come back.
        """
        front = self._tagged(self.octets[: self.network])
        if self.part is not Part.WHOLE:
            # A datagram that was cut has had its checksum before.
            yield front + self.octets[self.network :]
            return
        headers = self.octets[self.network : self.transport]
        source, destination, length, check = _UDP.unpack_from(self.octets, self.transport)
        payload = self.octets[self.transport + _UDP.size : self.transport + length]
        step = self.message_octets or max(len(payload), 1)
        for number, start in enumerate(range(0, max(len(payload), 1), step)):
            data = payload[start : start + step]
            yield front + _packet(headers, number, (source, destination, check), data)

    def knock(self, *, back: bool) -> bytes:
        """An empty message to the same place, or `back` to the sender: an OFFER is made of it."""
        macs = self.octets[:_MACS_OCTETS]
        ports = (self.source_port, self.destination_port)
        if self.version == 4:
            source, destination = self._slice(12, 16), self._slice(16, 20)
        else:
            source, destination = self._slice(8, 24), self._slice(24, 40)
        if back:
            macs = macs[6:] + macs[:6]
            ports = (ports[1], ports[0])
            source, destination = destination, source
        if self.version == 4:
            headers = bytearray(IPV4_HEADER_OCTETS)
            headers[0], headers[8], headers[9] = 0x45, _HOPS, IpProtocol.UDP
            headers[12:] = source + destination
        else:
            headers = bytearray(IPV6_HEADER_OCTETS)
            headers[0], headers[6], headers[7] = 0x60, IpProtocol.UDP, _HOPS
            headers[8:] = source + destination
        front = self._tagged(macs + self.octets[_MACS_OCTETS : self.network])
        return front + _packet(bytes(headers), 0, (*ports, 1), b"")

    def _slice(self, start: int, end: int) -> bytes:
        return self.octets[self.network + start : self.network + end]

    def _tagged(self, front: bytes) -> bytes:
        if self.vlan is None:
            return front
        protocol, tci = self.vlan
        tag = _U16.pack(protocol) + _U16.pack(tci)
        return front[:_MACS_OCTETS] + tag + front[_MACS_OCTETS:]


def _packet(headers: bytes, number: int, udp: tuple[int, int, int], payload: bytes) -> bytes:
    """An IP packet; `udp` has the ports and what stood as checksum, 0 when there is to be none.

    `number`: which of several it is, because each IPv4 packet has an identification of its own.
    """
    if headers[0] >> 4 == 4:
        identification = (_U16.unpack_from(headers, 4)[0] + number) & 0xFFFF
        headers = headers[:4] + _U16.pack(identification) + headers[6:]
    source, destination, check = udp
    message = _UDP.pack(source, destination, _UDP.size + len(payload), check) + payload
    # What follows the first header is said there already: UDP, or an extension header of IPv6.
    at = _PROTOCOL_AT[headers[0] >> 4]
    return join(Front(headers, at), headers[at], remake(headers, IpProtocol.UDP, message))
