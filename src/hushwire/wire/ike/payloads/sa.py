"""Security Association payload: proposals and transforms (RFC 7296 §3.3)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.registry import AttributeType, PayloadType, ProtocolId, TransformType

_MORE_PROPOSALS = 2
_MORE_TRANSFORMS = 3
_SHORT_FORMAT = 0x8000


@dataclass(frozen=True, slots=True)
class Transform:
    """One algorithm offered (RFC 7296 §3.3.2).

    `key_length` is in bits, None when the attribute is absent. `unknown_attribute` is True when
    an attribute other than the key length was there: such a transform must not be chosen (§3.3.6).
    """

    type: int
    id: int
    key_length: int | None = None
    unknown_attribute: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal (RFC 7296 §3.3.1): `number` from 1, `spi` empty in IKE_SA_INIT."""

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]

    def of_type(self, transform_type: TransformType) -> tuple[Transform, ...]:
        """The transforms of one type, in the sender's order of preference."""
        return tuple(t for t in self.transforms if t.type == transform_type)


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """The body of an SA payload: at least one proposal, in the sender's order of preference."""

    payload_type: ClassVar[PayloadType] = PayloadType.SA

    proposals: tuple[Proposal, ...]

    def build(self) -> bytes:
        last = len(self.proposals) - 1
        return b"".join(
            _build_proposal(proposal, more=index < last)
            for index, proposal in enumerate(self.proposals)
        )

    @classmethod
    def parse(cls, body: bytes) -> SecurityAssociation:
        """Raises `WireError` for wrong lengths, counts, numbering or chain markers."""
        reader = Reader(body, "SA payload")
        proposals: list[Proposal] = []
        more = True
        while more:
            proposal, more = _parse_proposal(reader)
            proposals.append(proposal)
        reader.expect_end()
        _check_numbers(proposals)
        return cls(tuple(proposals))


def _check_numbers(proposals: list[Proposal]) -> None:
    """§3.3.1: offers count from 1; an accepted proposal comes alone and keeps its number."""
    numbers = [proposal.number for proposal in proposals]
    accepted = len(numbers) == 1 and numbers[0] > 0
    if not accepted and numbers != list(range(1, len(numbers) + 1)):
        raise WireError(f"SA payload: its proposals are numbered {numbers[:8]}, not 1, 2, 3 ...")


def _build_proposal(proposal: Proposal, *, more: bool) -> bytes:
    last = len(proposal.transforms) - 1
    transforms = b"".join(
        _build_transform(transform, more=index < last)
        for index, transform in enumerate(proposal.transforms)
    )
    return (
        bytes([_MORE_PROPOSALS if more else 0, 0])
        + (8 + len(proposal.spi) + len(transforms)).to_bytes(2, "big")
        + bytes([proposal.number, proposal.protocol, len(proposal.spi), len(proposal.transforms)])
        + proposal.spi
        + transforms
    )


def _build_transform(transform: Transform, *, more: bool) -> bytes:
    attribute = b""
    if transform.key_length is not None:
        attribute = (_SHORT_FORMAT | AttributeType.KEY_LENGTH).to_bytes(
            2, "big"
        ) + transform.key_length.to_bytes(2, "big")
    return (
        bytes([_MORE_TRANSFORMS if more else 0, 0])
        + (8 + len(attribute)).to_bytes(2, "big")
        + bytes([transform.type, 0])
        + transform.id.to_bytes(2, "big")
        + attribute
    )


def _parse_proposal(reader: Reader) -> tuple[Proposal, bool]:
    marker = reader.u8()
    if marker not in (0, _MORE_PROPOSALS):
        raise WireError(f"SA payload: proposal marker {marker}, must be 0 or {_MORE_PROPOSALS}")
    reader.skip(1)
    length = reader.u16()
    if length < 8:
        raise WireError(f"SA payload: proposal length {length} is shorter than its own header")
    body = Reader(reader.take(length - 4), "proposal")
    number = body.u8()
    protocol = body.u8()
    spi_size = body.u8()
    count = body.u8()
    if protocol == ProtocolId.ESP and spi_size != 4:
        raise WireError(f"proposal: an ESP SPI has 4 octets, not {spi_size}")
    if protocol == ProtocolId.IKE and spi_size not in (0, 8):
        raise WireError(f"proposal: an IKE SPI has 8 octets, not {spi_size}")
    spi = body.take(spi_size)
    transforms = []
    for index in range(count):
        transform, more = _parse_transform(body)
        if more != (index < count - 1):
            raise WireError("proposal: its transforms are not as many as it says")
        transforms.append(transform)
    body.expect_end()
    return Proposal(number, protocol, spi, tuple(transforms)), marker == _MORE_PROPOSALS


def _parse_transform(reader: Reader) -> tuple[Transform, bool]:
    marker = reader.u8()
    if marker not in (0, _MORE_TRANSFORMS):
        raise WireError(f"proposal: transform marker {marker}, must be 0 or {_MORE_TRANSFORMS}")
    reader.skip(1)
    length = reader.u16()
    if length < 8:
        raise WireError(f"proposal: transform length {length} is shorter than its own header")
    body = Reader(reader.take(length - 4), "transform")
    transform_type = body.u8()
    body.skip(1)
    transform_id = body.u16()
    key_length: int | None = None
    unknown = False
    while body.remaining:
        attribute = body.u16()
        value = body.u16()
        if attribute == _SHORT_FORMAT | AttributeType.KEY_LENGTH:
            if key_length is not None:
                raise WireError("transform: two key lengths")
            key_length = value
        else:
            unknown = True
            if not attribute & _SHORT_FORMAT:
                body.skip(value)
    return (
        Transform(transform_type, transform_id, key_length, unknown),
        marker == _MORE_TRANSFORMS,
    )
