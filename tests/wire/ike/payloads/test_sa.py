"""SA payloads that the round trips do not reach (RFC 7296 §3.3)."""

from __future__ import annotations

import pytest

from hushwire.wire.errors import WireError
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.registry import ProtocolId, TransformType
from tests.wire import samples

ENCR = "00 00 000c 01 00 0014 800e0100"


def body(*, marker: str = "00", length: str = "0018", protocol: str = "03", spi: str = "04",
         count: str = "01", transforms: str = ENCR) -> bytes:  # fmt: skip
    """One ESP proposal, with one field at a time replaced."""
    fields = f"{marker} 00 {length} 01 {protocol} {spi} {count} c0ffee01 {transforms}"
    return bytes.fromhex(fields)


def test_a_proposal_by_hand() -> None:
    assert SecurityAssociation.parse(body()) == SecurityAssociation(
        (Proposal(1, ProtocolId.ESP, bytes.fromhex("c0ffee01"), (samples.AES_256_GCM,)),)
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected"),
        (body(marker="01"), "marker 1"),
        (body(marker="02"), "expected"),
        (body(length="0007"), "shorter"),
        (body(length="0019"), "expected"),
        (body(length="0017"), "expected"),
        (body() + b"\0", "too many"),
        (body(spi="08"), "4 octets"),
        (body(protocol="01"), "8 octets"),
        (body(count="02"), "not as many"),
        (body(count="00"), "too many"),
        (body(transforms=ENCR.replace("00 00 000c", "02 00 000c")), "marker 2"),
        (body(transforms=ENCR.replace("00 00 000c", "03 00 000c")), "not as many"),
        (body(transforms=ENCR.replace("000c", "0004")), "shorter"),
        (body(transforms=ENCR.replace("000c", "000d")), "expected"),
        (body(length="001c", transforms="00 00 0010 01 00 0014 800e0100 800e0080"), "two key"),
        (body(length="0016", transforms="00 00 000a 01 00 0014 800e"), "expected"),
        (body(length="0018", transforms="00 00 000c 01 00 0014 000e0100"), "expected"),
    ],
)
def test_a_proposal_that_contradicts_itself_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        SecurityAssociation.parse(data)


@pytest.mark.parametrize("attribute", ["800f0100", "000f0002abcd", "000e0000"])
def test_an_unknown_attribute_is_marked_for_the_choice_to_avoid(attribute: str) -> None:
    octets = len(bytes.fromhex(attribute))
    transform = f"00 00 {8 + octets:04x} 01 00 0014 {attribute}"
    parsed = SecurityAssociation.parse(body(length=f"{20 + octets:04x}", transforms=transform))
    assert parsed.proposals[0].transforms == (Transform(1, 20, None, unknown_attribute=True),)


@pytest.mark.parametrize(
    ("numbers", "fine"),
    [
        ([1], True),
        ([7], True),
        ([0], False),
        ([1, 2, 3], True),
        ([1, 1], False),
        ([2, 3], False),
        ([1, 3], False),
        ([2, 1], False),
        ([0, 1], False),
    ],
)
def test_offers_count_from_1_and_an_accepted_one_keeps_its_number(
    numbers: list[int], fine: bool
) -> None:
    proposals = tuple(
        Proposal(number, ProtocolId.IKE, b"", (samples.AES_256_GCM,)) for number in numbers
    )
    data = SecurityAssociation(proposals).build()
    if fine:
        assert SecurityAssociation.parse(data).proposals == proposals
    else:
        with pytest.raises(WireError, match="numbered"):
            SecurityAssociation.parse(data)


def test_the_transforms_of_one_type_keep_their_order() -> None:
    proposal = samples.IKE_SA.proposals[0]
    assert proposal.of_type(TransformType.ENCR) == (samples.AES_256_GCM,)
    assert proposal.of_type(TransformType.INTEG) == ()
