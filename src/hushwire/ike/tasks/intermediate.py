"""IKE_INTERMEDIATE: additional key exchanges before IKE_AUTH (RFC 9242, RFC 9370 §2.2.2).

    HDR, SK {KEi(n)}  -->
                      <--  HDR, SK {KEr(n)}

As many as the suite names, in its order, and each under the keys that the one before has made.
"""

from __future__ import annotations

from dataclasses import replace

from hushwire.crypto.errors import BadPublicValueError
from hushwire.crypto.exchange import KeyExchange, Offer, Rng
from hushwire.explain.outcome import RefusedByPeer
from hushwire.ike.failure import NegotiationFailedError, notify_name
from hushwire.ike.keys import derive_mixed_ike_keys
from hushwire.ike.protection import Protection
from hushwire.ike.states import IntAuth, IntermediateSent, Secrets
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify

_EXCHANGE = "IKE_INTERMEDIATE"

Spis = tuple[bytes, bytes]
"""SPIi and SPIr."""


def next_exchange(secrets: Secrets) -> KeyExchange | None:
    """The one that comes next; None when all are done, and IKE_AUTH may follow."""
    rest = secrets.suite.additional[secrets.int_auth.count :]
    return rest[0].exchange if rest else None


def request(secrets: Secrets, rng: Rng) -> tuple[Offer, tuple[Payload, ...]]:
    """What to keep, and what to send. One exchange must be left to do."""
    exchange = _next(secrets)
    key = exchange.offer(rng)
    return key, (KeyExchangePayload(exchange.method, key.public),)


def accept(
    state: IntermediateSent, payloads: tuple[Payload, ...], plain: bytes, spis: Spis, rng: Rng
) -> Secrets:
    """As the initiator: the keys from now on. `plain` is the response as RFC 9242 §3.3.2 wants it.

    Raises `NegotiationFailedError` for a refusal, `WireError` for what cannot be read.
    """
    for notify in every(payloads, Notify):
        if notify.is_error:
            told = notify_name(notify.type)
            raise NegotiationFailedError(RefusedByPeer(state.peer.name, _EXCHANGE, told))
    ke = _key(state.secrets, payloads)
    try:
        shared = state.key.finish(ke.data)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    return _mixed(state.secrets, shared, (state.plain, plain), spis, rng, initiator=True)


def answer(
    secrets: Secrets, payloads: tuple[Payload, ...], rng: Rng
) -> tuple[tuple[Payload, ...], bytes]:
    """As the responder: what to send under the old keys, and the secret for `answered`.

    Raises `WireError`, also when no exchange is left to do.
    """
    exchange = next_exchange(secrets)
    if exchange is None:
        raise WireError(f"{_EXCHANGE} request, and no key exchange is left to do")
    ke = _key(secrets, payloads)
    try:
        public, shared = exchange.answer(ke.data, rng)
    except BadPublicValueError as error:
        raise WireError(str(error)) from error
    return (KeyExchangePayload(exchange.method, public),), shared


def answered(
    secrets: Secrets, shared: bytes, plains: tuple[bytes, bytes], spis: Spis, rng: Rng
) -> Secrets:
    """The keys from now on; `plains` are the request and the response."""
    return _mixed(secrets, shared, plains, spis, rng, initiator=False)


def _next(secrets: Secrets) -> KeyExchange:
    exchange = next_exchange(secrets)
    if exchange is None:
        raise ValueError("no key exchange is left to do")
    return exchange


def _key(secrets: Secrets, payloads: tuple[Payload, ...]) -> KeyExchangePayload:
    ke, exchange = first(payloads, KeyExchangePayload), _next(secrets)
    if ke is None or ke.method != exchange.method:
        raise WireError(f"{_EXCHANGE}: its key exchange is not {exchange.name}, which comes next")
    return ke


def _mixed(
    secrets: Secrets,
    shared: bytes,
    plains: tuple[bytes, bytes],
    spis: Spis,
    rng: Rng,
    *,
    initiator: bool,
) -> Secrets:
    suite, old, before = secrets.suite, secrets.keys, secrets.int_auth
    keys = derive_mixed_ike_keys(suite, old.d, shared, (secrets.ni, secrets.nr), spis)
    # RFC 9242 §3.3.2: under the keys that were there before this exchange.
    int_auth = IntAuth(
        before.count + 1,
        suite.prf(old.pi, before.i + plains[0]),
        suite.prf(old.pr, before.r + plains[1]),
    )
    return replace(
        secrets,
        keys=keys,
        protection=Protection(suite, keys, rng, initiator=initiator),
        int_auth=int_auth,
    )
