"""What happens to an inner packet at the tunnel's mouth, because the path takes only so much.

a SYN                       its MSS is lowered to what goes whole (`esp/mss.py`)
larger than goes whole:
  IPv4 without DF           sealed as it is; the outer packet travels in fragments
  IPv4 with DF, IPv6        its sender is told, by ICMP, and sends smaller (RFC 4301 §8.2.1)
  up to 576 or 1280 octets  sealed as it is: no link may refuse these (RFC 791, RFC 8200 §5)
"""

from __future__ import annotations

from typing import NamedTuple

from hushwire.esp.pmtu import LEAST
from hushwire.wire.icmp import build_too_big, may_fragment

ERRORS_A_SECOND = 100
"""RFC 1812 §4.3.2.8, RFC 4443 §2.4: errors are sent at a limited rate."""


class Fit(NamedTuple):
    """Outer IPv6 packets go in one piece up to `outer` octets; `inner` ones are what fits well."""

    outer: int
    inner: int

    def refuses(self, packet: bytes) -> int:
        """0 for a well-formed IP packet that goes on; else how many octets its sender may send."""
        if len(packet) <= self.inner:
            return 0
        limit = max(self.inner, LEAST[packet[0] >> 4])
        return limit if len(packet) > limit and not may_fragment(packet) else 0


class ErrorSource:
    """Makes the ICMP errors for inner senders, at a limited rate."""

    def __init__(self) -> None:
        self._second = -1
        self._left = 0

    def too_big(self, packet: bytes, limit: int, now: float) -> bytes | None:
        """The IP packet to write into TUN; None when there is to be none. `now` is in seconds."""
        if int(now) != self._second:
            self._second, self._left = int(now), ERRORS_A_SECOND
        error = build_too_big(packet, limit) if self._left else None
        self._left -= error is not None
        return error
