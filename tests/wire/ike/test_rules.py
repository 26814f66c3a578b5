"""Every payload in every message: allowed, missing, too often, in the wrong place.

`GRAMMAR` is a second, independent copy of the rules, in the notation of RFC 7296 §1.2 to §1.4:
`X` once, `X?` at most once, `X*` any number, `X{8}` at most eight.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, Payload, build_plain
from hushwire.wire.ike.rules import check_inner, check_outer
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.wire import samples

PAYLOADS: dict[str, Payload] = {
    "SA": samples.IKE_SA,
    "KE": samples.KE,
    "Nonce": samples.NONCE,
    "IDi": samples.ID_I,
    "IDr": samples.ID_R,
    "CERT": samples.CERT,
    "CERTREQ": samples.CERTREQ,
    "AUTH": samples.AUTH,
    "TSi": samples.TS_I,
    "TSr": samples.TS_R,
    "N": samples.NOTIFY,
    "D": samples.DELETE,
    "V": samples.VENDOR,
}

INIT = ExchangeType.IKE_SA_INIT
AUTH = ExchangeType.IKE_AUTH
CHILD = ExchangeType.CREATE_CHILD_SA
INFO = ExchangeType.INFORMATIONAL
MORE = (ExchangeType.IKE_INTERMEDIATE, ExchangeType.IKE_FOLLOWUP_KE)  # RFC 9370 §2.2

Kind = tuple[ExchangeType, bool]

GRAMMAR: dict[Kind, str] = {
    (INIT, False): "SA KE Nonce N* V*",
    (INIT, True): "SA KE Nonce CERTREQ{8} N* V*",
    (AUTH, False): "IDi CERT{8} CERTREQ{8} IDr? AUTH SA? TSi? TSr? N* V*",
    (AUTH, True): "IDr CERT{8} AUTH SA? TSi? TSr? N* V*",
    (CHILD, False): "SA Nonce KE? TSi? TSr? N* V*",
    (CHILD, True): "SA Nonce KE? TSi? TSr? N* V*",
    (INFO, False): "N* D* V*",
    (INFO, True): "N* D* V*",
    **{(exchange, response): "KE N* V*" for exchange in MORE for response in (False, True)},
}

# What must come together besides what must come anyway.
TOGETHER = {AUTH: ("SA", "TSi", "TSr"), CHILD: ("TSi", "TSr")}


def limits(kind: Kind) -> dict[str, tuple[int, int]]:
    """Least and most of every payload in one message; (0, 0) for what does not belong there."""
    found = dict.fromkeys(PAYLOADS, (0, 0))
    for word in GRAMMAR[kind].split():
        name = word.rstrip("?*{8}")
        suffix = word[len(name) :]
        found[name] = {"": (1, 1), "?": (0, 1), "*": (0, 100), "{8}": (0, 8)}[suffix]
    return found


def check(kind: Kind, payloads: tuple[Payload, ...]) -> None:
    """Check the payloads where this exchange has them: in clear, or inside SK."""
    exchange, response = kind
    header = samples.header(exchange, response=response)
    if exchange == INIT:
        check_outer(Message.parse(build_plain(header, payloads)))
    else:
        check_inner(header, payloads)


def fullest(kind: Kind) -> list[str]:
    """One of everything that belongs there."""
    return [name for name, (_, most) in limits(kind).items() if most]


def several(names: list[str]) -> tuple[Payload, ...]:
    return tuple(PAYLOADS[name] for name in names)


KINDS: list[Kind] = list(product(ExchangeType, (False, True)))
EVERY_PAIR = [(kind, name) for kind in KINDS for name in PAYLOADS]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fullest_and_the_leanest_message_are_allowed_in_any_order(kind: Kind) -> None:
    check(kind, several(fullest(kind)))
    check(kind, several(fullest(kind)[::-1]))
    check(kind, several([name for name, (least, _) in limits(kind).items() if least]))


@pytest.mark.parametrize(("kind", "name"), EVERY_PAIR)
def test_a_payload_comes_as_often_as_the_grammar_says(kind: Kind, name: str) -> None:
    least, most = limits(kind)[name]
    others = [other for other in fullest(kind) if other != name]
    for count in range(12):
        message = several(others + [name] * count)
        alone = count == 0 and name in TOGETHER.get(kind[0], ())
        if least <= count <= most and not alone:
            check(kind, message)
        else:
            with pytest.raises(WireError):
                check(kind, message)


@pytest.mark.parametrize("exchange", [AUTH, CHILD])
@pytest.mark.parametrize("response", [False, True])
def test_the_parts_of_a_child_sa_come_all_or_not_at_all(
    exchange: ExchangeType, response: bool
) -> None:
    kind = (exchange, response)
    together = TOGETHER[exchange]
    without = [name for name in fullest(kind) if name not in together]
    check(kind, several(without))
    for name in together:
        with pytest.raises(WireError, match="together"):
            check(kind, several([*without, name]))


@pytest.mark.parametrize("exchange", [INIT, AUTH, CHILD, INFO, *MORE])
def test_an_error_may_stand_alone_in_a_response_and_never_in_a_request(
    exchange: ExchangeType,
) -> None:
    check((exchange, True), (samples.ERROR,))
    if exchange != INFO:
        with pytest.raises(WireError, match="missing"):
            check((exchange, False), (samples.ERROR,))
        with pytest.raises(WireError, match="missing"):
            check((exchange, True), (samples.NOTIFY,))


def test_a_cookie_may_stand_alone_in_the_first_response_only() -> None:
    check((INIT, True), (samples.COOKIE,))
    for kind in [(INIT, False), (AUTH, True), (CHILD, True)]:
        with pytest.raises(WireError, match="missing"):
            check(kind, (samples.COOKIE,))


def test_a_refused_first_exchange_has_no_half_of_an_answer() -> None:
    with pytest.raises(WireError, match="together"):
        check((INIT, True), (samples.ERROR, samples.KE))


def test_a_child_sa_may_be_refused_beside_a_proof_of_identity() -> None:
    unacceptable = samples.ERROR.__class__(NotifyType.TS_UNACCEPTABLE)
    check((AUTH, True), (samples.ID_R, samples.AUTH, unacceptable))


@pytest.mark.parametrize("message", samples.MESSAGES)
def test_the_outside_of_a_whole_conversation_is_allowed(message: bytes) -> None:
    check_outer(Message.parse(message))


@pytest.mark.parametrize("exchange", [AUTH, CHILD, INFO, *MORE])
@pytest.mark.parametrize("name", PAYLOADS)
def test_nothing_but_the_first_exchange_may_be_in_clear(exchange: ExchangeType, name: str) -> None:
    header = samples.header(exchange)
    plain = build_plain(header, (PAYLOADS[name],))
    with pytest.raises(WireError, match="not encrypted"):
        check_outer(Message.parse(plain))
    beside = replace(
        Message.parse(samples.sealed(header, ())), payloads=Message.parse(plain).payloads
    )
    with pytest.raises(WireError, match="outside the SK payload"):
        check_outer(beside)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_message_in_clear_is_refused_where_sk_is_required(kind: Kind) -> None:
    exchange, response = kind
    header = samples.header(exchange, response=response)
    message = Message.parse(build_plain(header, several(fullest(kind))))
    if exchange == INIT:
        check_outer(message)
    else:
        with pytest.raises(WireError, match="not encrypted"):
            check_outer(message)


@pytest.mark.parametrize("response", [False, True])
def test_the_first_exchange_has_nothing_encrypted(response: bool) -> None:
    header = samples.header(INIT, response=response)
    with pytest.raises(WireError, match="before there are keys"):
        check_outer(Message.parse(samples.sealed(header, (samples.IKE_SA,))))
    with pytest.raises(WireError, match="no encrypted payloads"):
        check_inner(header, several(["SA", "KE", "Nonce"]))


@pytest.mark.parametrize("exchange", [0, 33, 38, 42, 45, 255])
def test_an_unknown_exchange_is_refused(exchange: int) -> None:
    header = samples.header(exchange)
    with pytest.raises(WireError, match="not known"):
        check_outer(Message.parse(samples.sealed(header, ())))
    with pytest.raises(WireError, match="no encrypted"):
        check_inner(header, ())


def first_request(**changes: object) -> Header:
    return replace(samples.header(INIT), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (first_request(message_id=1), "message ID 1"),
        (first_request(initiator=False), "flag"),
        (first_request(response=True), "flag"),
        (first_request(responder_spi=samples.RESPONDER_SPI), "SPI is not zero"),
    ],
)
def test_the_header_of_the_first_exchange_is_checked(header: Header, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        check_outer(Message.parse(build_plain(header, several(["SA", "KE", "Nonce"]))))
