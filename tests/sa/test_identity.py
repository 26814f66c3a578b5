"""Identities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.sa.identity import Identity
from hushwire.wire.registry import IdType


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("192.0.2.1", Identity(IdType.IPV4_ADDR, bytes([192, 0, 2, 1]))),
        ("2001:db8::1", Identity(IdType.IPV6_ADDR, bytes.fromhex("20010db8" + "00" * 11 + "01"))),
        ("bob.example", Identity(IdType.FQDN, b"bob.example")),
        ("bob", Identity(IdType.FQDN, b"bob")),
        ("3com.example", Identity(IdType.FQDN, b"3com.example")),
        ("bob@example.org", Identity(IdType.RFC822_ADDR, b"bob@example.org")),
        ("bjørn@example.org", Identity(IdType.RFC822_ADDR, "bjørn@example.org".encode())),
        ("key:00ff", Identity(IdType.KEY_ID, b"\x00\xff")),
    ],
)
def test_an_identity_is_read_and_written_back(text: str, identity: Identity) -> None:
    assert Identity.parse(text) == identity
    assert identity.text == str(identity) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "bob example",
        "10.0.0.256",
        "10.0.1",
        "bob.example\n",
        "@example.org",
        "bob@",
        "b\x1b@example.org",
        "-bob.example",
        "bob..example",
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "bøb.example",
        "fe80::1%eth0",
        "key:",
        "key:0",
        "key:xy",
        "C=Germany, CN=bob",
        "=bob",
        "bob=",
    ],
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"identity|key:"):
        Identity.parse(text)


@given(st.sampled_from(IdType), st.binary(max_size=20))
def test_what_a_peer_claims_to_be_never_reaches_the_terminal_raw(kind: IdType, data: bytes) -> None:
    text = Identity(kind, data).text
    assert text.isprintable()
    assert kind in (IdType.FQDN, IdType.RFC822_ADDR, IdType.DER_ASN1_DN) or text.isascii()


def test_octets_that_do_not_fit_their_type_are_shown_as_they_are() -> None:
    assert Identity(IdType.IPV4_ADDR, b"\x01").text == "IPV4_ADDR:01"
    assert Identity(IdType.FQDN, b"\xff\x1b").text == "FQDN:ff1b"
    assert Identity(IdType.DER_ASN1_DN, b"\x30\x00").text == "DER_ASN1_DN:3000"
