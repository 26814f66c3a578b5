"""X.509 in the file: what it comes to, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from hushwire.crypto.crl import Revocation
from hushwire.crypto.sign import PrivateKey
from hushwire.sa.identity import Identity
from tests.config.files import ALICE_KEY, BOB, complaint, load_text
from tests.crypto.pki import DAY, authority, issue, revoked

NOW = datetime.now(UTC)
CA = authority(now=NOW)
BETWEEN = authority("O=Example, CN=Between", by=CA, now=NOW)
ALICE = issue(
    "O=Example, CN=alice", by=BETWEEN, names=["alice.example", "alice@example.org"], now=NOW
)
OTHER = issue("O=Example, CN=other", by=CA, kind="ed25519", now=NOW)

RIGHT = """\
[interface]
name = "hw0"
address = ["10.0.1.1/24"]
private_key_file = "alice.key"
cert_file = "alice.pem"

[peer.gateway]
endpoint = "gateway.example.org"
ca_file = "ca.pem"
networks = ["10.9.0.0/16"]
"""
"""Line 4 is private_key_file, 5 cert_file, 7 [peer.gateway], 9 ca_file."""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "alice.key": ALICE.key_pem,
        "other.key": OTHER.key_pem,
        "alice.pem": ALICE.pem + BETWEEN.pem,
        "turned.pem": BETWEEN.pem + ALICE.pem,
        "other.pem": OTHER.pem,
        "ca.pem": "# the root\n" + CA.pem,
        "nothing.pem": "hello\n",
        "broken.pem": CA.pem.replace("M", "~", 1),
        "ca.crl": revoked(CA, 77, now=NOW).decode(),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "ca.der").write_bytes(CA.der)


def with_(*changes: tuple[str, str]) -> str:
    text = RIGHT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_an_authority_and_a_certificate_are_enough() -> None:
    (peer,) = load_text(RIGHT).peers
    own = peer.certificates
    assert own is not None
    assert own.chain == (ALICE.certificate, BETWEEN.certificate)
    assert own.trust.anchors == (CA.certificate,)
    assert own.trust.revocation is Revocation.IF_PRESENT
    assert not own.trust.any_purpose
    assert not own.pkcs1
    assert peer.private_key == ALICE.private_key
    assert (peer.public_key, peer.psk) == (None, None)
    assert peer.id == Identity.parse("gateway.example.org")
    assert peer.local_id == Identity.parse("alice.example")


def test_every_key_can_be_given() -> None:
    text = with_(
        (
            'ca_file = "ca.pem"\n',
            'ca_file = "ca.der"\ncrl_file = "ca.crl"\ncrl_url = "http://ca.example/ca.crl"\n'
            'crl = "require"\nkey_purpose = "any"\nrsa = "pkcs1"\ncert_file = "other.pem"\n'
            'private_key_file = "other.key"\nid = "C=CH, O=Example, CN=gateway"\n',
        )
    )
    (peer,) = load_text(text).peers
    own = peer.certificates
    assert own is not None
    assert own.chain == (OTHER.certificate,)
    assert own.trust.anchors == (CA.certificate,)
    assert [read.serials for read in own.trust.crls.lists] == [{77}]
    assert own.trust.revocation is Revocation.REQUIRE
    assert own.trust.any_purpose
    assert own.pkcs1
    assert own.crl_url == "http://ca.example/ca.crl"
    assert own.crl_file == Path("ca.crl")
    assert peer.private_key == OTHER.private_key
    assert peer.id is not None
    assert peer.id.text == "C=CH, O=Example, CN=gateway"
    # It has no other name: its subject, octet for octet as the certificate has it.
    assert peer.local_id == Identity(peer.id.type, OTHER.pyca.subject.public_bytes())


def test_what_stands_in_interface_is_for_every_peer_without_another_way() -> None:
    text = with_(
        (OWN, OWN + 'ca_file = "ca.pem"\ncrl_file = "ca.crl"\n'),
        ('endpoint = "gateway.example.org"\nca_file = "ca.pem"\n', 'endpoint = "192.0.2.1"\n'),
    )  # fmt: skip
    text += f"""\
[peer.bob]
endpoint = "192.0.2.2"
public_key = "{BOB.to_text()}"
networks = ["10.8.0.0/16"]
"""
    gateway, bob = load_text(text).peers
    assert gateway.certificates is not None
    assert len(gateway.certificates.trust.crls.lists) == 1
    assert gateway.id == Identity.of_address(ip_address("192.0.2.1"))
    assert bob.certificates is None
    assert bob.private_key == ALICE.private_key


def test_a_peer_may_have_a_raw_key_of_its_own() -> None:
    Path("raw.key").write_text(ALICE_KEY.to_pem())
    Path("raw.key").chmod(0o600)
    raw = f'public_key = "{BOB.to_text()}"\nprivate_key_file = "raw.key"\n'
    (peer,) = load_text(with_(('ca_file = "ca.pem"\n', raw))).peers
    assert peer.private_key == ALICE_KEY
    assert peer.local_id == Identity.parse(f"key:{ALICE_KEY.public.key_id.hex()}")


PEER = 'ca_file = "ca.pem"\n'
OWN = 'cert_file = "alice.pem"\n'
NAME = '"gateway.example.org"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OWN, "", ":8: [peer.gateway] has a ca_file, and there is no cert_file for our own "
                  'certificate. Write for example: cert_file = "alice.pem"'),
        ('private_key_file = "alice.key"\n', "",
         ':4: there is a cert_file, and no private_key_file for its key. Write for example: '
         'private_key_file = "alice.key"'),
        (OWN, 'cert_file = "other.pem"\n',
         ":5: the certificate of O=Example, CN=other in cert_file is not for the key in "
         "private_key_file. The certificate is for a key of the kind ed25519, and ours is "
         "ecdsa-p256: is it another file?"),
        (OWN, 'cert_file = "turned.pem"\n',
         ":5: the certificate of O=Example, CN=Between in cert_file is not for the key in "
         "private_key_file. The one of O=Example, CN=alice is; put it first."),
        (OWN, 'cert_file = "missing.pem"\n', ":5: cert_file in [interface]: there is no file "
                                             "missing.pem."),
        (OWN, 'cert_file = "alice.key"\n',
         ":5: cert_file in [interface]: alice.key holds a private key, and no certificate. The "
         "key's file belongs into private_key_file."),
        (OWN, 'cert_file = "nothing.pem"\n',
         ":5: cert_file in [interface]: in nothing.pem is no certificate. The host's stands "
         "between -----BEGIN CERTIFICATE----- and its END."),
        (PEER, 'ca_file = "alice.pem"\n',
         ":9: ca_file holds the certificate of O=Example, CN=alice, which is no authority. The "
         "one that issued it belongs there, with CA:TRUE in its basic constraints."),
        (PEER, 'ca_file = "broken.pem"\n', ":9: ca_file in [peer.gateway]: broken.pem"),
        (PEER, PEER + 'psk_file = "alice.key"\n',
         ":9: [peer.gateway] has both psk_file and ca_file. Leave one of them out."),
        (PEER, PEER + 'crl_file = "ca.pem"\n',
         ":10: crl_file in [peer.gateway]: ca.pem: there is no -----BEGIN X509 CRL----- in it."),
        (PEER, PEER + 'crl_url = "ftp://ca.example/"\n',
         ':10: crl_url in [peer.gateway]: "ftp://ca.example/" is not the address of a file on the '
         'web. Write for example: crl_url = "http://ca.example.org/ca.crl"'),
        (PEER, PEER + 'crl = "requier"\n',
         ':10: crl in [peer.gateway] cannot be "requier". Did you mean "require"?'),
        (PEER, PEER + 'rsa = "oaep"\n',
         ':10: rsa in [peer.gateway] cannot be "oaep". It can be: "pss", "pkcs1".'),
        (PEER, PEER + 'local_id = "bob.example"\n',
         ":10: local_id in [peer.gateway] is bob.example, and our certificate does not say that. "
         "It says: alice.example, alice@example.org, O=Example, CN=alice."),
        (PEER, PEER + 'id = "key:00"\n',
         ":10: id in [peer.gateway] is key:00, which no certificate can say."),
        (f"endpoint = {NAME}\n", "",
         ":7: [peer.gateway] has neither id nor endpoint, so whoever has a certificate of that "
         "authority could pass for this peer. Write for example: id = "),
        (PEER, 'ca_fiel = "ca.pem"\n', 'Did you mean "ca_file"?'),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_its_cure(old: str, new: str, said: str) -> None:
    assert said in complaint(with_((old, new)))


def test_a_revocation_list_that_could_revoke_nothing_is_refused() -> None:
    Path("delta.crl").write_bytes(revoked(CA, 1, extensions=[(x509.DeltaCRLIndicator(1), True)]))
    said = complaint(with_((PEER, PEER + 'crl_file = "delta.crl"\n')))
    assert ":10: crl_file in [peer.gateway]: delta.crl: the revocation list of O=Example" in said
    assert "critical extension 2.5.29.27" in said


def test_a_weak_key_of_an_authority_is_named() -> None:
    from tests.crypto.pki import rsa_key

    Path("weak.pem").write_text(authority("CN=Weak", key=rsa_key(1024), now=NOW).pem)
    said = complaint(with_((PEER, 'ca_file = "weak.pem"\n')))
    assert "the authority CN=Weak in ca_file cannot be used: this is an RSA key of 1024" in said


def test_one_key_with_two_identities_is_two_peers() -> None:
    """Chosen by the identity that the initiator asks for."""
    more = RIGHT[RIGHT.index("[peer") :].replace("gateway]", "mail]").replace("10.9", "10.8")
    text = with_((PEER, PEER + 'local_id = "alice.example"\n'))
    text += more.replace(PEER, PEER + 'local_id = "alice@example.org"\n')
    one, two = load_text(text).peers
    assert (str(one.local_id), str(two.local_id)) == ("alice.example", "alice@example.org")
    assert one.id == two.id
    assert "have the same id" in complaint(RIGHT + more)


def test_an_rsa_key_can_be_ours() -> None:
    own = issue("CN=rsa", by=CA, kind="rsa", now=NOW)
    Path("rsa.pem").write_text(own.pem)
    Path("alice.key").write_text(own.key_pem)
    (peer,) = load_text(with_((OWN, 'cert_file = "rsa.pem"\n'))).peers
    assert peer.private_key == PrivateKey.from_pem(own.key_pem)


def test_an_expired_certificate_is_no_mistake_of_the_file() -> None:
    """The clock may be wrong, and it is warned of at the start."""
    old = issue("CN=old", by=CA, key=ALICE.key, until=-DAY / 2, now=NOW)
    Path("old.pem").write_text(old.pem)
    assert load_text(with_((OWN, 'cert_file = "old.pem"\n')))
