"""Whole IKE messages (RFC 7296 §3.1 and §3.2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import (
    MAX_PAYLOADS,
    Message,
    Payload,
    build_chain,
    build_plain,
    build_sk_head,
    every,
    first,
    parse_chain,
)
from hushwire.wire.ike.payloads.encrypted import Encrypted
from hushwire.wire.ike.payloads.identification import Identification, IdInitiator
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import ExchangeType, PayloadType
from tests.wire import samples
from tests.wire import strategies as wire
from tests.wire.mutations import mutants, with_true_length

BY_HAND = """
    0102030405060708 0000000000000000  21 20 22 08  00000000 0000009a
    22 00 0028                              # SA
      00 00 0024 01 01 00 03                #   proposal 1, IKE, no SPI, 3 transforms
        03 00 000c 01 00 0014 800e0100      #     ENCR AES_GCM_16, 256 bits
        03 00 0008 02 00 0006               #     PRF HMAC_SHA2_384
        00 00 0008 04 00 001f               #     KE X25519
    28 00 0028 001f 0000                    # KE
      000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    29 00 0024                              # Nonce
      404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f
    00 00 000a 00 00 402f 0005              # N(SIGNATURE_HASH_ALGORITHMS), IDENTITY
"""


def _octets(text: str) -> bytes:
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def test_an_ike_sa_init_request_by_hand() -> None:
    header = Header(
        initiator_spi=bytes([1, 2, 3, 4, 5, 6, 7, 8]),
        responder_spi=bytes(8),
        exchange=34,
        message_id=0,
        initiator=True,
        response=False,
    )
    transforms = (Transform(1, 20, 256), Transform(2, 6), Transform(4, 31))
    payloads = (
        SecurityAssociation((Proposal(1, 1, b"", transforms),)),
        KeyExchangePayload(31, bytes(range(32))),
        Nonce(bytes(range(0x40, 0x60))),
        Notify(16431, bytes([0, 5])),
    )
    data = _octets(BY_HAND)
    parsed = Message.parse(data)
    assert parsed.header == replace(header, next_payload=33, length=len(data))
    assert parsed.payloads == payloads
    assert parsed.encrypted is None
    assert build_plain(header, payloads) == data


@given(wire.chains)
def test_a_chain_that_is_built_is_parsed_again(payloads: tuple[Payload, ...]) -> None:
    assert parse_chain(*build_chain(payloads)) == payloads


@given(wire.headers, wire.chains)
def test_a_message_that_is_built_is_parsed_again(
    header: Header, payloads: tuple[Payload, ...]
) -> None:
    data = build_plain(header, payloads)
    first_type, _ = build_chain(payloads)
    full = replace(header, next_payload=first_type, length=len(data))
    assert Message.parse(data) == Message(full, payloads, None)


@given(wire.headers, wire.u8, wire.octets)
def test_an_sk_payload_keeps_all_that_is_before_its_body(
    header: Header, first_inner: int, body: bytes
) -> None:
    head = build_sk_head(header, first_inner, len(body))
    parsed = Message.parse(head + body)
    assert parsed.encrypted == Encrypted(first_inner, head, body)
    assert parsed.payloads == ()


def test_plain_payloads_before_sk_belong_to_the_aad() -> None:
    header = samples.header(ExchangeType.IKE_AUTH)
    plain = build_plain(header, (samples.VENDOR,))
    data = bytearray(plain + bytes.fromhex("29 00 0008 deadbeef"))
    data[28] = PayloadType.SK
    parsed = Message.parse(with_true_length(bytes(data)))
    assert parsed.payloads == (samples.VENDOR,)
    assert parsed.encrypted is not None
    assert parsed.encrypted.aad == with_true_length(bytes(data))[:-4]
    assert parsed.encrypted.body == bytes.fromhex("deadbeef")
    assert parsed.encrypted.first_payload == PayloadType.NOTIFY


@pytest.mark.parametrize("message", samples.MESSAGES)
def test_a_message_cut_anywhere_is_refused(message: bytes) -> None:
    for length in range(len(message)):
        with pytest.raises(WireError):
            Message.parse(message[:length])


@pytest.mark.parametrize("payloads", samples.CHAINS)
def test_a_chain_cut_anywhere_is_refused(payloads: tuple[Payload, ...]) -> None:
    first_type, chain = build_chain(payloads)
    for length in range(len(chain)):
        with pytest.raises(WireError):
            parse_chain(first_type, chain[:length])


@given(data=st.data())
def test_a_spoiled_message_raises_a_wire_error_or_parses(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(samples.MESSAGES))
    mutant = data.draw(mutants(message))
    for spoiled in (mutant, with_true_length(mutant)):
        with suppress(WireError):
            Message.parse(spoiled)


@given(wire.u8, st.binary(max_size=300))
def test_any_octets_raise_a_wire_error_or_parse(first_type: int, octets: bytes) -> None:
    with suppress(WireError):
        parse_chain(first_type, octets)


# CP and EAP have their numbers, but Hushwire does not speak them.
@pytest.mark.parametrize("unknown", [1, 32, 47, 48, 54, 255])
def test_an_unknown_payload_is_skipped_unless_it_is_critical(unknown: int) -> None:
    vendor, chain = build_chain((samples.VENDOR,))
    skipped = bytes([vendor, 0, 0, 6]) + b"??" + chain
    assert parse_chain(unknown, skipped) == (samples.VENDOR,)
    critical = bytes([vendor, 0x80, 0, 6]) + b"??" + chain
    with pytest.raises(UnsupportedCriticalPayloadError) as caught:
        parse_chain(unknown, critical)
    assert caught.value.payload_type == unknown


def test_an_unknown_critical_payload_in_clear_is_refused_too() -> None:
    header = samples.header(ExchangeType.IKE_SA_INIT)
    data = bytearray(build_plain(header, (samples.VENDOR,)))
    data[16], data[29] = 200, 0x80
    with pytest.raises(UnsupportedCriticalPayloadError):
        Message.parse(bytes(data))


def test_reserved_bits_and_the_critical_bit_of_a_known_payload_mean_nothing() -> None:
    first_type, chain = build_chain((samples.NONCE,))
    assert parse_chain(first_type, chain[:1] + b"\xff" + chain[2:]) == (samples.NONCE,)


@pytest.mark.parametrize(
    ("first_type", "chain", "reason"),
    [
        (0, "00", "too many"),
        (43, "", "expected"),
        (43, "00 00 0003", "shorter"),
        (43, "00 00 0000", "shorter"),
        (43, "00 00 0005", "expected"),
        (43, "00 00 0004 00", "too many"),
        (43, "2b 00 0004", "expected"),
        (46, "00 00 0004", "SK payload inside"),
        (43, "2e 00 0004 00 00 0004", "SK payload inside"),
    ],
)
def test_a_chain_that_contradicts_itself_is_refused(
    first_type: int, chain: str, reason: str
) -> None:
    with pytest.raises(WireError, match=reason):
        parse_chain(first_type, bytes.fromhex(chain))


def test_nothing_may_follow_the_sk_payload() -> None:
    data = samples.MESSAGES[-1] + bytes(4)
    with pytest.raises(WireError, match="too many"):
        Message.parse(with_true_length(data))


@pytest.mark.parametrize("payload_type", [PayloadType.VENDOR_ID, 200])
def test_a_chain_has_at_most_100_payloads(payload_type: int) -> None:
    link = bytes([payload_type, 0, 0, 4])
    end = bytes([0, 0, 0, 4])
    parse_chain(payload_type, link * (MAX_PAYLOADS - 1) + end)
    with pytest.raises(WireError, match="more than 100"):
        parse_chain(payload_type, link * MAX_PAYLOADS + end)


def test_payloads_are_found_by_class_and_by_what_classes_share() -> None:
    payloads: tuple[Payload, ...] = (samples.NOTIFY, samples.ID_I, samples.ID_R, samples.ERROR)
    assert first(payloads, Notify) == samples.NOTIFY
    assert first(payloads, VendorId) is None
    assert every(payloads, Notify) == (samples.NOTIFY, samples.ERROR)
    assert every(payloads, IdInitiator) == (samples.ID_I,)
    assert every(payloads, Identification) == (samples.ID_I, samples.ID_R)
