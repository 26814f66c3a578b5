"""Every check of a chain of certificates fails for its own reason, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hushwire.crypto.chain import MOST_CERTIFICATES, Trust, verify
from hushwire.crypto.crl import Crl, Crls, Revocation
from hushwire.crypto.flaws import Flaw, UntrustedError
from hushwire.crypto.x509 import Certificate
from tests.crypto.pki import (
    DAY,
    KINDS,
    NOW,
    Digest,
    Entity,
    authority,
    crl,
    issue,
    new_key,
    rsa_key,
)

IPSEC_IKE = "1.3.6.1.5.5.7.3.17"
SERVER = "1.3.6.1.5.5.7.3.1"
ANY = "2.5.29.37.0"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CA = authority()


def chain(
    own: Entity,
    *others: Entity,
    trust: Sequence[Entity] = (CA,),
    at: datetime = NOW,
    crls: Sequence[Crl] = (),
    **more: object,
) -> tuple[Certificate, ...]:
    anchors = tuple(entity.certificate for entity in trust)
    believed = Trust(anchors, Crls(*crls), **more)  # type: ignore[arg-type]
    shown = [entity.certificate for entity in others]
    return verify(own.certificate, shown, believed, at.timestamp())


def flaw(own: Entity, *others: Entity, **more: object) -> UntrustedError:
    with pytest.raises(UntrustedError) as caught:
        chain(own, *others, **more)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", KINDS)
def test_a_certificate_leads_to_its_authority(kind: str, by: str) -> None:
    ca = authority(kind=by)
    bob = issue(by=ca, kind=kind)
    assert chain(bob, trust=[CA, ca]) == (bob.certificate, ca.certificate)


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_rsa_signatures_of_both_kinds_are_believed(digest: Digest) -> None:
    ca = authority(kind="rsa")
    for pss in (False, True):
        assert chain(issue(by=ca, digest=digest, pss=pss), trust=[ca])


def test_authorities_between_may_come_in_any_order_and_twice() -> None:
    one = authority("CN=One", by=CA)
    two = authority("CN=Two", by=one)
    bob = issue(by=two)
    stranger = issue("CN=Stranger")
    expected = tuple(entity.certificate for entity in (bob, two, one, CA))
    for others in ([two, one], [one, two], [stranger, one, one, two, bob, two], [CA, two, one]):
        assert chain(bob, *others) == expected


def test_an_authority_in_the_middle_may_be_the_trusted_one() -> None:
    one = authority("CN=One", by=CA)
    bob = issue(by=one)
    assert chain(bob, trust=[one]) == (bob.certificate, one.certificate)


def test_a_host_that_signs_itself_is_believed_when_it_is_the_trusted_authority() -> None:
    bob = issue("CN=bob", ca=True, usage=("digital_signature", "key_cert_sign"))
    assert chain(bob, trust=[bob])
    assert flaw(bob, bob).flaw is Flaw.UNKNOWN_ISSUER


def test_of_two_authorities_of_one_name_the_right_one_is_found() -> None:
    same = authority()
    bob = issue(by=same)
    assert chain(bob, trust=[CA, same])[-1] == same.certificate
    assert flaw(bob, trust=[CA]).flaw is Flaw.BAD_SIGNATURE


def test_a_dead_end_does_not_hide_another_way() -> None:
    old = authority("CN=One", by=CA, until=-DAY / 2)
    new = authority("CN=One", by=CA, key=old.key)
    assert chain(issue(by=old), old, new)


def test_key_identifiers_tell_authorities_of_one_name_apart() -> None:
    ours = authority()
    below = x509.AuthorityKeyIdentifier(b"another", None, None)
    above = authority(extensions=[(x509.SubjectKeyIdentifier(b"the one"), False)])
    bob = issue(by=ours, extensions=[(below, False)])
    assert flaw(bob, trust=[above]).flaw is Flaw.UNKNOWN_ISSUER
    assert chain(bob, trust=[ours])  # it has no identifier to compare


# Each way to fail.

BROKEN: dict[str, tuple[Callable[[], Entity], Flaw]] = {
    "nobody's": (lambda: issue(by=authority("CN=Else")), Flaw.UNKNOWN_ISSUER),
    "its own": (issue, Flaw.UNKNOWN_ISSUER),
    "another key of the same name": (lambda: issue(by=authority()), Flaw.BAD_SIGNATURE),
    "expired": (lambda: issue(by=CA, until=-DAY / 2), Flaw.EXPIRED),
    "not yet": (lambda: issue(by=CA, since=DAY), Flaw.NOT_YET_VALID),
    "RSA of 1024 bits": (lambda: issue(by=CA, key=rsa_key(1024)), Flaw.WEAK_KEY),
    "a curve not used here": (
        lambda: issue(by=CA, key=ec.generate_private_key(ec.SECP256K1())),
        Flaw.WEAK_KEY,
    ),
    "for encryption only": (lambda: issue(by=CA, usage=("key_agreement",)), Flaw.KEY_USAGE),
    "for a web server": (lambda: issue(by=CA, purposes=(SERVER,)), Flaw.PURPOSE),
    "an unknown critical extension": (
        lambda: issue(by=CA, extensions=[(UNKNOWN, True)]),
        Flaw.CRITICAL_EXTENSION,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_certificate_fails_by(what: str) -> None:
    make, expected = BROKEN[what]
    bob = make()
    error = flaw(bob)
    assert error.flaw is expected, error
    assert error.certificate == bob.certificate


@pytest.mark.parametrize(
    "settings",
    [
        {"usage": ("digital_signature",)},
        {"usage": ("content_commitment",)},
        {"usage": ("digital_signature", "key_agreement")},
        {"purposes": (IPSEC_IKE,)},
        {"purposes": (SERVER, IPSEC_IKE)},
        {"purposes": (ANY,)},
        {"extensions": [(UNKNOWN, False)]},
        {"basic": False},
    ],
)
def test_what_is_no_reason_to_refuse(settings: dict[str, object]) -> None:
    assert chain(issue(by=CA, **settings))  # type: ignore[arg-type]


def test_any_purpose_can_be_allowed() -> None:
    assert chain(issue(by=CA, purposes=(SERVER,)), any_purpose=True)


def test_the_time_is_that_of_the_argument_to_the_second() -> None:
    bob = issue(by=CA, since=-DAY, until=DAY)
    for at in (NOW - DAY, NOW, NOW + DAY):
        assert chain(bob, at=at)
    second = DAY / 86400
    late = issue(by=authority_for(NOW), until=DAY)
    assert flaw(bob, at=NOW + DAY + second).flaw is Flaw.EXPIRED
    assert flaw(late, trust=[authority_for(NOW)], at=NOW - DAY - second).flaw is Flaw.NOT_YET_VALID


def authority_for(now: datetime) -> Entity:
    return authority(since=-1000 * DAY, until=1000 * DAY, now=now, key=CA.key)


def test_an_expired_authority_is_named_itself() -> None:
    old = authority("CN=Old", until=-DAY / 2)
    between = authority("CN=Between", by=CA, until=-DAY / 2)
    for by, trust in ((old, [old]), (between, [CA])):
        error = flaw(issue(by=by), between, trust=trust)
        assert (error.flaw, error.certificate) == (Flaw.EXPIRED, by.certificate)


def test_a_weak_hash_is_refused_wherever_it_signs() -> None:
    weak = hashes.SHA224()
    between = authority("CN=Between", by=CA, digest=weak)
    assert flaw(issue(by=CA, digest=weak)).flaw is Flaw.WEAK_SIGNATURE
    error = flaw(issue(by=between), between)
    assert (error.flaw, error.certificate) == (Flaw.WEAK_SIGNATURE, between.certificate)


@pytest.mark.parametrize(
    "settings",
    [
        {"ca": False, "usage": ("key_cert_sign",)},
        {"ca": False, "basic": False},
        {"ca": True, "usage": ("digital_signature",)},
    ],
)
def test_who_is_no_authority_issues_nothing(settings: dict[str, object]) -> None:
    mallory = issue("CN=mallory", by=CA, **settings)  # type: ignore[arg-type]
    error = flaw(issue(by=mallory), mallory)
    assert (error.flaw, error.certificate) == (Flaw.NOT_AN_AUTHORITY, mallory.certificate)


def test_a_path_length_is_kept() -> None:
    root = authority("CN=Root", path_length=1)
    one = authority("CN=One", by=root)
    two = authority("CN=Two", by=one)
    assert chain(issue(by=one), one, trust=[root])
    error = flaw(issue(by=two), one, two, trust=[root])
    assert (error.flaw, error.certificate) == (Flaw.PATH_TOO_LONG, root.certificate)
    none = authority("CN=None", by=CA, path_length=0)
    below = authority("CN=Below", by=none)
    assert chain(issue(by=none), none)
    assert flaw(issue(by=below), none, below).flaw is Flaw.PATH_TOO_LONG


def test_a_certificate_of_an_authority_by_itself_does_not_count_in_the_path_length() -> None:
    root = authority("CN=Root", path_length=0)
    renewed = issue("CN=Root", by=root, ca=True, key=new_key("ecdsa-p256"))
    assert chain(issue(by=renewed), renewed, trust=[root])


def test_a_chain_has_a_longest_length() -> None:
    entities = [CA]
    for number in range(MOST_CERTIFICATES):
        entities.append(authority(f"CN={number}", by=entities[-1]))
    assert chain(issue(by=entities[MOST_CERTIFICATES - 2]), *entities)
    error = flaw(issue(by=entities[MOST_CERTIFICATES - 1]), *entities)
    assert error.flaw is Flaw.PATH_TOO_LONG


def test_who_shows_many_authorities_of_one_name_costs_a_bounded_number_of_signatures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified = 0
    genuine = Certificate.signed

    def counting(self: Certificate, other: Certificate) -> bool:
        nonlocal verified
        verified += 1
        return genuine(self, other)

    monkeypatch.setattr(Certificate, "signed", counting)
    key = new_key("ecdsa-p256")
    # Everyone of them has signed everyone else: a maze without an exit.
    maze = [authority("CN=Maze", key=key) for _ in range(20)]
    assert flaw(issue(by=maze[0]), *maze).flaw is Flaw.PATH_TOO_LONG
    assert verified <= 12


# Name constraints.

PERMITTED = x509.NameConstraints
CONSTRAINED: dict[str, tuple[list[x509.GeneralName], list[str], list[str]]] = {
    "DNS": (
        [x509.DNSName("example.org")],
        ["example.org", "bob.example.org", "a.b.EXAMPLE.org"],
        ["example.com", "badexample.org", "org"],
    ),
    "mail at a host": (
        [x509.RFC822Name("example.org")],
        ["bob@example.org"],
        ["bob@sub.example.org", "bob@example.com"],
    ),
    "mail in a domain": (
        [x509.RFC822Name(".example.org")],
        ["bob@sub.example.org"],
        ["bob@example.org"],
    ),
    "a mailbox": ([x509.RFC822Name("bob@example.org")], ["bob@example.org"], ["eve@example.org"]),
    "addresses": (
        [x509.IPAddress(ip_network("192.0.2.0/24")), x509.IPAddress(ip_network("2001:db8::/32"))],
        ["192.0.2.1", "2001:db8::1"],
        ["198.51.100.1", "2001:db9::1"],
    ),
}


@pytest.mark.parametrize("kind", CONSTRAINED)
def test_an_authority_certifies_only_the_names_it_may(kind: str) -> None:
    trees, inside, outside = CONSTRAINED[kind]
    only = authority("CN=Only", by=CA, extensions=[(PERMITTED(trees, None), True)])
    all_but = authority("CN=All but", by=CA, extensions=[(PERMITTED(None, trees), True)])
    for names, good, bad in ((inside, only, all_but), (outside, all_but, only)):
        for name in names:
            assert chain(issue(by=good, names=[name]), good)
            error = flaw(issue(by=bad, names=["192.0.2.99", name] if ":" in name else [name]), bad)
            assert error.flaw is Flaw.NAME_CONSTRAINTS, name
            assert bad.certificate.subject in error.detail


def test_constraints_of_a_subject_and_of_the_trusted_authority_hold_too() -> None:
    tree = x509.DirectoryName(x509.Name.from_rfc4514_string("O=Example"))
    root = authority("CN=Root", extensions=[(PERMITTED([tree], None), True)])
    assert chain(issue("O=Example, CN=bob", by=root), trust=[root])
    assert flaw(issue("O=Else, CN=bob", by=root), trust=[root]).flaw is Flaw.NAME_CONSTRAINTS
    below = authority("O=Else, CN=Below", by=root)
    error = flaw(issue("O=Example, CN=bob", by=below), below, trust=[root])
    assert (error.flaw, error.certificate) == (Flaw.NAME_CONSTRAINTS, below.certificate)


@pytest.mark.parametrize("mail", ["bob@example.com (Bob)", "b\u00f6b@example.com", "b\x1b[2J@"])
def test_a_subject_s_mail_address_is_constrained_even_if_it_is_none(mail: str) -> None:
    # 1.2.840.113549.1.9.1 is emailAddress.
    here = [(PERMITTED([x509.RFC822Name("example.org")], None), True)]
    only = authority("CN=Only", by=CA, extensions=here)
    error = flaw(issue(f"CN=bob, 1.2.840.113549.1.9.1={mail}", by=only), only)
    assert error.flaw is Flaw.NAME_CONSTRAINTS
    assert error.detail.isprintable()
    assert chain(issue("CN=bob, 1.2.840.113549.1.9.1=bob@example.org", by=only), only)


def test_an_empty_mail_constraint_is_every_address() -> None:
    every = x509.NameConstraints(None, [x509.RFC822Name._init_without_validation("")])
    without = authority("CN=No mail", by=CA, extensions=[(every, True)])
    assert flaw(issue(by=without, names=["bob@example.org"]), without).flaw is (
        Flaw.NAME_CONSTRAINTS
    )
    assert chain(issue(by=without, names=["bob.example.org"]), without)


def test_a_kind_of_name_whose_constraints_are_not_known_is_refused() -> None:
    uri = x509.UniformResourceIdentifier
    only = authority("CN=Only", by=CA, extensions=[(PERMITTED([uri(".example.org")], None), True)])
    bob = issue(
        by=only,
        extensions=[(x509.SubjectAlternativeName([uri("https://bob.example.org/")]), False)],
    )
    assert flaw(bob, only).flaw is Flaw.NAME_CONSTRAINTS
    assert chain(issue(by=only, names=["bob.example.org"]), only)


# Revocation.


def test_a_revoked_certificate_is_refused_also_by_a_list_of_another_time() -> None:
    bob, other = issue(by=CA), issue(by=CA)
    serial = bob.certificate.serial
    for since, until in ((-DAY, DAY), (-9 * DAY, -2 * DAY), (DAY, 2 * DAY)):
        lists = (crl(CA, serial, 77, since=since, until=until),)
        assert flaw(bob, crls=lists).flaw is Flaw.REVOKED
        assert chain(other, crls=lists)


def test_of_two_lists_the_worse_counts() -> None:
    bob = issue(by=CA)
    lists = (crl(CA), crl(CA, bob.certificate.serial), crl(CA))
    assert flaw(bob, crls=lists).flaw is Flaw.REVOKED


def test_a_revoked_authority_takes_all_below_with_it() -> None:
    between = authority("CN=Between", by=CA)
    bob = issue(by=between)
    error = flaw(bob, between, crls=(crl(CA, between.certificate.serial),))
    assert (error.flaw, error.certificate) == (Flaw.REVOKED, between.certificate)


def test_a_list_can_be_required_of_every_authority() -> None:
    between = authority("CN=Between", by=CA)
    bob = issue(by=between)
    need: dict[str, Any] = {"revocation": Revocation.REQUIRE}
    for lists in ((), (crl(CA),), (crl(between),), (crl(CA), crl(between, until=-DAY / 2))):
        assert flaw(bob, between, crls=lists, **need).flaw is Flaw.NO_CRL
        assert chain(bob, between, crls=lists)
    assert chain(bob, between, crls=(crl(CA), crl(between)), **need)
    assert flaw(bob, between, crls=(crl(CA), crl(between)), at=NOW + 8 * DAY, **need).flaw is (
        Flaw.NO_CRL
    )


def test_a_list_that_somebody_else_made_says_nothing() -> None:
    bob = issue(by=CA)
    serial = bob.certificate.serial
    namesake = authority()
    mute = authority("CN=Mute", usage=("key_cert_sign",))
    for forged in (
        crl(namesake, serial),
        crl(CA, serial, key=new_key("ed25519")),
        crl(authority("CN=Else"), serial),
    ):
        assert chain(bob, crls=(forged,))
        assert flaw(bob, crls=(forged,), revocation=Revocation.REQUIRE).flaw is Flaw.NO_CRL
    below = issue(by=mute)
    assert chain(below, trust=[mute], crls=(crl(mute, below.certificate.serial),))


def point(url: str, **more: object) -> tuple[x509.ExtensionType, bool]:
    settings: dict[str, object] = {
        "full_name": [x509.UniformResourceIdentifier(url)],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(settings | more)), True  # type: ignore[arg-type]


def test_a_list_for_others_cannot_be_put_in_the_place_of_the_right_one() -> None:
    here = "http://ca.example.org/1.crl"
    points = x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(here)], None, None, None)]
    )
    bob = issue(by=CA, extensions=[(points, False)])
    need: dict[str, Any] = {"revocation": Revocation.REQUIRE}
    assert bob.certificate.urls == (here,)
    assert chain(bob, crls=(crl(CA, extensions=[point(here)]),), **need)
    assert chain(bob, crls=(crl(CA, extensions=[point(here, only_contains_user_certs=True)]),))
    for wrong in (
        point("http://ca.example.org/2.crl"),
        point(here, only_contains_ca_certs=True),
        point(here, indirect_crl=True),
        point(here, only_contains_attribute_certs=True),
        (x509.DeltaCRLIndicator(1), True),
    ):
        only = (crl(CA, extensions=[wrong]),)
        assert flaw(bob, crls=only, **need).flaw is Flaw.NO_CRL


def test_trust_in_nobody_believes_nobody() -> None:
    assert flaw(issue(by=CA), CA, trust=[]).flaw is Flaw.UNKNOWN_ISSUER
