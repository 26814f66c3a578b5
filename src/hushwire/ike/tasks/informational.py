"""INFORMATIONAL: Delete, errors told late, and the empty liveness check (RFC 7296 §1.4)."""

from __future__ import annotations

from dataclasses import dataclass

from hushwire.sa.association import ChildSa
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
    """What the peer's request says, and the payloads of our response.

    `refusal` is an error notification that ends the IKE SA.
    """

    ike_sa_deleted: bool
    child_deleted: bool
    refusal: Notify | None
    response: tuple[Payload, ...]


def answer(payloads: tuple[Payload, ...], child: ChildSa | None) -> Told:
    """Read a request; `child` is the CHILD_SA in place, if there is one."""
    deletes = every(payloads, Delete)
    refusals = [notify for notify in every(payloads, Notify) if notify.type in _FATAL]
    child_deleted = child is not None and any(
        delete.protocol == ProtocolId.ESP and child.outbound_spi.to_bytes(4, "big") in delete.spis
        for delete in deletes
    )
    ike_sa_deleted = any(delete.protocol == ProtocolId.IKE for delete in deletes)
    response: tuple[Payload, ...] = ()
    if child is not None and child_deleted and not ike_sa_deleted:
        # §1.4.1: the peer names its half of the pair, the answer names ours.
        response = (Delete(ProtocolId.ESP, (child.inbound_spi.to_bytes(4, "big"),)),)
    return Told(
        ike_sa_deleted,
        child_deleted,
        refusals[0] if refusals else None,
        response,
    )
