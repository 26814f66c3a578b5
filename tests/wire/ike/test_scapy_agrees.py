"""scapy's IKEv2 dissector, written by other people, as the second opinion on the format."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from scapy.contrib import ikev2
from scapy.packet import NoPayload, Packet, Raw

from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, Payload, build_plain
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.ike.payloads.ts import TsInitiator, TsResponder
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import CertEncoding, ExchangeType
from tests.wire import samples
from tests.wire import strategies as wire

# What scapy cannot show as octets: REDIRECT notifies and X.509 have fields of their own there.
_REDIRECTS = (16407, 16408)


def _layers(packet: Packet) -> list[Packet]:
    layers = []
    while not isinstance(packet, NoPayload):
        layers.append(packet)
        packet = packet.payload
    return layers


def _check_transform(theirs: Packet, ours: Transform) -> None:
    assert (theirs.transform_type, theirs.transform_id) == (ours.type, ours.id)
    if ours.key_length is not None:
        # scapy shows the whole attribute: 0x800e (key length in the short format) and the value.
        raw_attribute = bytes(theirs)[8:12]
        assert raw_attribute == b"\x80\x0e" + ours.key_length.to_bytes(2, "big")
    else:
        assert theirs.length == 8


def _check_proposal(theirs: Packet, ours: Proposal) -> None:
    assert (theirs.proposal, theirs.proto, theirs.SPI) == (ours.number, ours.protocol, ours.spi)
    transforms = _layers(theirs.trans)
    assert theirs.trans_nb == len(transforms) == len(ours.transforms)
    for transform, our_transform in zip(transforms, ours.transforms, strict=True):
        _check_transform(transform, our_transform)


def _check_selectors(theirs: Packet, ours: TsInitiator | TsResponder) -> None:
    assert theirs.number_of_TSs == len(ours.selectors)
    for selector, ours_one in zip(theirs.traffic_selector, ours.selectors, strict=True):
        version = ours_one.start.version
        start = getattr(selector, f"starting_address_v{version}")
        end = getattr(selector, f"ending_address_v{version}")
        family = type(ours_one.start)
        assert (family(start), family(end)) == (ours_one.start, ours_one.end)
        assert selector.IP_protocol_ID == ours_one.protocol
        assert (selector.start_port, selector.end_port) == (ours_one.start_port, ours_one.end_port)


def _check_payload(theirs: Packet, ours: Payload) -> None:
    kind = type(theirs)
    match ours:
        case SecurityAssociation(proposals):
            assert kind is ikev2.IKEv2_SA
            for one, other in zip(_layers(theirs.prop), proposals, strict=True):
                _check_proposal(one, other)
        case KeyExchangePayload(method, data):
            assert kind is ikev2.IKEv2_KE
            assert (theirs.group, theirs.ke) == (method, data)
        case Nonce(data):
            assert kind is ikev2.IKEv2_Nonce
            assert theirs.nonce == data
        case Notify(notify_type, data, protocol, spi):
            assert kind is ikev2.IKEv2_Notify
            assert (theirs.type, theirs.proto, theirs.SPI) == (notify_type, protocol, spi)
            assert theirs.notify == data
        case IdInitiator(id_type, data) | IdResponder(id_type, data):
            initiator = isinstance(ours, IdInitiator)
            assert kind is (ikev2.IKEv2_IDi if initiator else ikev2.IKEv2_IDr)
            assert theirs.IDtype == id_type
            assert bytes(theirs)[8 : theirs.length] == data
        case Authentication(method, data):
            assert kind is ikev2.IKEv2_AUTH
            assert (theirs.auth_type, theirs.load) == (method, data)
        case Certificate(encoding, data):
            assert kind is ikev2.IKEv2_CERT
            assert (theirs.cert_encoding, theirs.cert_data) == (encoding, data)
        case CertificateRequest(encoding, authorities):
            assert kind is ikev2.IKEv2_CERTREQ
            assert (theirs.cert_encoding, theirs.cert_authority) == (encoding, authorities)
        case Delete(protocol, spis):
            assert kind is ikev2.IKEv2_Delete
            assert (theirs.proto, theirs.SPInum) == (protocol, len(spis))
            assert tuple(theirs.SPI) == spis
        case VendorId(data):
            assert kind is ikev2.IKEv2_VendorID
            assert theirs.vendorID == data
        case TsInitiator() | TsResponder():
            initiator = isinstance(ours, TsInitiator)
            assert kind is (ikev2.IKEv2_TSi if initiator else ikev2.IKEv2_TSr)
            _check_selectors(theirs, ours)


def _legible(payload: Payload) -> bool:
    if isinstance(payload, Notify):
        return payload.type not in _REDIRECTS
    if isinstance(payload, Certificate):
        return payload.encoding not in (CertEncoding.X509_SIGNATURE, 7)
    return True


def _check_message(header: Header, payloads: tuple[Payload, ...]) -> None:
    data = build_plain(header, payloads)
    theirs, *layers = _layers(ikev2.IKEv2(data))
    assert (theirs.init_SPI, theirs.resp_SPI) == (header.initiator_spi, header.responder_spi)
    assert (theirs.exch_type, theirs.id) == (header.exchange, header.message_id)
    assert theirs.length == len(data)
    assert theirs.version == 0x20 | header.minor
    assert theirs.flags.Initiator == header.initiator
    assert theirs.flags.Response == header.response
    for layer, payload in zip(layers, payloads, strict=True):
        _check_payload(layer, payload)


@pytest.mark.parametrize("payload", samples.PAYLOADS)
def test_scapy_reads_each_payload_as_we_meant_it(payload: Payload) -> None:
    _check_message(samples.header(ExchangeType.IKE_AUTH), (payload,))


@settings(max_examples=60, deadline=None)
@given(wire.headers, wire.chains)
def test_scapy_reads_whole_messages_as_we_meant_them(
    header: Header, payloads: tuple[Payload, ...]
) -> None:
    _check_message(header, tuple(filter(_legible, payloads)))


def test_scapy_sees_one_encrypted_payload_and_its_length() -> None:
    data = samples.MESSAGES[5]
    _, encrypted = _layers(ikev2.IKEv2(data))
    assert isinstance(encrypted, ikev2.IKEv2_Encrypted)
    assert encrypted.length == len(data) - 28
    assert encrypted.next_payload == 35
    assert encrypted.load == data[32:]


def test_we_read_what_scapy_builds() -> None:
    encryption = ikev2.IKEv2_Transform(
        transform_type=1, transform_id=20, length=12, key_length=256, next_payload=3
    )
    exchange = ikev2.IKEv2_Transform(transform_type=4, transform_id=31, next_payload=0)
    proposal = ikev2.IKEv2_Proposal(
        proposal=1, proto=1, SPI=b"", trans_nb=2, trans=encryption / exchange, next_payload=0
    )
    packet = (
        ikev2.IKEv2(
            init_SPI=samples.INITIATOR_SPI, resp_SPI=bytes(8), exch_type=34, flags="Initiator"
        )
        / ikev2.IKEv2_SA(prop=proposal)
        / ikev2.IKEv2_KE(group=31, ke=samples.KE.data)
        / ikev2.IKEv2_Nonce(nonce=samples.NONCE.data)
        / ikev2.IKEv2_Notify(type=16390, notify=samples.COOKIE.data)
        / ikev2.IKEv2_VendorID(vendorID=b"hushwire")
    )
    data = bytes(packet)
    parsed = Message.parse(data)
    transforms = (samples.AES_256_GCM, Transform(4, 31))
    assert parsed.payloads == (
        SecurityAssociation((Proposal(1, 1, b"", transforms),)),
        samples.KE,
        samples.NONCE,
        samples.COOKIE,
        samples.VENDOR,
    )
    header = samples.header(ExchangeType.IKE_SA_INIT)
    assert parsed.header == replace(header, next_payload=33, length=len(data))
    assert build_plain(header, parsed.payloads) == data
    assert not packet.haslayer(Raw)
