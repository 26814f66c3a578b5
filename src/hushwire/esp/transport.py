"""ESP in transport mode (RFC 4303 §3.1.1): the packet keeps its own IP header.

    before   | IP header, options | TCP | data |
    after    | IP header, options | ESP header | TCP | data | ESP trailer | ICV |
               says: protocol 50                              says: TCP

In UDP or TCP encapsulation the outer header belongs to the path. The packet's own comes back at
the other end from the SA's selectors, which know both addresses (RFC 7296 §2.23.1); its options
and extension headers in front of ESP do not travel that way.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.open import InboundSa
from hushwire.esp.seal import OutboundSa
from hushwire.sa.association import ChildSa
from hushwire.wire import front
from hushwire.wire.checksums import remake
from hushwire.wire.errors import WireError
from hushwire.wire.fragments import is_fragment
from hushwire.wire.front import Front
from hushwire.wire.registry import IpProtocol

_HOP_LIMIT = 64  # the usual one: what the packet's own was is not known any more

IpAddress = IPv4Address | IPv6Address


def seal(outbound: OutboundSa, packet: bytes) -> bytes:
    """The packet under its own header, protocol 50.

    Raises `EspDropError`: BAD_INNER, SEQUENCE_EXHAUSTED, REASSEMBLY for a fragment (§3.3.4: only
    whole datagrams are sealed), and OVERSIZED when it becomes larger than an IP packet can be.
    """
    own, payload = _split(packet)
    sealed = outbound.seal_payload(payload, own.protocol)
    try:
        return front.join(own, IpProtocol.ESP, sealed)
    except WireError:
        raise EspDropError(Drop.OVERSIZED) from None


def seal_bare(outbound: OutboundSa, packet: bytes) -> bytes:
    """Only the ESP packet, without its IP header, for UDP or TCP. Raises as `seal`."""
    own, payload = _split(packet)
    return outbound.seal_payload(payload, own.protocol)


def open_packet(inbound: InboundSa, esp: bytes, own: Front, *, rewritten: bool) -> bytes:
    """The packet as it was: the ESP packet `esp` came under the headers `own`.

    With `rewritten` the checksum of the layer above IP is made anew. Raises `EspDropError`.
    """
    payload, next_header = inbound.open_payload(esp)
    if rewritten:
        payload = remake(own.octets, next_header, payload)
    try:
        packet = front.join(own, next_header, payload)
    except WireError:
        raise EspDropError(Drop.BAD_INNER) from None
    inbound.inspect_packet(packet)
    return packet


def front_of(child: ChildSa) -> Front:
    """The IP header that inbound packets of this SA have where the one they had was not sent."""
    local, remote = child.hosts()
    if local.version == 4:
        octets = b"\x45" + bytes(7) + bytes((_HOP_LIMIT, 0, 0, 0)) + remote.packed + local.packed
        return Front(octets, 9)
    return Front(b"\x60" + bytes(6) + bytes((_HOP_LIMIT,)) + remote.packed + local.packed, 6)


def _split(packet: bytes) -> tuple[Front, bytes]:
    try:
        own, payload = front.split(packet)
    except WireError:
        raise EspDropError(Drop.BAD_INNER) from None
    if is_fragment(own):
        raise EspDropError(Drop.REASSEMBLY)
    return own, payload
