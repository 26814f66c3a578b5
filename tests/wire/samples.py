"""One valid value of every payload, and the messages of a whole conversation made of them."""

from __future__ import annotations

from ipaddress import ip_address

from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, build_chain, build_plain, build_sk_head
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.encrypted import Part
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.ike.payloads.ts import TrafficSelector, TsInitiator, TsResponder
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import (
    AuthMethod,
    CertEncoding,
    EncryptionId,
    EsnId,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    PrfId,
    ProtocolId,
    TransformType,
)

INITIATOR_SPI = bytes(range(1, 9))
RESPONDER_SPI = bytes(range(0xA1, 0xA9))

AES_256_GCM = Transform(TransformType.ENCR, EncryptionId.AES_GCM_16, 256)

IKE_SA = SecurityAssociation(
    (
        Proposal(
            1,
            ProtocolId.IKE,
            b"",
            (
                AES_256_GCM,
                Transform(TransformType.PRF, PrfId.HMAC_SHA2_384),
                Transform(TransformType.KE, KeyExchangeId.X25519),
            ),
        ),
    )
)
CHILD_SA = SecurityAssociation(
    (
        Proposal(
            1,
            ProtocolId.ESP,
            bytes.fromhex("c0ffee01"),
            (AES_256_GCM, Transform(TransformType.ESN, EsnId.ESN)),
        ),
        Proposal(
            2,
            ProtocolId.ESP,
            bytes.fromhex("c0ffee02"),
            (
                Transform(TransformType.ENCR, EncryptionId.CHACHA20_POLY1305),
                Transform(TransformType.ESN, EsnId.NO_ESN),
            ),
        ),
    )
)
KE = KeyExchangePayload(KeyExchangeId.X25519, bytes(range(32)))
NONCE = Nonce(bytes(range(0x40, 0x60)))
ID_I = IdInitiator(IdType.IPV4_ADDR, bytes([192, 0, 2, 1]))
ID_R = IdResponder(IdType.FQDN, b"bob.example.org")
CERT = Certificate(CertEncoding.RAW_PUBLIC_KEY, bytes.fromhex("302a300506032b6570032100") * 2)
CERTREQ = CertificateRequest(CertEncoding.X509_SIGNATURE, bytes(20))
AUTH = Authentication(AuthMethod.SHARED_KEY_MIC, bytes(48))
TS_I = TsInitiator(
    (
        TrafficSelector(ip_address("10.0.1.1"), ip_address("10.0.1.1"), 6, 443, 443),
        TrafficSelector(ip_address("2001:db8::"), ip_address("2001:db8::ff")),
    )
)
TS_R = TsResponder((TrafficSelector(ip_address("10.0.2.0"), ip_address("10.0.2.255")),))
NOTIFY = Notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED)
ERROR = Notify(NotifyType.NO_PROPOSAL_CHOSEN)
COOKIE = Notify(NotifyType.COOKIE, b"\x17" * 32)
DELETE = Delete(ProtocolId.ESP, (bytes.fromhex("c0ffee01"), bytes.fromhex("c0ffee02")))
DELETE_IKE = Delete(ProtocolId.IKE, ())
VENDOR = VendorId(b"hushwire")

PAYLOADS: tuple[Payload, ...] = (
    IKE_SA,
    CHILD_SA,
    KE,
    NONCE,
    ID_I,
    ID_R,
    CERT,
    CERTREQ,
    AUTH,
    TS_I,
    TS_R,
    NOTIFY,
    ERROR,
    COOKIE,
    Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, bytes.fromhex("c0ffee01")),
    DELETE,
    DELETE_IKE,
    VENDOR,
)

CHAINS: tuple[tuple[Payload, ...], ...] = (
    (ID_I, CERT, CERTREQ, ID_R, AUTH, CHILD_SA, TS_I, TS_R, NOTIFY),
    (ID_R, CERT, AUTH, CHILD_SA, TS_I, TS_R),
    (ERROR,),
    (CHILD_SA, NONCE, KE, TS_I, TS_R),
    (DELETE, DELETE_IKE, VENDOR),
    (),
)


def header(exchange: int, *, response: bool = False) -> Header:
    """A header of the original initiator's requests and of the responses to them."""
    first = exchange == ExchangeType.IKE_SA_INIT
    return Header(
        INITIATOR_SPI,
        bytes(8) if first and not response else RESPONDER_SPI,
        exchange,
        message_id=0 if first else 1,
        initiator=not response,
        response=response,
    )


def sealed(head: Header, payloads: tuple[Payload, ...]) -> bytes:
    """A message whose SK body is the bare chain: what a cipher that changes nothing would make."""
    first_inner, chain = build_chain(payloads)
    return build_sk_head(head, first_inner, len(chain)) + chain


def fragment(head: Header, number: int, total: int) -> bytes:
    """A fragment of such a message."""
    first_inner, chain = build_chain(CHAINS[0])
    return build_sk_head(head, first_inner, len(chain), Part(number, total)) + chain


_INIT = ExchangeType.IKE_SA_INIT

MESSAGES: tuple[bytes, ...] = (
    build_plain(header(_INIT), (IKE_SA, KE, NONCE, NOTIFY)),
    build_plain(header(_INIT), (COOKIE, IKE_SA, KE, NONCE)),
    build_plain(header(_INIT, response=True), (IKE_SA, KE, NONCE, CERTREQ, VENDOR)),
    build_plain(header(_INIT, response=True), (COOKIE,)),
    build_plain(header(_INIT, response=True), (ERROR,)),
    sealed(header(ExchangeType.IKE_AUTH), CHAINS[0]),
    sealed(header(ExchangeType.IKE_AUTH, response=True), CHAINS[1]),
    sealed(header(ExchangeType.CREATE_CHILD_SA), CHAINS[3]),
    sealed(header(ExchangeType.INFORMATIONAL), CHAINS[4]),
    sealed(header(ExchangeType.INFORMATIONAL, response=True), ()),
    fragment(header(ExchangeType.IKE_AUTH), 1, 2),
)
