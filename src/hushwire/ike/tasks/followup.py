"""IKE_FOLLOWUP_KE: additional key exchanges after CREATE_CHILD_SA (RFC 9370 §2.2.4).

    HDR, SK {KEi(n), N(ADDITIONAL_KEY_EXCHANGE)(link n)}  -->
                    <--  HDR, SK {KEr(n) [, N(ADDITIONAL_KEY_EXCHANGE)(link n+1)]}

The response to CREATE_CHILD_SA has the first link. The SA is made when no link comes any more.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Generic, TypeVar

from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import KeyExchange, Offer, Rng
from hushwire.ike.keys import Seed
from hushwire.records import dataclass
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

_EXCHANGE = "IKE_FOLLOWUP_KE"
_LINK_OCTETS = 8

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Agreed(Generic[T_co]):
    """What CREATE_CHILD_SA has come to: terms, what the keys come from, and what is to follow."""

    terms: T_co
    seed: Seed
    rest: tuple[KeyExchange, ...] = ()

    def after(self, shared: bytes) -> Agreed[T_co]:
        """With the secret of the next exchange."""
        seed = replace(self.seed, more=self.seed.more + shared)
        return replace(self, seed=seed, rest=self.rest[1:])


# The initiator.


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """What the initiator keeps until the response to one of these exchanges comes."""

    agreed: Agreed[T]
    link: bytes
    key: Offer = field(repr=False)


def ask(agreed: Agreed[T], payloads: tuple[Payload, ...], rng: Rng) -> Asked[T]:
    """The next exchange; `payloads` are the response before, with the link. Raises `WireError`."""
    link = link_in(payloads)
    if link is None:
        raise WireError("a response without ADDITIONAL_KEY_EXCHANGE, and key exchanges are left")
    return Asked(agreed, link, agreed.rest[0].offer(rng))


def request(asked: Asked[T]) -> tuple[Payload, ...]:
    """KEi(n), N(ADDITIONAL_KEY_EXCHANGE)."""
    return KeyExchangePayload(asked.agreed.rest[0].method, asked.key.public), _linked(asked.link)


def accept(asked: Asked[T], payloads: tuple[Payload, ...]) -> Agreed[T]:
    """Raises `WireError`."""
    ke = _key(asked.agreed, payloads)
    try:
        return asked.agreed.after(asked.key.finish(ke.data))
    except BadPublicValueError as error:
        raise WireError(str(error)) from error


# The responder.


def new_link(rng: Rng) -> tuple[bytes, Notify]:
    """By which the next request is known to belong to what was agreed on."""
    link = rng(_LINK_OCTETS)
    return link, _linked(link)


def answer(
    agreed: Agreed[T], payloads: tuple[Payload, ...], rng: Rng
) -> tuple[KeyExchangePayload, Agreed[T]]:
    """KEr(n). Raises `WireError`."""
    ke, exchange = _key(agreed, payloads), agreed.rest[0]
    try:
        public, shared = exchange.answer(ke.data, rng)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    return KeyExchangePayload(exchange.method, public), agreed.after(shared)


# Both.


def link_in(payloads: tuple[Payload, ...]) -> bytes | None:
    """The link that a message has."""
    links = (
        n.data for n in every(payloads, Notify) if n.type == NotifyType.ADDITIONAL_KEY_EXCHANGE
    )
    return next(links, None)


def _linked(link: bytes) -> Notify:
    return Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, link)


def _key(agreed: Agreed[T], payloads: tuple[Payload, ...]) -> KeyExchangePayload:
    ke, exchange = first(payloads, KeyExchangePayload), agreed.rest[0]
    if ke is None or ke.method != exchange.method:
        raise WireError(f"{_EXCHANGE}: its key exchange is not {exchange.name}, which comes next")
    return ke
