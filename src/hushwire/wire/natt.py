"""What may arrive on UDP port 4500 (RFC 3948 §2)."""

from __future__ import annotations

from enum import Enum

NON_ESP_MARKER = bytes(4)
"""In front of every IKE message on port 4500, where an ESP packet has its SPI, never zero."""

KEEPALIVE = b"\xff"


class Datagram(Enum):
    """The three kinds of datagram. IKE begins with the marker, which its reader removes."""

    KEEPALIVE = "keepalive"
    IKE = "ike"
    ESP = "esp"


def classify(datagram: bytes) -> Datagram | None:
    """Which kind it is; None when it is too short to be any."""
    if datagram == KEEPALIVE:
        return Datagram.KEEPALIVE
    if len(datagram) < len(NON_ESP_MARKER):
        return None
    return Datagram.IKE if datagram.startswith(NON_ESP_MARKER) else Datagram.ESP
