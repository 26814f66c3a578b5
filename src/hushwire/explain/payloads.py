"""The payloads of an IKE message in a few words each: what they say, never what they protect."""

from __future__ import annotations

from collections.abc import Iterable

from hushwire.crypto.names import name_of
from hushwire.crypto.suites import describe
from hushwire.sa.identity import Identity
from hushwire.sa.selectors import describe as describe_selector
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Message, Payload
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import Identification, IdInitiator
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation, Transform
from hushwire.wire.ike.payloads.ts import TrafficSelectors, TsInitiator
from hushwire.wire.registry import (
    AuthMethod,
    CertEncoding,
    ExchangeType,
    IdType,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
)

_MOST_WORDS = 24
_LONGEST_WORD = 160
_MOST_PROPOSALS = 4
_AUTH = {
    AuthMethod.RSA_SIGNATURE: "RSA signature",
    AuthMethod.SHARED_KEY_MIC: "shared secret",
    AuthMethod.ECDSA_SHA256_P256: "ECDSA with P-256",
    AuthMethod.ECDSA_SHA384_P384: "ECDSA with P-384",
    AuthMethod.ECDSA_SHA512_P521: "ECDSA with P-521",
    AuthMethod.DIGITAL_SIGNATURE: "digital signature",
}
_CERT = {
    CertEncoding.X509_SIGNATURE: "X.509",
    CertEncoding.RAW_PUBLIC_KEY: "raw public key",
}
# Status notifications that mean nothing here, and that peers send all the same (IANA's names).
_OTHERS = {
    16404: "MULTIPLE_AUTH_SUPPORTED",
    16406: "REDIRECT_SUPPORTED",
    16417: "EAP_ONLY_AUTHENTICATION",
    16418: "CHILDLESS_IKEV2_SUPPORTED",
    16419: "QUICK_CRASH_DETECTION",
    16420: "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
}
_NAT = (NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP)


def exchange_name(number: int) -> str:
    """An exchange as its RFC writes it."""
    try:
        return ExchangeType(number).name
    except ValueError:
        return f"exchange type {number}"


def notify_name(number: int) -> str:
    """A notify type as its RFC writes it."""
    try:
        return NotifyType(number).name
    except ValueError:
        return _OTHERS.get(number, f"notify type {number}")


def words_of(payloads: Iterable[Payload]) -> tuple[str, ...]:
    """A word or a few for each payload, in their order; NAT detection is one word for all."""
    words: list[str] = []
    for payload in payloads:
        word = _word(payload)[:_LONGEST_WORD]
        if word not in words or not word.startswith("N(NAT"):
            words.append(word)
    more = len(words) - _MOST_WORDS
    return (*words[:_MOST_WORDS], *((f"and {more} more",) if more > 0 else ()))


def words_of_plain(data: bytes) -> tuple[str, ...]:
    """The same for a whole message: what of it is in clear."""
    try:
        message = Message.parse(data)
    except WireError as error:
        return (f"malformed: {error}"[:_LONGEST_WORD],)
    sealed = ("sealed",) if message.encrypted else ()
    return (*words_of(message.payloads), *sealed)


def identity_text(payload: Identification) -> str:
    """An identity as a person writes it."""
    try:
        return Identity(IdType(payload.id_type), payload.data).text
    except ValueError:
        return f"type {payload.id_type}:{payload.data.hex()}"


def _word(payload: Payload) -> str:
    match payload:
        case SecurityAssociation():
            return f"SA {_proposals(payload)}"
        case KeyExchangePayload():
            return f"KE {name_of(Transform(TransformType.KE, payload.method))}"
        case Identification():
            which = "IDi" if isinstance(payload, IdInitiator) else "IDr"
            return f"{which} {identity_text(payload)}"
        case Certificate():
            return f"CERT {_named(_CERT, payload.encoding)}"
        case CertificateRequest():
            return f"CERTREQ {_named(_CERT, payload.encoding)}"
        case Authentication():
            return f"AUTH {_named(_AUTH, payload.method)}"
        case Notify():
            return f"N({_notify(payload)})"
        case Delete():
            spis = " ".join(spi.hex() for spi in payload.spis)
            return f"D(ESP {spis})" if payload.spis else "D(IKE SA)"
        case TrafficSelectors():
            which = "TSi" if isinstance(payload, TsInitiator) else "TSr"
            return f"{which} {', '.join(map(describe_selector, payload.selectors))}"
    return PayloadType(payload.payload_type).name


def _proposals(payload: SecurityAssociation) -> str:
    texts = [describe(proposal.transforms) for proposal in payload.proposals]
    more = len(texts) - _MOST_PROPOSALS
    return ", ".join(texts[:_MOST_PROPOSALS]) + (f" and {more} more" if more > 0 else "")


def _notify(payload: Notify) -> str:
    if payload.type in _NAT:
        return "NAT_DETECTION_*"
    name = notify_name(payload.type)
    if payload.type == NotifyType.INVALID_KE_PAYLOAD and len(payload.data) == 2:
        wanted = Transform(TransformType.KE, int.from_bytes(payload.data, "big"))
        return f"{name}: {name_of(wanted)}"
    if payload.type == NotifyType.REKEY_SA and payload.protocol == ProtocolId.ESP:
        return f"{name} {payload.spi.hex()}"
    return name


def _named(names: dict[AuthMethod, str] | dict[CertEncoding, str], number: int) -> str:
    return next((name for key, name in names.items() if key == number), str(number))
