"""The checksums of the layer above IP, which cover IP addresses too (RFC 9293, 768, 4443)."""

from __future__ import annotations

from hushwire.wire.ip import checksum
from hushwire.wire.registry import IpProtocol

_AT: dict[int, int] = {IpProtocol.TCP: 16, IpProtocol.UDP: 6, IpProtocol.ICMPV6: 2}


def remake(header: bytes, protocol: int, payload: bytes) -> bytes:
    """`payload` with the checksum that goes with the addresses of this IP header.

    Unchanged where there is none to make: another protocol, a payload too short, or UDP over IPv4
    without a checksum (RFC 768).
    """
    at = _AT.get(protocol)
    if at is None or len(payload) < at + 2:
        return payload
    version = header[0] >> 4
    if protocol == IpProtocol.UDP and version == 4 and not any(payload[at : at + 2]):
        return payload
    blank = payload[:at] + b"\0\0" + payload[at + 2 :]
    addresses = header[12:20] if version == 4 else header[8:40]
    pseudo = addresses + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    value = checksum(pseudo + blank)
    if protocol == IpProtocol.UDP and not value:
        value = 0xFFFF  # 0 says that there is none
    return payload[:at] + value.to_bytes(2, "big") + payload[at + 2 :]
