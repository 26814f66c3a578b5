"""How long keys are used (RFC 4301 §4.4.2.1, RFC 7296 §2.8)."""

from __future__ import annotations

from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """When keys are renewed, None for never. Seconds, octets, packets.

    Octets and packets count in each direction of a CHILD_SA, and those before encryption. Times are
    shortened by chance, by a tenth at most, so that two hosts seldom begin at once. In any case
    keys are renewed before the sequence numbers end, as they may without ESN.
    """

    child_seconds: float | None = 3600.0
    child_octets: int | None = 64 << 30
    child_packets: int | None = None
    ike_seconds: float | None = 4 * 3600.0
    reauth_seconds: float | None = None
