"""IKE_AUTH: who the other side is, and the first CHILD_SA (RFC 7296 §1.2, §2.15)."""

from __future__ import annotations

from collections.abc import Sequence

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import KeyFormatError
from hushwire.crypto.flaws import UntrustedError
from hushwire.crypto.sign import PublicKey
from hushwire.explain.certificates import CertificateFacts, CertificateRefused, day
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
from hushwire.ike.credentials import Claim, ProofError
from hushwire.ike.failure import NegotiationFailedError, notify_name
from hushwire.ike.inputs import Clock, Peer
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.states import Role, Secrets
from hushwire.ike.tasks import child
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa, Path
from hushwire.sa.identity import Identity
from hushwire.wire.errors import WireError
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate
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
    contact = (Notify(NotifyType.INITIAL_CONTACT),) if initial_contact else ()
    return (
        own,
        *peer.credential.shown(),
        *peer.credential.wanted(),
        *expected,
        _own_proof(peer, secrets, _octets(secrets, Role.INITIATOR, own)),
        *contact,
        *child.request(peer, inbound_spi, child.without_exchange(peer)),
    )


def process_response(
    peer: Peer,
    secrets: Secrets,
    payloads: tuple[Payload, ...],
    inbound_spi: int,
    path: Path,
    *,
    wall: Clock,
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
    if peer.remote_id is not None and not identity.is_same_as(peer.remote_id):
        raise NegotiationFailedError(
            WrongIdentity(peer.name, peer.remote_id.text, identity.text),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        )
    claim = _claim(payloads, identification, auth)
    verified = _verify(peer, secrets, claim, _octets(secrets, Role.RESPONDER, identification), wall)
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
        return RefusedUs(peer.name, peer.own_id(path).text, peer.credential.name)
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
    peer: Peer,
    secrets: Secrets,
    payloads: tuple[Payload, ...],
    inbound_spi: int,
    path: Path,
    *,
    wall: Clock,
) -> Accepted:
    """IDr, [CERT], AUTH, SAr2, TSi, TSr, to whom `find` has found.

    Raises `NegotiationFailedError` to refuse.
    """
    identification = first(payloads, IdInitiator)
    auth = first(payloads, Authentication)
    if identification is None or auth is None:
        raise WireError("IKE_AUTH request without IDi and AUTH")
    claim = _claim(payloads, identification, auth)
    verified = _verify(peer, secrets, claim, _octets(secrets, Role.INITIATOR, identification), wall)

    own_id = peer.own_id(path)
    own = IdResponder(own_id.type, own_id.data)
    response: tuple[Payload, ...] = (
        own,
        *peer.credential.shown(),
        _own_proof(peer, secrets, _octets(secrets, Role.RESPONDER, own)),
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
    named = [p for p in peers if p.remote_id is not None and p.remote_id.is_same_as(identity)]
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
            if candidate.own_id(path).is_same_as(_identity(asked)):
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


def _octets(secrets: Secrets, by: Role, identification: Identification) -> bytes:
    """What one of the two signs (§2.15, RFC 9242 §3.3.2)."""
    prf, keys, said = secrets.suite.prf, secrets.keys, identification.build()
    octets = (
        proofs.signed_octets(prf, keys.pi, secrets.init_request, secrets.nr, said)
        if by is Role.INITIATOR
        else proofs.signed_octets(prf, keys.pr, secrets.init_response, secrets.ni, said)
    )
    return octets + secrets.int_auth.octets


def _own_proof(peer: Peer, secrets: Secrets, octets: bytes) -> Authentication:
    try:
        return proofs.make(peer.credential, secrets.suite.prf, octets, secrets.peer_hashes)
    except ProofError as error:
        raise NegotiationFailedError(
            PeerMisbehaved(peer.name, _AUTH, str(error)), Notify(NotifyType.AUTHENTICATION_FAILED)
        ) from error


def _claim(
    payloads: tuple[Payload, ...], identification: Identification, auth: Authentication
) -> Claim:
    return Claim(_identity(identification), auth, tuple(every(payloads, Certificate)))


def _verify(peer: Peer, secrets: Secrets, claim: Claim, octets: bytes, wall: Clock) -> VerifiedPeer:
    now = wall()
    try:
        return proofs.verify(peer, claim, secrets.suite.prf, octets, now)
    except (ProofError, UntrustedError) as error:
        raise NegotiationFailedError(
            _not_authenticated(peer, claim.identity, error, now),
            Notify(NotifyType.AUTHENTICATION_FAILED),
        ) from error


def _not_authenticated(
    peer: Peer, identity: Identity, error: ProofError | UntrustedError, wall: float
) -> Failure:
    if isinstance(error, ProofError):
        return PeerNotAuthenticated(peer.name, identity.text, peer.credential.name, str(error))
    failed = error.certificate
    return CertificateRefused(
        peer.name,
        identity.text,
        error.flaw,
        error.detail,
        None if failed is None else CertificateFacts.of(failed),
        day(wall),
    )


def _identity(identification: Identification) -> Identity:
    try:
        return Identity(IdType(identification.id_type), identification.data)
    except ValueError as error:
        raise WireError(f"identity of the unknown type {identification.id_type}") from error
