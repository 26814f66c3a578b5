"""INFORMATIONAL: Delete, errors told late, and the empty liveness check (RFC 7296 §1.4)."""

from __future__ import annotations

from collections.abc import Iterable

from hushwire.records import dataclass
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType, ProtocolId

DELETE_IKE_SA: tuple[Payload, ...] = (Delete(ProtocolId.IKE, ()),)
LIVENESS: tuple[Payload, ...] = ()

# §2.21.2: these alone end an IKE SA without a Delete. Others, such as INVALID_SPI or
# INVALID_SELECTORS, are hints about single packets, and unknown ones are ignored (§3.10.1).
_FATAL = frozenset(
    {
        NotifyType.AUTHENTICATION_FAILED,
        NotifyType.INVALID_SYNTAX,
        NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
    }
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the peer's request says.

    `children` are the SPIs that the peer has deleted, 4 octets each; `refusal` is an error
    notification that ends the IKE SA.
    """

    ike_sa_deleted: bool
    children: tuple[bytes, ...]
    refusal: Notify | None


def read(payloads: tuple[Payload, ...]) -> Told:
    """Read a request."""
    deletes = every(payloads, Delete)
    refusals = [notify for notify in every(payloads, Notify) if notify.type in _FATAL]
    return Told(
        any(delete.protocol == ProtocolId.IKE for delete in deletes),
        tuple(spi for d in deletes if d.protocol == ProtocolId.ESP for spi in d.spis),
        refusals[0] if refusals else None,
    )


def delete_children(inbound_spis: Iterable[int]) -> tuple[Payload, ...]:
    """A Delete that names our half of each pair (§1.4.1), in a request and in a response."""
    spis = tuple(spi.to_bytes(4, "big") for spi in inbound_spis)
    return (Delete(ProtocolId.ESP, spis),) if spis else ()
