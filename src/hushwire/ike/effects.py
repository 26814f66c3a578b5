"""What the protocol wants done in the world. The daemon carries these out, in order."""

from __future__ import annotations

from dataclasses import dataclass

from hushwire.explain.outcome import Event
from hushwire.sa.association import ChildSa, Path


@dataclass(frozen=True, slots=True)
class Send:
    """Send this IKE message. On local port 4500 the non-ESP marker goes before it (RFC 3948)."""

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class InstallSa:
    """Both directions of a CHILD_SA: ready to receive before the next effect, used for sending."""

    sa: ChildSa


@dataclass(frozen=True, slots=True)
class RemoveSa:
    """Both directions of the CHILD_SA with this inbound SPI."""

    inbound_spi: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `Endpoint.timer` at this time and not before; None: nothing is waited for."""

    at: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Something a person or a script wants to know."""

    event: Event


Effect = Send | InstallSa | RemoveSa | SetTimer | Report
