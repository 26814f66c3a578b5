"""What the protocol wants done in the world. The daemon carries these out, in order."""

from __future__ import annotations

from hushwire.explain.outcome import Event
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa, Encapsulation, Path


@dataclass(frozen=True, slots=True)
class Send:
    """Send this IKE message: on the TCP connection that the path names, or from its local UDP port.

    On port 4500 and in TCP the non-ESP marker goes before it (RFC 3948, RFC 9329).
    """

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
class ConfirmSa:
    """The peer holds the CHILD_SA with this inbound SPI: there is no more proof to wait for."""

    inbound_spi: int


@dataclass(frozen=True, slots=True)
class RetireSa:
    """The CHILD_SA with this inbound SPI sends no more; what is on its way still arrives."""

    inbound_spi: int


@dataclass(frozen=True, slots=True)
class UpdateSa:
    """From now on the CHILD_SA with this inbound SPI sends on another path."""

    inbound_spi: int
    path: Path
    encapsulation: Encapsulation
    keepalive: bool = False
    follow: bool = False


@dataclass(frozen=True, slots=True)
class TryTcp:
    """UDP gets no answer from this peer: try a TCP connection as well (RFC 9329 §5.1)."""

    peer: str


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Connect to this peer once more, with `again`: the new IKE SA takes the place of this one."""

    peer: str


@dataclass(frozen=True, slots=True)
class CloseStream:
    """This TCP connection is corrupted: close it, not the IKE SA (RFC 9329 §6.1)."""

    path: Path


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `Endpoint.timer` at this time and not before; None: nothing is waited for."""

    at: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Something a person or a script wants to know."""

    event: Event


Effect = (
    Send
    | InstallSa
    | ConfirmSa
    | RetireSa
    | RemoveSa
    | UpdateSa
    | TryTcp
    | Reauthenticate
    | CloseStream
    | SetTimer
    | Report
)
