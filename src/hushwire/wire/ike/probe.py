"""Messages of any size that every IKEv2 peer answers, keeping nothing of them (RFC 7296 §2.5).

"If a node receives a message with a higher major version number, it MUST drop the message and
SHOULD send an unauthenticated Notify message of type INVALID_MAJOR_VERSION": an echo, on the very
ports that IKE and ESP use. A request inside of the IKE SA would have to arrive (window of 1, and
repeated octet for octet): one that is too large for the path would end the tunnel.
"""

from __future__ import annotations

from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType, PayloadType

_HIGHER_VERSION = 3
_GENERIC_HEADER_OCTETS = 4


def build_probe(spi: bytes, octets: int) -> bytes:
    """An IKE message of so many octets. `spi` is 8 random ones, which the answer shows."""
    header = Header(
        spi,
        bytes(len(spi)),
        ExchangeType.IKE_SA_INIT,
        0,
        initiator=True,
        response=False,
        length=octets,
        major=_HIGHER_VERSION,
    )
    return header.build() + bytes(octets - HEADER_OCTETS)


def answered_spi(message: bytes) -> bytes | None:
    """The `spi` of the probe that this IKE message answers; None when it is anything else."""
    try:
        header = Header.parse(message)
        if not header.response or header.next_payload != PayloadType.NOTIFY:
            return None
        notify = Notify.parse(message[HEADER_OCTETS + _GENERIC_HEADER_OCTETS :])
    except WireError:
        return None
    return header.initiator_spi if notify.type == NotifyType.INVALID_MAJOR_VERSION else None
