"""Two sides' proposals side by side."""

from __future__ import annotations

import pytest

from hushwire.crypto.suites import DEFAULT_ESP, DEFAULT_IKE, parse_proposal
from hushwire.explain.proposals import alternatives, by_kind, nearest
from hushwire.wire.registry import ProtocolId


def test_one_cipher_mistyped_is_the_one_row_that_differs() -> None:
    found = nearest(["aes256gcm16-prfsha384-x25519"], ["aes128gcm16-prfsha384-x25519"])
    (row,) = found.differing
    assert (row.kind, row.ours, row.theirs) == ("encryption", ("aes256gcm16",), ("aes128gcm16",))
    assert found.change_here == "aes128gcm16-prfsha384-x25519"
    assert found.change_there == "aes256gcm16-prfsha384-x25519"


def test_of_many_the_nearest_two_are_compared() -> None:
    ours = ["aes256gcm16-prfsha384-x25519", "aes128gcm16-prfsha256-ecp256"]
    theirs = ["3des-sha1-prfsha1-modp1024", "aes256gcm16-prfsha256-ecp256"]
    found = nearest(ours, theirs)
    assert (found.ours_number, found.theirs_number) == (2, 2)
    assert [row.kind for row in found.differing] == ["encryption"]


def test_what_is_not_done_here_is_not_proposed_here_and_says_why() -> None:
    found = nearest(["aes256gcm16-prfsha384-x25519"], ["3des-sha1-prfsha1-modp1024"])
    assert found.change_here == ""
    assert any("3des is too weak" in reason for reason in found.unable)
    assert found.change_there == "aes256gcm16-prfsha384-x25519"


def test_algorithms_without_a_name_have_their_kind_all_the_same() -> None:
    assert by_kind("encr-99/128-prf-7-ke-12") == {
        "encryption": ("encr-99/128",),
        "PRF": ("prf-7",),
        "key exchange": ("ke-12",),
    }


def test_integrity_on_one_side_only_is_a_difference() -> None:
    found = nearest(["aes256gcm16"], ["aes256-sha256"])
    assert [row.kind for row in found.differing] == ["encryption", "integrity"]
    assert found.change_here == "aes256-sha256"
    assert found.change_there == "aes256gcm16"


@pytest.mark.parametrize("text", DEFAULT_IKE)
@pytest.mark.parametrize("other", [*DEFAULT_IKE, "aes256-sha1-prfsha1-modp2048"])
def test_every_line_that_is_proposed_for_ike_can_be_read(text: str, other: str) -> None:
    found = nearest([text], [other])
    for line in (found.change_here, found.change_there, *(new for *_, new in alternatives(text))):
        if line:
            parse_proposal(line, ProtocolId.IKE)


@pytest.mark.parametrize("text", DEFAULT_ESP)
@pytest.mark.parametrize("other", DEFAULT_ESP)
def test_every_line_that_is_proposed_for_esp_can_be_read(text: str, other: str) -> None:
    found = nearest([text], [other])
    for line in (found.change_here, found.change_there, *(new for *_, new in alternatives(text))):
        parse_proposal(line, ProtocolId.ESP)
