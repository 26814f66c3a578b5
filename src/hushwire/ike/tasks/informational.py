"""INFORMATIONAL: Delete, errors told late, and the empty liveness check (RFC 7296 §1.4)."""

from __future__ import annotations

from dataclasses import dataclass

from hushwire.ike.tasks.init import notify_name
from hushwire.sa.association import ChildSa
from hushwire.wire.ike.message import Payload, every
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ProtocolId

DELETE_IKE_SA: tuple[Payload, ...] = (Delete(ProtocolId.IKE, ()),)
LIVENESS: tuple[Payload, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What the peer's request says, and the payloads of our response.

    `error` is the name of an error notification, "" without one.
    """

    ike_sa_deleted: bool
    child_deleted: bool
    error: str
    response: tuple[Payload, ...]


def answer(payloads: tuple[Payload, ...], child: ChildSa | None) -> Told:
    """Read a request; `child` is the CHILD_SA in place, if there is one."""
    deletes = every(payloads, Delete)
    errors = [notify for notify in every(payloads, Notify) if notify.is_error]
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
        notify_name(errors[0].type) if errors else "",
        response,
    )
