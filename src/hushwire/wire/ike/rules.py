"""Which payloads each message may and must hold, and where (RFC 7296 §1.2 to §1.4)."""

from __future__ import annotations

from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import SPI_OCTETS, Header
from hushwire.wire.ike.message import MAX_PAYLOADS, Message, Payload
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.ike.payloads.ts import TsInitiator, TsResponder
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import ExchangeType, NotifyType

_Kind = type[Payload]
_Times = tuple[int, int]

_ONCE: _Times = (1, 1)
_MAYBE: _Times = (0, 1)
_FEW: _Times = (0, 8)
_ANY: _Times = (0, MAX_PAYLOADS)

_EVERYWHERE: dict[_Kind, _Times] = {Notify: _ANY, VendorId: _ANY}
"""§3.10 and §3.12: these may stand in every message."""

_CHILD: tuple[_Kind, ...] = (SecurityAssociation, TsInitiator, TsResponder)
_SELECTORS: tuple[_Kind, ...] = (TsInitiator, TsResponder)

_REQUEST = False
_RESPONSE = True


@dataclass(frozen=True, slots=True)
class _Rule:
    """`times`: least and most of each payload; the least is waived where a response refuses.

    `together`: payloads that come all or not at all. What no rule names is not allowed.
    """

    times: dict[_Kind, _Times]
    together: tuple[_Kind, ...] = ()


_PLAIN: dict[tuple[int, bool], _Rule] = {
    (ExchangeType.IKE_SA_INIT, _REQUEST): _Rule(
        {SecurityAssociation: _ONCE, KeyExchangePayload: _ONCE, Nonce: _ONCE, **_EVERYWHERE}
    ),
    (ExchangeType.IKE_SA_INIT, _RESPONSE): _Rule(
        {
            SecurityAssociation: _ONCE,
            KeyExchangePayload: _ONCE,
            Nonce: _ONCE,
            CertificateRequest: _FEW,
            **_EVERYWHERE,
        },
        together=(SecurityAssociation, KeyExchangePayload, Nonce),
    ),
}

_INSIDE_SK: dict[tuple[int, bool], _Rule] = {
    (ExchangeType.IKE_AUTH, _REQUEST): _Rule(
        {
            IdInitiator: _ONCE,
            Certificate: _FEW,
            CertificateRequest: _FEW,
            IdResponder: _MAYBE,
            Authentication: _ONCE,
            SecurityAssociation: _MAYBE,
            TsInitiator: _MAYBE,
            TsResponder: _MAYBE,
            **_EVERYWHERE,
        },
        together=_CHILD,
    ),
    (ExchangeType.IKE_AUTH, _RESPONSE): _Rule(
        {
            IdResponder: _ONCE,
            Certificate: _FEW,
            Authentication: _ONCE,
            SecurityAssociation: _MAYBE,
            TsInitiator: _MAYBE,
            TsResponder: _MAYBE,
            **_EVERYWHERE,
        },
        together=_CHILD,
    ),
    # §1.3.1 to §1.3.3: a new Child SA or a rekeyed one has selectors, a rekeyed IKE SA has none.
    (ExchangeType.CREATE_CHILD_SA, _REQUEST): _Rule(
        {
            SecurityAssociation: _ONCE,
            Nonce: _ONCE,
            KeyExchangePayload: _MAYBE,
            TsInitiator: _MAYBE,
            TsResponder: _MAYBE,
            **_EVERYWHERE,
        },
        together=_SELECTORS,
    ),
    (ExchangeType.CREATE_CHILD_SA, _RESPONSE): _Rule(
        {
            SecurityAssociation: _ONCE,
            Nonce: _ONCE,
            KeyExchangePayload: _MAYBE,
            TsInitiator: _MAYBE,
            TsResponder: _MAYBE,
            **_EVERYWHERE,
        },
        together=_SELECTORS,
    ),
    # RFC 9370 §2.2.2: each carries one key exchange.
    (ExchangeType.IKE_INTERMEDIATE, _REQUEST): _Rule({KeyExchangePayload: _ONCE, **_EVERYWHERE}),
    (ExchangeType.IKE_INTERMEDIATE, _RESPONSE): _Rule({KeyExchangePayload: _ONCE, **_EVERYWHERE}),
    # RFC 9370 §2.2.4: after CREATE_CHILD_SA, linked to it by a notification.
    (ExchangeType.IKE_FOLLOWUP_KE, _REQUEST): _Rule({KeyExchangePayload: _ONCE, **_EVERYWHERE}),
    (ExchangeType.IKE_FOLLOWUP_KE, _RESPONSE): _Rule({KeyExchangePayload: _ONCE, **_EVERYWHERE}),
    (ExchangeType.INFORMATIONAL, _REQUEST): _Rule({Delete: _ANY, **_EVERYWHERE}),
    (ExchangeType.INFORMATIONAL, _RESPONSE): _Rule({Delete: _ANY, **_EVERYWHERE}),
}


def check_outer(message: Message) -> None:
    """Check what anybody on the path can read. Raises `WireError`.

    IKE_SA_INIT is all in clear. Every other exchange is one SK payload and nothing beside it, so
    that nothing unprotected can ever be taken for a part of it.
    """
    header = message.header
    rule = _PLAIN.get((header.exchange, header.response))
    if rule is not None:
        _check_first_exchange(header)
        if message.encrypted is not None:
            raise WireError(f"{_name(header)}: has an SK payload before there are keys")
        _check(header, rule, message.payloads)
    elif (header.exchange, header.response) not in _INSIDE_SK:
        raise WireError(f"exchange type {header.exchange} is not known here")
    elif message.encrypted is None:
        raise WireError(f"{_name(header)}: is not encrypted")
    elif message.payloads:
        outside = type(message.payloads[0]).__name__
        raise WireError(f"{_name(header)}: {outside} outside the SK payload")


def check_inner(header: Header, payloads: tuple[Payload, ...]) -> None:
    """Check the payloads that came out of the SK payload. Raises `WireError`."""
    rule = _INSIDE_SK.get((header.exchange, header.response))
    if rule is None:
        raise WireError(f"exchange type {header.exchange} has no encrypted payloads")
    _check(header, rule, payloads)


def _check_first_exchange(header: Header) -> None:
    """§2.2 and §3.1: the original initiator asks, message ID 0, the responder has no SPI yet."""
    if header.message_id != 0:
        raise WireError(f"{_name(header)}: message ID {header.message_id}, must be 0")
    if header.initiator == header.response:
        raise WireError(f"{_name(header)}: its initiator flag contradicts its response flag")
    if not header.response and header.responder_spi != bytes(SPI_OCTETS):
        raise WireError(f"{_name(header)}: the responder's SPI is not zero")


def _check(header: Header, rule: _Rule, payloads: tuple[Payload, ...]) -> None:
    counts: dict[_Kind, int] = dict.fromkeys(rule.times, 0)
    for payload in payloads:
        kind = type(payload)
        if kind not in counts:
            raise WireError(f"{_name(header)}: {kind.__name__} does not belong there")
        counts[kind] += 1
    refused = any(_refuses(header, payload) for payload in payloads)
    for kind, (least, most) in rule.times.items():
        if counts[kind] > most:
            raise WireError(
                f"{_name(header)}: {kind.__name__} {counts[kind]} times, at most {most}"
            )
        if counts[kind] < least and not refused:
            raise WireError(f"{_name(header)}: {kind.__name__} is missing")
    there = [kind for kind in rule.together if counts[kind]]
    if there and len(there) < len(rule.together):
        names = ", ".join(kind.__name__ for kind in rule.together)
        raise WireError(f"{_name(header)}: {names} must come together")


def _refuses(header: Header, payload: Payload) -> bool:
    """An error, or at first the demand for a cookie (§2.6), stands in place of an answer."""
    if not header.response or not isinstance(payload, Notify):
        return False
    first_exchange = header.exchange == ExchangeType.IKE_SA_INIT
    return payload.is_error or (first_exchange and payload.type == NotifyType.COOKIE)


def _name(header: Header) -> str:
    name = ExchangeType(header.exchange).name
    return f"{name} {'response' if header.response else 'request'}"
