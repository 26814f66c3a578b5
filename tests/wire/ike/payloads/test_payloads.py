"""What holds for every payload: a round trip, and only a `WireError` for spoiled bytes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.wire.errors import TruncatedError, WireError
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType, ProtocolId
from tests.wire import samples
from tests.wire import strategies as wire
from tests.wire.mutations import mutants


@pytest.mark.parametrize("kind", wire.PAYLOAD_KINDS)
@given(data=st.data())
def test_what_is_built_is_parsed_again(kind: str, data: st.DataObject) -> None:
    payload = data.draw(wire.PAYLOAD_KINDS[kind])
    assert type(payload).parse(payload.build()) == payload


@given(data=st.data())
def test_spoiled_bytes_raise_a_wire_error_or_parse(data: st.DataObject) -> None:
    payload = data.draw(wire.payloads)
    mutant = data.draw(mutants(payload.build()))
    with suppress(WireError):
        type(payload).parse(mutant)


# Their last field is whatever remains, so a shorter body is another valid one.
_FIXED_OCTETS = {
    KeyExchangePayload: 4,
    Authentication: 4,
    Certificate: 1,
    CertificateRequest: 1,
}


@pytest.mark.parametrize("payload", samples.PAYLOADS)
def test_a_body_cut_anywhere_is_refused_or_shorter(payload: Payload) -> None:
    body = payload.build()
    for length in range(len(body)):
        try:
            shorter = type(payload).parse(body[:length])
        except WireError:
            continue
        assert shorter != payload
        assert shorter.build() == body[:length]


@pytest.mark.parametrize(("kind", "octets"), _FIXED_OCTETS.items())
def test_the_fixed_part_must_be_whole(kind: type[Payload], octets: int) -> None:
    kind.parse(bytes(octets))
    for length in range(octets):
        with pytest.raises(TruncatedError):
            kind.parse(bytes(length))


@pytest.mark.parametrize("octets", [0, 15, 257])
def test_a_nonce_has_16_to_256_octets(octets: int) -> None:
    with pytest.raises(WireError, match=f"{octets} octets"):
        Nonce.parse(bytes(octets))


@pytest.mark.parametrize(
    ("notify_type", "is_error"),
    [
        (NotifyType.INVALID_SYNTAX, True),
        (8191, True),
        (16383, True),
        (NotifyType.INITIAL_CONTACT, False),
        (NotifyType.COOKIE, False),
        (40960, False),
    ],
)
def test_notify_types_below_16384_are_errors(notify_type: int, is_error: bool) -> None:
    assert Notify(notify_type).is_error is is_error


@pytest.mark.parametrize("protocol", [ProtocolId.AH, ProtocolId.ESP])
@pytest.mark.parametrize("spi_size", [1, 3, 8, 255])
def test_a_notify_about_a_child_sa_has_an_spi_of_4_octets(protocol: int, spi_size: int) -> None:
    with pytest.raises(WireError, match="4 octets"):
        Notify.parse(bytes([protocol, spi_size]) + bytes(300))


@pytest.mark.parametrize(("id_type", "octets"), [(1, 3), (1, 5), (1, 16), (5, 4), (5, 17)])
def test_an_address_identity_has_the_length_of_an_address(id_type: int, octets: int) -> None:
    with pytest.raises(WireError, match="address"):
        IdInitiator.parse(bytes([id_type, 0, 0, 0]) + bytes(octets))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("03 04 0002 c0ffee01", "expected"),
        ("03 04 0001 c0ffee01 c0ffee02", "too many"),
        ("03 08 0001 c0ffee01c0ffee02", "SPI of 8"),
        ("03 00 ffff", "SPI of 0"),
        ("01 08 0001 0102030405060708", "SPI of 8"),
        ("01 00 0001", "only this one"),
        ("01 00 ffff", "only this one"),
        ("00 00 0000", "protocol 0"),
        ("04 04 0000", "protocol 4"),
    ],
)
def test_a_delete_that_contradicts_itself_is_refused(body: str, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        Delete.parse(bytes.fromhex(body))


def test_the_proof_of_identity_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Authentication(2, b"secret"))
