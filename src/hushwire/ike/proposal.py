"""Proposals between the configuration and the SA payload (RFC 7296 §2.7, §3.3)."""

from __future__ import annotations

from hushwire.crypto.choice import choose
from hushwire.crypto.suites import describe
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.registry import ProtocolId

Proposals = tuple[tuple[Transform, ...], ...]


def offer(proposals: Proposals, protocol: ProtocolId, spi: bytes) -> SecurityAssociation:
    """Our proposals, numbered from 1 in order of preference."""
    return SecurityAssociation(
        tuple(
            Proposal(number, protocol, spi, transforms)
            for number, transforms in enumerate(proposals, start=1)
        )
    )


def accepted(ours: Proposals, answer: SecurityAssociation, protocol: ProtocolId) -> Proposal | None:
    """The peer's choice, if it is one of what we offered and nothing else.

    §2.7: one proposal, its number one of ours, one transform of each type from that proposal.
    """
    if len(answer.proposals) != 1:
        return None
    proposal = answer.proposals[0]
    if not 1 <= proposal.number <= len(ours):
        return None
    chosen = choose((proposal,), [ours[proposal.number - 1]], protocol)
    if chosen is None or sorted(map(_key, chosen.transforms)) != sorted(
        map(_key, proposal.transforms)
    ):
        return None
    return proposal


def texts(proposals: Proposals) -> tuple[str, ...]:
    """Each proposal in strongSwan's notation."""
    return tuple(describe(transforms) for transforms in proposals)


def _key(transform: Transform) -> tuple[int, int, int]:
    return transform.type, transform.id, transform.key_length or 0
