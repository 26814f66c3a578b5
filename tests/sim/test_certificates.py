"""X.509 between two hosts: what is believed, what each refusal says, and who is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hushwire.crypto.chain import Trust
from hushwire.crypto.crl import Crls, Revocation
from hushwire.crypto.flaws import Flaw
from hushwire.explain.certificates import CertificateRefused
from hushwire.explain.outcome import (
    Authenticated,
    Cause,
    PeerNotAuthenticated,
    RefusedUs,
    TunnelUp,
    UnknownPeer,
    WrongIdentity,
)
from hushwire.explain.sentences import tell
from hushwire.ike.credentials import Certificates, Psk
from hushwire.ike.tasks import init
from hushwire.sa.identity import Identity
from hushwire.wire.ike.message import Message, first
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.registry import CertEncoding
from tests.crypto.pki import DAY, KINDS, Entity, authority, crl, issue
from tests.sim.network import SECRET, Host, Network, assert_one_tunnel, certified, peer

CA = authority()


def meet(for_alice: dict[str, object], for_bob: dict[str, object]) -> tuple[Network, Host, Host]:
    network = Network()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host("bob", peer("bob", "alice", **for_bob))
    network.connect(alice, "bob")
    network.run(1)
    return network, alice, bob


def has(settings: dict[str, object], **changes: object) -> dict[str, object]:
    """With something of the credential replaced."""
    credential = settings["credential"]
    assert isinstance(credential, Certificates)
    return settings | {"credential": replace(credential, **changes)}  # type: ignore[arg-type]


def shows(settings: dict[str, object], own: Entity, *others: Entity) -> dict[str, object]:
    chain = tuple(entity.certificate for entity in (own, *others))
    return has(settings, own=own.private_key, chain=chain)


def trusts(settings: dict[str, object], *anchors: Entity, **more: object) -> dict[str, object]:
    return has(settings, trust=Trust(tuple(a.certificate for a in anchors), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_two_certificates_make_a_tunnel(kind: str) -> None:
    _, alice, bob = meet(*certified(kind))
    assert_one_tunnel(alice, bob)
    assert alice.saw(Authenticated) == [Authenticated("bob", "bob.example", "certificate")]
    assert bob.saw(Authenticated) == [Authenticated("alice", "alice.example", "certificate")]


def test_each_side_may_have_an_authority_of_its_own_and_others_between() -> None:
    for_alice, for_bob = certified()
    root, other = authority("CN=Root"), authority("CN=Other")
    one = authority("CN=One", by=root)
    two = authority("CN=Two", by=one)
    alice_has = issue("CN=alice", by=two, kind="ed25519", names=["alice.example"])
    bob_has = issue("CN=bob", by=other, kind="ecdsa-p384", names=["bob.example"])
    _, alice, bob = meet(
        trusts(shows(for_alice, alice_has, one, two), other),
        trusts(shows(for_bob, bob_has), root),
    )
    assert_one_tunnel(alice, bob)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("bob.example", "BOB.example"),
        ("bob@example.org", "Bob@Example.org"),
        ("192.0.2.2", "192.0.2.2"),
        ("2001:db8::2", "2001:db8::2"),
        ("unused.example", "O=Example, CN=bob"),
    ],
)
def test_every_kind_of_name_can_be_the_peers(name: str, identity: str) -> None:
    for_alice, for_bob = certified(bob={"names": [name]})
    who = Identity.parse(identity)
    _, alice, bob = meet(for_alice | {"remote_id": who}, for_bob | {"local_id": who})
    assert_one_tunnel(alice, bob)


def test_a_peer_older_than_rfc_7427_is_met_with_the_old_ecdsa_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(init, "_peer_hashes", lambda _payloads: frozenset())
    for kind in ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521"):
        _, alice, bob = meet(*certified(kind))
        assert_one_tunnel(alice, bob)
    _, alice, bob = meet(*certified("rsa"))
    assert not alice.saw(TunnelUp)
    assert "SHA-1, which RFC 8247 forbids" in tell(alice.failures[0])


# Every way to be refused: what alice says about bob, the responder; and bob about alice.


def bad(**settings: object) -> Entity:
    return issue("O=Example, CN=bob", names=["bob.example"], **({"by": CA} | settings))  # type: ignore[arg-type]


MALLORY = issue("CN=mallory", by=CA)
REFUSED: dict[str, tuple[Sequence[Entity], dict[str, Any], Flaw]] = {
    "another authority": ([bad(by=authority("CN=Else"))], {}, Flaw.UNKNOWN_ISSUER),
    "a forged one": ([bad(by=authority())], {}, Flaw.BAD_SIGNATURE),
    "expired": ([bad(until=-DAY / 2)], {}, Flaw.EXPIRED),
    "not yet valid": ([bad(since=DAY)], {}, Flaw.NOT_YET_VALID),
    "another name": ([MALLORY], {}, Flaw.WRONG_NAME),
    "a name in the subject only": (
        [issue("CN=bob.example", by=CA, names=["x.example"])],
        {},
        Flaw.WRONG_NAME,
    ),
    "a wildcard": ([issue("CN=bob", by=CA, names=["*.example"])], {}, Flaw.WRONG_NAME),
    "issued by no authority": ([bad(by=MALLORY), MALLORY], {}, Flaw.NOT_AN_AUTHORITY),
    "for encryption": ([bad(usage=("key_agreement",))], {}, Flaw.KEY_USAGE),
    "for the web": ([bad(purposes=("1.3.6.1.5.5.7.3.1",))], {}, Flaw.PURPOSE),
    "no list": ([bad()], {"revocation": Revocation.REQUIRE}, Flaw.NO_CRL),
    "revoked": ([bad(serial=77)], {"crls": Crls(crl(CA, 77))}, Flaw.REVOKED),
    "none": ([], {}, Flaw.MISSING),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_certificate_is_refused_for(why: str) -> None:
    entities, more, flaw = REFUSED[why]
    for_alice, for_bob = certified()
    for_alice = trusts(for_alice, CA, **more)
    for_bob = shows(for_bob, *entities) if entities else has(for_bob, chain=())
    network, alice, bob = meet(for_alice, for_bob)
    assert_refused(alice, flaw, "bob", "bob.example")
    # bob had believed that all was well, until alice told him.
    assert bob.failures == [RefusedUs("alice", "bob.example", "certificate")]
    network.run(60)
    assert not alice.sas
    assert not bob.sas

    network = Network()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host("bob", peer("bob", "alice", **for_bob))
    network.connect(bob, "alice")
    network.run(1)
    assert_refused(alice, flaw, "bob", "bob.example")
    assert not bob.saw(TunnelUp)
    assert bob.failures == [RefusedUs("alice", "bob.example", "certificate")]


def assert_refused(host: Host, flaw: Flaw, name: str, identity: str) -> CertificateRefused:
    (refused,) = host.failures
    assert isinstance(refused, CertificateRefused)
    assert refused.cause is Cause.NOT_AUTHENTICATED
    assert (refused.flaw, refused.peer, refused.identity) == (flaw, name, identity), refused
    assert not host.saw(Authenticated)
    said = tell(refused)
    assert identity in said
    assert (refused.certificate is None) == (flaw is Flaw.MISSING)
    if refused.certificate is not None:
        assert f"serial {refused.certificate.serial}" in said
        assert refused.certificate.not_after in said
        assert ("certifies" in said) == (flaw is Flaw.WRONG_NAME)
    return refused


def test_who_has_the_certificate_but_not_its_key_is_refused() -> None:
    for_alice, for_bob = certified()
    for_bob = has(for_bob, own=issue().private_key)
    _, alice, _ = meet(for_alice, for_bob)
    refused = assert_refused(alice, Flaw.BAD_PROOF, "bob", "bob.example")
    assert "the certificate, which is public" in tell(refused)


def test_the_configuration_decides_the_method_not_the_peer() -> None:
    for_alice, for_bob = certified()
    credential = for_bob["credential"]
    assert isinstance(credential, Certificates)

    class Both(Psk):
        def shown(self) -> tuple[Certificate, ...]:
            assert isinstance(credential, Certificates)
            return credential.shown()

    for other in (Psk(SECRET), Both(SECRET)):
        network = Network()
        alice = network.host("alice", peer("alice", "bob", **for_alice))
        bob = network.host("bob", peer("bob", "alice", **(for_bob | {"credential": other})))
        network.connect(bob, "alice")
        network.run(1)
        (refused,) = alice.failures
        assert isinstance(refused, CertificateRefused)
        assert (refused.flaw, refused.detail) == (Flaw.WRONG_METHOD, "a shared secret")
        assert not bob.saw(TunnelUp)


def test_a_certificate_expires_while_nobody_looks() -> None:
    network = Network()
    for_alice, for_bob = certified()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host("bob", peer("bob", "alice", **for_bob))
    network.date += 31 * DAY.total_seconds()
    network.connect(alice, "bob")
    network.run(1)
    assert_refused(bob, Flaw.EXPIRED, "alice", "alice.example")
    assert not alice.saw(TunnelUp)


def test_without_a_clock_no_certificate_is_believed() -> None:
    network = Network()
    network.date = 0.0
    for_alice, for_bob = certified()
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    network.host("bob", peer("bob", "alice", **for_bob))
    network.connect(alice, "bob")
    network.run(1)
    assert not alice.saw(TunnelUp)


# Who is meant.


def test_a_responder_of_another_name_is_refused_before_its_certificate_is_looked_at() -> None:
    for_alice, for_bob = certified(bob={"names": ["bob.example", "mallory.example"]})
    _, alice, _ = meet(for_alice, for_bob | {"local_id": Identity.parse("mallory.example")})
    assert alice.failures == [WrongIdentity("bob", "bob.example", "mallory.example")]


def test_somebody_with_a_good_certificate_of_the_authority_is_not_everybody() -> None:
    """alice's authority has certified eve too; bob knows no eve."""
    for_alice, for_bob = certified(alice={"names": ["eve.example"]})
    _, alice, bob = meet(for_alice | {"local_id": Identity.parse("eve.example")}, for_bob)
    assert bob.failures == [UnknownPeer("", "eve.example", "192.0.2.1", "")]
    assert not alice.saw(TunnelUp)


@pytest.mark.parametrize("asked", ["one.example", "two.example"])
def test_one_responder_has_several_identities_with_a_credential_each(asked: str) -> None:
    """Chosen by the IDr that the initiator asks for (RFC 7296 §3.5)."""
    for_alice, for_bob = certified()
    other = authority("CN=Other")
    ids = {name: Identity.parse(name) for name in ("one.example", "two.example")}
    one = shows(for_bob, issue("CN=1", by=CA, names=["one.example"])) | {"name": "by one"}
    two = shows(for_bob, issue("CN=2", by=other, names=["two.example"])) | {"name": "by two"}
    network = Network()
    trusted = {"one.example": CA, "two.example": other}[asked]
    for_alice = trusts(for_alice, trusted) | {"remote_id": ids[asked]}
    alice = network.host("alice", peer("alice", "bob", **for_alice))
    bob = network.host(
        "bob",
        peer("bob", "alice", **(one | {"local_id": ids["one.example"]})),
        peer("bob", "alice", **(two | {"local_id": ids["two.example"]})),
    )
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    (up,) = bob.saw(Authenticated)
    assert up.peer == {"one.example": "by one", "two.example": "by two"}[asked]


def test_several_peers_at_any_address_are_told_apart_by_their_identity() -> None:
    """One by certificate, one by secret; each only as itself."""
    for_alice, for_bob = certified()
    anywhere = {"address": None}
    eve = {
        "name": "eve",
        "credential": Psk(b"eve's own"),
        "local_id": None,
        "remote_id": Identity.parse("eve.example"),
    }
    as_eve = {"credential": Psk(b"eve's own"), "local_id": Identity.parse("eve.example")}
    for host, expected in (
        (for_alice, ["alice"]),
        (as_eve | {"remote_id": None}, ["eve"]),
        (as_eve | {"local_id": for_alice["local_id"], "remote_id": None}, []),
        (for_alice | {"local_id": Identity.parse("eve.example"), "remote_id": None}, []),
    ):
        network = Network()
        bob = network.host(
            "bob",
            peer("bob", "alice", **(for_bob | anywhere)),
            peer("bob", "alice", **(eve | anywhere)),
        )
        network.connect(network.host("alice", peer("alice", "bob", **host)), "bob")
        network.run(1)
        assert [event.peer for event in bob.saw(Authenticated)] == expected
        assert len(bob.failures) == (not expected)


# Certificate Requests.


def request_in(message: bytes) -> CertificateRequest | None:
    return first(Message.parse(message).payloads, CertificateRequest)


def test_a_responder_asks_for_certificates_by_the_authorities_it_trusts() -> None:
    for_alice, for_bob = certified()
    many = ("aes256gcm16-prfsha384-x25519", "aes128gcm16-prfsha256-x25519")
    from tests.sim.network import ike

    network, _, _ = meet(for_alice | {"ike_proposals": ike(*many)}, for_bob)
    (_, request, _), (_, response, _) = network.sent[:2]
    asked = request_in(response)
    credential = for_bob["credential"]
    assert isinstance(credential, Certificates)
    assert asked == CertificateRequest(
        CertEncoding.X509_SIGNATURE, credential.trust.anchors[0].authority_hash
    )
    assert len(response) <= len(request)


def test_a_request_that_would_make_the_response_larger_is_left_out() -> None:
    network, alice, bob = meet(*certified())
    (_, request, _), (_, response, _) = network.sent[:2]
    assert request_in(response) is None
    assert len(response) <= len(request)
    assert_one_tunnel(alice, bob)


def test_certificates_of_other_kinds_and_unreadable_ones_are_passed_over() -> None:
    for_alice, for_bob = certified()
    credential = for_bob["credential"]
    assert isinstance(credential, Certificates)

    class More(Certificates):
        def shown(self) -> tuple[Certificate, ...]:
            own = super().shown()
            odd = Certificate(7, b"a CRL"), Certificate(CertEncoding.X509_SIGNATURE, b"broken")
            return (odd[0], *own, odd[1])

    more = More(credential.own, credential.chain, credential.trust)
    _, alice, bob = meet(for_alice, for_bob | {"credential": more})
    assert_one_tunnel(alice, bob)


def test_the_secret_outcomes_of_other_methods_are_as_before() -> None:
    _, _, bob = meet({}, {"credential": Psk(b"another")})
    assert isinstance(bob.failures[0], PeerNotAuthenticated)
