"""IKE messages: the header and the chain of payloads (RFC 7296 §3.1 and §3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar, get_args

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.encrypted import Encrypted, Part
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation
from hushwire.wire.ike.payloads.ts import TsInitiator, TsResponder
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import PayloadType

GENERIC_HEADER_OCTETS = 4
MAX_PAYLOADS = 100
"""Payloads in one chain, unknown ones too. No honest message comes near it."""

_CRITICAL = 0x80
_SEALED = frozenset({PayloadType.SK, PayloadType.SKF})

Payload = (
    SecurityAssociation
    | KeyExchangePayload
    | IdInitiator
    | IdResponder
    | Certificate
    | CertificateRequest
    | Authentication
    | Nonce
    | Notify
    | Delete
    | VendorId
    | TsInitiator
    | TsResponder
)
_CLASSES: dict[int, type[Payload]] = {kind.payload_type: kind for kind in get_args(Payload)}

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came: the plain payloads, and the sealed one when there is one.

    Payloads that are unknown and not critical have been left out (§2.5). Whether these payloads
    belong in this exchange is for `rules` to say.
    """

    header: Header
    payloads: tuple[Payload, ...]
    encrypted: Encrypted | None

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Parse a whole datagram, without the non-ESP marker.

        Raises `UnsupportedVersionError`, `UnsupportedCriticalPayloadError` and other `WireError`s.
        """
        header = Header.parse(data)
        reader = Reader(data, "IKE message")
        reader.skip(HEADER_OCTETS)
        payloads: list[Payload] = []
        encrypted: Encrypted | None = None
        for raw in _walk(header.next_payload, reader):
            if raw.type in _SEALED:
                encrypted = _sealed(raw, data)
            else:
                payloads += _interpret(raw)
        return cls(header, tuple(payloads), encrypted)


def parse_chain(first: int, data: bytes) -> tuple[Payload, ...]:
    """The payloads inside an opened SK payload; `first` is the type of the first one, 0 for none.

    Raises `UnsupportedCriticalPayloadError` and other `WireError`s.
    """
    payloads: list[Payload] = []
    for raw in _walk(first, Reader(data, "payload chain")):
        if raw.type in _SEALED:
            raise WireError("payload chain: an SK payload inside the SK payload")
        payloads += _interpret(raw)
    return tuple(payloads)


def build_chain(payloads: Iterable[Payload]) -> tuple[int, bytes]:
    """The type of the first payload (0 for none), and all payloads with their generic headers."""
    first = int(PayloadType.NONE)
    chain = b""
    for payload in reversed(tuple(payloads)):
        body = payload.build()
        chain = _generic_header(first, len(body)) + body + chain
        first = int(payload.payload_type)
    return first, chain


def build_plain(header: Header, payloads: Iterable[Payload]) -> bytes:
    """A whole message in clear; next payload and length of `header` are filled in."""
    first, chain = build_chain(payloads)
    length = HEADER_OCTETS + len(chain)
    return replace(header, next_payload=first, length=length).build() + chain


def build_sk_head(
    header: Header,
    first_inner: int,
    body_octets: int,
    part: Part | None = None,
    reserved: int = 0,
) -> bytes:
    """The IKE header and that of the one SK payload that follows it; of an SKF one for a `part`.

    These octets are the AAD (RFC 5282 §5.1), and a sealed body of `body_octets` (IV, ciphertext
    and ICV) appended to them makes the message.
    """
    kind, own = (PayloadType.SKF, part.build()) if part else (PayloadType.SK, b"")
    body_octets += len(own)
    length = HEADER_OCTETS + GENERIC_HEADER_OCTETS + body_octets
    outer = replace(header, next_payload=int(kind), length=length)
    return outer.build() + _generic_header(first_inner, body_octets, reserved) + own


def first(payloads: Iterable[Payload], kind: type[P]) -> P | None:
    """The first payload of one class, None when there is none."""
    return next((payload for payload in payloads if isinstance(payload, kind)), None)


def every(payloads: Iterable[Payload], kind: type[P]) -> tuple[P, ...]:
    """All payloads of one class, in their order."""
    return tuple(payload for payload in payloads if isinstance(payload, kind))


class _RawPayload(NamedTuple):
    type: int
    reserved: int
    next_type: int
    body: bytes


def _generic_header(next_type: int, body_octets: int, reserved: int = 0) -> bytes:
    return bytes([next_type, reserved]) + (GENERIC_HEADER_OCTETS + body_octets).to_bytes(2, "big")


def _sealed(raw: _RawPayload, data: bytes) -> Encrypted:
    """It is the last payload of the message `data`."""
    reader = Reader(raw.body, "SKF payload")
    part = Part.parse(reader) if raw.type == PayloadType.SKF else None
    body = reader.rest()
    before = Reader(data, "IKE message").take(len(data) - len(body))
    return Encrypted(raw.next_type, before, body, raw.reserved, part)


def _walk(first_type: int, reader: Reader) -> Iterator[_RawPayload]:
    """Every payload up to the end of `reader`, which must be the end of the chain as well."""
    payload_type = first_type
    count = 0
    while payload_type != PayloadType.NONE:
        count += 1
        if count > MAX_PAYLOADS:
            raise WireError(f"payload chain: more than {MAX_PAYLOADS} payloads")
        next_type = reader.u8()
        reserved = reader.u8()
        length = reader.u16()
        if length < GENERIC_HEADER_OCTETS:
            raise WireError(f"payload chain: length {length} is shorter than its own header")
        body = reader.take(length - GENERIC_HEADER_OCTETS)
        yield _RawPayload(payload_type, reserved, next_type, body)
        if payload_type in _SEALED:
            # §3.14: SK is always the last one; its next payload field tells the first one inside.
            break
        payload_type = next_type
    reader.expect_end()


def _interpret(raw: _RawPayload) -> tuple[Payload, ...]:
    """The payload, or nothing for one that is unknown and may be skipped.

    The critical bit of a payload that is known means nothing to a receiver (§2.5, §3.2).
    """
    kind = _CLASSES.get(raw.type)
    if kind is not None:
        return (kind.parse(raw.body),)
    if raw.reserved & _CRITICAL:
        raise UnsupportedCriticalPayloadError(raw.type)
    return ()
