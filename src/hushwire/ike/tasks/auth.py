"""IKE_AUTH: who the other side is, and the first CHILD_SA (RFC 7296 §1.2, §2.15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import KeyFormatError
from hushwire.crypto.sign import PublicKey
from hushwire.explain.outcome import (
    Failure,
    PeerMisbehaved,
    PeerNotAuthenticated,
    RefusedByPeer,
    RefusedUs,
    UnknownPeer,
    WrongIdentity,
)
from hushwire.ike import proofs
from hushwire.ike.failure import NegotiationFailedError, notify_name
from hushwire.ike.inputs import Peer, RawKeys
from hushwire.ike.proofs import ProofError, VerifiedPeer
from hushwire.ike.states import Role, Secrets
from hushwire.ike.tasks import child
from hushwire.sa.association import ChildSa, Path
from hushwire.sa.identity import Identity
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.identification import (
    Identification,
    IdInitiator,
    IdResponder,
)
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal
from hushwire.wire.registry import CertEncoding, IdType, NotifyType, ProtocolId

_AUTH = "IKE_AUTH"
# Child errors leave the IKE SA standing (§1.2): the initiator then closes it.
_CHILD_ERRORS = frozenset({NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.TS_UNACCEPTABLE})


# The initiator.


def build_request(
    peer: Peer, secrets: Secrets, inbound_spi: int, path: Path, *, initial_contact: bool
) -> tuple[Payload, ...]:
    """IDi, [CERT], [CERTREQ], [IDr], AUTH, SAi2, TSi, TSr. Raises `NegotiationFailedError`."""
    own_id = peer.own_id(path)
    own = IdInitiator(own_id.type, own_id.data)
    expected = (IdResponder(peer.remote_id.type, peer.remote_id.data),) if peer.remote_id else ()
    wanted = (
        (CertificateRequest(CertEncoding.RAW_PUBLIC_KEY, b""),)
        if isinstance(peer.credential, RawKeys)
        else ()
    )
    contact = (Notify(NotifyType.INITIAL_CONTACT),) if initial_contact else ()
    return (
        own,
        *_own_certificate(peer),
        *wanted,
        *expected,
        _own_proof(peer, secrets, Role.INITIATOR, own),
        *contact,
        *child.request(peer, inbound_spi, child.without_exchange(peer)),
    )


def process_response(
    peer: Peer, secrets: Secrets, payloads: tuple[Payload, ...], inbound_spi: int, path: Path
) -> tuple[VerifiedPeer, ChildSa | NegotiationFailedError]:
    """Verify the responder, then take its CHILD_SA.

    Raises `NegotiationFailedError` when it does not prove itself. A CHILD_SA that failed is
    returned: by then the IKE SA stands and has to be closed in order.
    """
    errors = [notify for notify in every(payloads, Notify) if notify.is_error]
    identification = first(payloads, IdResponder)
    auth = first(payloads, Authentication)
    if identification is None or auth is None:
        if not errors:
            raise WireError("IKE_AUTH response without IDr and AUTH")
        raise NegotiationFailedError(refusal(peer, errors[0], path))
    identity = _identity(identification)
    if peer.remote_id is not None and identity != peer.remote_id:
        raise NegotiationFailedError(
            WrongIdentity(peer.name, peer.remote_id.text, identity.text),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        )
    verified = _verify(peer, secrets, Role.INITIATOR, identification, auth)
    for notify in errors:
        if notify.type not in _CHILD_ERRORS:
            outcome = RefusedByPeer(peer.name, _AUTH, notify_name(notify.type))
            return verified, NegotiationFailedError(outcome)
    try:
        return verified, child.accept(child.Between(peer, secrets, path), payloads, inbound_spi)
    except NegotiationFailedError as failed:
        return verified, failed


def refusal(peer: Peer, error: Notify, path: Path) -> Failure:
    """What an error notification of the peer says about our part of IKE_AUTH."""
    if error.type == NotifyType.AUTHENTICATION_FAILED:
        return RefusedUs(peer.name, peer.own_id(path).text, proofs.method_name(peer.credential))
    return RefusedByPeer(peer.name, _AUTH, notify_name(error.type))


# The responder.


@dataclass(frozen=True, slots=True)
class Accepted:
    """A verified initiator, what to answer, and the CHILD_SA unless that failed."""

    verified: VerifiedPeer
    response: tuple[Payload, ...]
    child: ChildSa | NegotiationFailedError | None
    initial_contact: bool


def answer(
    peers: Sequence[Peer],
    secrets: Secrets,
    payloads: tuple[Payload, ...],
    inbound_spi: int,
    path: Path,
) -> Accepted:
    """IDr, [CERT], AUTH, SAr2, TSi, TSr. Raises `NegotiationFailedError` to refuse."""
    identification = first(payloads, IdInitiator)
    auth = first(payloads, Authentication)
    if identification is None or auth is None:
        raise WireError("IKE_AUTH request without IDi and AUTH")
    peer = find(peers, secrets, payloads, path)
    verified = _verify(peer, secrets, Role.RESPONDER, identification, auth)

    own_id = peer.own_id(path)
    own = IdResponder(own_id.type, own_id.data)
    response: tuple[Payload, ...] = (
        own,
        *_own_certificate(peer),
        _own_proof(peer, secrets, Role.RESPONDER, own),
    )
    contact = any(n.type == NotifyType.INITIAL_CONTACT for n in every(payloads, Notify))
    if not child.asked_for(payloads):
        return Accepted(verified, response, None, contact)
    try:
        more, made = child.answer(child.Between(peer, secrets, path), payloads, inbound_spi)
    except NegotiationFailedError as failed:
        return Accepted(verified, (*response, *failed.told), failed, contact)
    return Accepted(verified, (*response, *more), made, contact)


def find(
    peers: Sequence[Peer], secrets: Secrets, payloads: tuple[Payload, ...], path: Path
) -> Peer:
    """The configured peer that the initiator's identity, and the suite agreed on, belong to.

    It is not proved yet. Raises `NegotiationFailedError` for nobody of ours.
    """
    identification = first(payloads, IdInitiator)
    if identification is None:
        raise WireError("IKE_AUTH request without IDi")
    identity = _identity(identification)
    named = [p for p in peers if p.remote_id == identity]
    anonymous = [p for p in peers if p.remote_id is None]
    candidates = [p for p in (*named, *anonymous) if _allows_suite(p, secrets)]
    if not candidates:
        raise NegotiationFailedError(
            UnknownPeer("", identity.text, str(path.remote.ip), _shown_key(payloads)),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        )
    asked = first(payloads, IdResponder)
    if asked is not None:
        # Several identities on one host: the one that the initiator asks for (§3.5).
        for candidate in candidates:
            if candidate.own_id(path) == _identity(asked):
                return candidate
    return candidates[0]


def _allows_suite(peer: Peer, secrets: Secrets) -> bool:
    # IKE_SA_INIT was answered before the peer was known, with what any peer may use.
    agreed = Proposal(1, ProtocolId.IKE, b"", secrets.suite.transforms)
    return choose((agreed,), list(peer.ike_proposals), ProtocolId.IKE) is not None


def _shown_key(payloads: tuple[Payload, ...]) -> str:
    for certificate in every(payloads, Certificate):
        if certificate.encoding == CertEncoding.RAW_PUBLIC_KEY:
            try:
                return PublicKey.from_spki(certificate.data).to_text()
            except KeyFormatError:
                return ""
    return ""


# Both.


def _own_certificate(peer: Peer) -> tuple[Certificate, ...]:
    if not isinstance(peer.credential, RawKeys):
        return ()
    return (Certificate(CertEncoding.RAW_PUBLIC_KEY, peer.credential.own.public.spki),)


def _own_proof(peer: Peer, secrets: Secrets, role: Role, own: Identification) -> Authentication:
    prf = secrets.suite.prf
    octets = (
        proofs.signed_octets(prf, secrets.keys.pi, secrets.init_request, secrets.nr, own.build())
        if role is Role.INITIATOR
        else proofs.signed_octets(
            prf, secrets.keys.pr, secrets.init_response, secrets.ni, own.build()
        )
    )
    try:
        octets += secrets.int_auth.octets
        return proofs.make(peer.credential, prf, octets, secrets.peer_hashes)
    except ProofError as error:
        raise NegotiationFailedError(
            PeerMisbehaved(peer.name, _AUTH, str(error)), Notify(NotifyType.AUTHENTICATION_FAILED)
        ) from error


def _verify(
    peer: Peer, secrets: Secrets, role: Role, theirs: Identification, auth: Authentication
) -> VerifiedPeer:
    prf = secrets.suite.prf
    octets = (
        proofs.signed_octets(
            prf, secrets.keys.pr, secrets.init_response, secrets.ni, theirs.build()
        )
        if role is Role.INITIATOR
        else proofs.signed_octets(
            prf, secrets.keys.pi, secrets.init_request, secrets.nr, theirs.build()
        )
    )
    identity = _identity(theirs)
    try:
        octets += secrets.int_auth.octets
        return proofs.verify(peer, identity, auth, prf, octets)
    except ProofError as error:
        method = proofs.method_name(peer.credential)
        raise NegotiationFailedError(
            PeerNotAuthenticated(peer.name, identity.text, method, str(error)),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        ) from error


def _identity(identification: Identification) -> Identity:
    try:
        return Identity(IdType(identification.id_type), identification.data)
    except ValueError as error:
        raise WireError(f"identity of the unknown type {identification.id_type}") from error
