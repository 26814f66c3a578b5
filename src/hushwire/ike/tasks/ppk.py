"""Post-quantum preshared keys in IKE_AUTH (RFC 8784).

    initiator: N(PPK_IDENTITY), [N(NO_PPK_AUTH)]  -->  <--  responder: N(PPK_IDENTITY)

Around `auth`, which knows nothing of it: it is given other keys, or another AUTH.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hushwire.explain.outcome import Failure, PeerNotAuthenticated, RefusedUs
from hushwire.explain.ppk import PpkDiffers, PpkNotUsed, PpkUnknown
from hushwire.ike.failure import NegotiationFailedError
from hushwire.ike.inputs import Peer
from hushwire.ike.keys import mix_ppk
from hushwire.ike.states import Secrets
from hushwire.sa.ppk import Ppk
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType

_FIXED = b"\x02"  # PPK_ID_FIXED (§5.1.1)

Payloads = tuple[Payload, ...]


# The initiator.


def request(peer: Peer, secrets: Secrets, build: Callable[[Secrets], Payloads]) -> Payloads:
    """The payloads of IKE_AUTH, which `build` makes from keys. Raises as `build` does."""
    ppk = peer.ppk
    if ppk is None or not secrets.ppk:
        return build(secrets)
    payloads = (*build(_mixed(secrets, ppk)), _identity(ppk))
    if ppk.required:
        return payloads
    plain = first(build(secrets), Authentication)
    return (*payloads, *((Notify(NotifyType.NO_PPK_AUTH, plain.data),) if plain else ()))


def accepted(peer: Peer, secrets: Secrets, payloads: Payloads) -> Secrets:
    """The keys by which the response is judged. Raises `NegotiationFailedError`."""
    ppk = peer.ppk
    if ppk is None or not secrets.ppk:
        return secrets
    if _notify(payloads, NotifyType.PPK_IDENTITY) is not None:
        return _mixed(secrets, ppk)
    refused = any(notify.is_error for notify in every(payloads, Notify))
    if ppk.required and not (refused and first(payloads, Authentication) is None):
        raise _not_used(peer, ppk)
    return secrets


# The responder.


def judge(peer: Peer, secrets: Secrets, payloads: Payloads) -> tuple[Secrets, Payloads, Payloads]:
    """The keys for IKE_AUTH, its request as `auth` is to read it, and what is added to the answer.

    As in table 1 of §3. Raises `NegotiationFailedError`.
    """
    ppk = peer.ppk
    if not secrets.ppk:
        if ppk is not None and ppk.required:
            raise _not_used(peer, ppk)
        return secrets, payloads, ()
    named, plain = (
        _notify(payloads, kind) for kind in (NotifyType.PPK_IDENTITY, NotifyType.NO_PPK_AUTH)
    )
    if named is not None and ppk is not None and named.data == _identity(ppk).data:
        return _mixed(secrets, ppk), payloads, (Notify(NotifyType.PPK_IDENTITY),)
    if named is None or plain is None or (ppk is not None and ppk.required):
        theirs = named.data[1:].decode("utf-8", "replace") if named else ""
        raise NegotiationFailedError(
            PpkUnknown(peer.name, theirs, ppk.id if ppk else ""),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        )
    without = tuple(
        replace(payload, data=plain.data) if isinstance(payload, Authentication) else payload
        for payload in payloads
    )
    return secrets, without, ()


# Both.


def explained(peer: Peer, secrets: Secrets, outcome: Failure | None) -> Failure | None:
    """What failed, when a PPK may be the reason."""
    if peer.ppk is None or not secrets.ppk:
        return outcome
    if isinstance(outcome, PeerNotAuthenticated):
        return PpkDiffers(peer.name, peer.ppk.id, outcome.detail, refused_by_us=True)
    if isinstance(outcome, RefusedUs):
        detail = f"AUTHENTICATION_FAILED, for {outcome.our_identity}"
        return PpkDiffers(peer.name, peer.ppk.id, detail, refused_by_us=False)
    return outcome


def _mixed(secrets: Secrets, ppk: Ppk) -> Secrets:
    return replace(secrets, keys=mix_ppk(secrets.suite.prf, secrets.keys, ppk.secret))


def _identity(ppk: Ppk) -> Notify:
    return Notify(NotifyType.PPK_IDENTITY, _FIXED + ppk.id.encode())


def _notify(payloads: Payloads, kind: NotifyType) -> Notify | None:
    return next((notify for notify in every(payloads, Notify) if notify.type == kind), None)


def _not_used(peer: Peer, ppk: Ppk) -> NegotiationFailedError:
    notify = Notify(NotifyType.AUTHENTICATION_FAILED)
    return NegotiationFailedError(PpkNotUsed(peer.name, ppk.id), notify)
