"""Certificates and revocation lists are read whole, or refused; hostile ones never surprise."""

from __future__ import annotations

import hashlib
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.crl import Crl
from hushwire.crypto.dn import dn_from_text, dn_text, same_dn
from hushwire.crypto.errors import CertificateFormatError
from hushwire.crypto.x509 import MOST_OCTETS, Certificate, authorities_hash
from hushwire.wire.registry import IdType
from tests.crypto.pki import KINDS, NOW, authority, crl, issue, revoked, rsa_key

CA = authority()
BOB = issue(
    by=CA,
    names=["Bob.Example.ORG", "Bob@Example.org", "192.0.2.2", "2001:db8::2"],
    usage=("digital_signature",),
    purposes=("1.3.6.1.5.5.7.3.17",),
)


def test_everything_that_is_asked_is_read() -> None:
    read = BOB.certificate
    assert (read.subject, read.issuer) == ("O=Example, CN=bob", "O=Example, CN=Example CA")
    assert read.serial == BOB.pyca.serial_number
    assert read.not_before < NOW.timestamp() < read.not_after
    assert read.names == {
        (IdType.DER_ASN1_DN, BOB.pyca.subject.public_bytes()),
        (IdType.FQDN, b"bob.example.org"),
        (IdType.RFC822_ADDR, b"bob@example.org"),
        (IdType.IPV4_ADDR, bytes([192, 0, 2, 2])),
        (IdType.IPV6_ADDR, bytes.fromhex("20010db8" + 11 * "00" + "02")),
    }
    assert read.key == BOB.private_key.public
    assert not read.is_authority
    assert CA.certificate.is_authority
    assert Certificate.from_der(BOB.der) == read
    assert hash(Certificate.from_der(BOB.der)) == hash(read)


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_is_named_by_the_sha1_of_its_whole_public_key(kind: str) -> None:
    """RFC 7296 §3.7: of the SubjectPublicKeyInfo, not of the key in it."""
    ca = authority(kind=kind)
    spki = ca.private_key.public.spki
    both = (ca.certificate, CA.certificate, ca.certificate)
    assert authorities_hash(both)[:20] == hashlib.sha1(spki).digest()
    assert len(authorities_hash(both)) == 40


def test_names_of_other_kinds_are_no_identities() -> None:
    others = [
        x509.UniformResourceIdentifier("https://bob.example.org/"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
    ]
    bob = issue("", by=CA, extensions=[(x509.SubjectAlternativeName(others), True)])
    assert bob.certificate.names == frozenset()


def test_a_key_that_cannot_be_used_is_explained() -> None:
    weak = issue(by=CA, key=rsa_key(1024)).certificate
    assert weak.key is None
    assert "1024 bits" in weak.key_flaw


def test_what_is_too_much_is_not_even_read() -> None:
    with pytest.raises(CertificateFormatError, match="octets"):
        Certificate.from_der(bytes(MOST_OCTETS + 1))
    many = issue(by=CA, names=[f"{number}.example" for number in range(101)])
    with pytest.raises(CertificateFormatError, match="102 names"):
        _ = many.certificate


@given(st.binary(max_size=400))
def test_octets_that_are_no_certificate_are_refused(data: bytes) -> None:
    with pytest.raises(CertificateFormatError):
        Certificate.from_der(data)
    with pytest.raises(CertificateFormatError):
        Crl.from_file(data)
    with pytest.raises(CertificateFormatError):
        Crl.from_file(b"-----BEGIN X509 CRL-----\n" + data + b"\n-----END X509 CRL-----")


@pytest.mark.parametrize("seed", range(4))
def test_a_certificate_with_any_octet_changed_is_read_or_refused(seed: int) -> None:
    """Nothing else happens, and nothing that is read is signed by the authority any more."""
    chance = random.Random(seed)
    for _ in range(400):
        data = bytearray(BOB.der)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read = Certificate.from_der(bytes(data))
        except CertificateFormatError:
            continue
        assert read == BOB.certificate or not CA.certificate.signed(read)


@pytest.mark.parametrize("seed", range(2))
def test_a_revocation_list_with_any_octet_changed_is_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    pem = revoked(CA, *range(1, 20))
    for _ in range(300):
        data = bytearray(pem)
        data[chance.randrange(30, len(data) - 30)] = chance.choice(b"ABCxyz019+/")
        try:
            (read,) = Crl.from_file(bytes(data))
        except CertificateFormatError:
            continue
        read.covers(BOB.certificate, CA.certificate)


def test_a_file_may_hold_several_lists_or_one_in_der() -> None:
    one, two = revoked(CA, 1), revoked(authority("CN=Two"), 2)
    assert [read.serials for read in Crl.from_file(one + two)] == [{1}, {2}]
    der = x509.load_pem_x509_crl(one).public_bytes(Encoding.DER)
    assert [read.serials for read in Crl.from_file(der)] == [{1}]
    assert crl(CA, 1, 2).serials == {1, 2}


# Distinguished names.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("C=CH, O=Example, CN=bob", "C=CH, O=Example, CN=bob"),
        ("C = CH , O = Example,CN = bob", "C=CH, O=Example, CN=bob"),
        (r"O=Example\, Inc, CN=bob", r"O=Example\, Inc, CN=bob"),
        ("CN=Zoë", "CN=Zoë"),
    ],
)
def test_a_name_is_written_in_the_order_of_the_certificate(text: str, shown: str) -> None:
    der = dn_from_text(text)
    assert dn_text(der) == shown
    assert dn_from_text(shown) == der


def test_names_are_the_same_whatever_kind_of_string_they_are_in() -> None:
    def named(*parts: tuple[x509.ObjectIdentifier, str], kind: x509.name._ASN1Type) -> bytes:
        return x509.Name(
            [x509.NameAttribute(oid, text, kind) for oid, text in parts]
        ).public_bytes()

    oid = x509.NameOID
    parts = (oid.ORGANIZATION_NAME, "Example"), (oid.COMMON_NAME, "bob")
    utf8 = named(*parts, kind=x509.name._ASN1Type.UTF8String)
    printable = named(*parts, kind=x509.name._ASN1Type.PrintableString)
    assert utf8 != printable
    assert same_dn(utf8, printable)
    assert not same_dn(utf8, dn_from_text("CN=bob, O=Example"))
    assert not same_dn(utf8, dn_from_text("O=Example, CN=Bob"))
    assert not same_dn(utf8, b"")
    assert not same_dn(b"\x30", utf8)
