"""Proposal strings, suites, and the choice between proposals (RFC 7296 §3.3)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.aead import AEADS
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.errors import ProposalFormatError, UnknownAlgorithmError
from hushwire.crypto.exchange import EXCHANGES
from hushwire.crypto.names import ALIASES, REFUSED, SUPPORTED
from hushwire.crypto.prf import PRFS
from hushwire.crypto.suites import (
    DEFAULT_ESP,
    DEFAULT_IKE,
    EspSuite,
    IkeSuite,
    describe,
    parse_proposal,
)
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.registry import ProtocolId, TransformType

IKE, ESP = ProtocolId.IKE, ProtocolId.ESP
ENCR, PRF, INTEG = TransformType.ENCR, TransformType.PRF, TransformType.INTEG
KE, ESN = TransformType.KE, TransformType.ESN

GCM256 = Transform(ENCR, 20, 256)
GCM128 = Transform(ENCR, 20, 128)
CHACHA = Transform(ENCR, 28)
SHA384 = Transform(PRF, 6)
X25519 = Transform(KE, 31)
ECP256 = Transform(KE, 19)
NO_ESN, WITH_ESN = Transform(ESN, 0), Transform(ESN, 1)
SHA256_128, SHA384_192 = Transform(INTEG, 12), Transform(INTEG, 13)
CBC256, CBC128 = Transform(ENCR, 12, 256), Transform(ENCR, 12, 128)
PRF256 = Transform(PRF, 5)
NO_INTEG, NO_KE = Transform(INTEG, 0), Transform(KE, 0)


def ike(text: str) -> tuple[Transform, ...]:
    return parse_proposal(text, IKE)


def esp(text: str) -> tuple[Transform, ...]:
    return parse_proposal(text, ESP)


@pytest.mark.parametrize(
    ("text", "transforms"),
    [
        ("aes256gcm16-prfsha384-x25519", (GCM256, SHA384, X25519)),
        ("x25519-prfsha384-aes256gcm16", (GCM256, SHA384, X25519)),
        (" AES256GCM16-PrfSha384-X25519 ", (GCM256, SHA384, X25519)),
        (
            "aes128gcm-aes256gcm128-chacha20poly1305-prfsha384-curve25519-ecp256",
            (GCM128, GCM256, CHACHA, SHA384, X25519, ECP256),
        ),
        ("aes256-sha256-prfsha384-x25519", (CBC256, SHA384, SHA256_128, X25519)),
        # As in strongSwan, each stands for its PRF where none is named.
        ("aes256-sha256-ecp256", (CBC256, PRF256, SHA256_128, ECP256)),
        (
            "aes256-aes128-sha384-sha2_256-ecp256",
            (CBC256, CBC128, SHA384, PRF256, SHA384_192, SHA256_128, ECP256),
        ),
    ],
)
def test_an_ike_proposal_is_grouped_by_type_in_the_order_of_preference(
    text: str, transforms: tuple[Transform, ...]
) -> None:
    assert ike(text) == transforms


@pytest.mark.parametrize(
    ("text", "transforms", "shown"),
    [
        ("aes256gcm16", (GCM256, NO_ESN), "aes256gcm16"),
        ("aes256gcm16-noesn", (GCM256, NO_ESN), "aes256gcm16"),
        ("aes256gcm16-esn", (GCM256, WITH_ESN), "aes256gcm16-esn"),
        ("aes256gcm16-esn-noesn", (GCM256, WITH_ESN, NO_ESN), "aes256gcm16-esn-noesn"),
        ("noesn-esn-aes128gcm128", (GCM128, NO_ESN, WITH_ESN), "aes128gcm16-noesn-esn"),
        ("aes256gcm16-esn-x25519", (GCM256, X25519, WITH_ESN), "aes256gcm16-x25519-esn"),
        ("aes256-sha256", (CBC256, SHA256_128, NO_ESN), "aes256-sha256"),
        (
            "sha256-sha384-aes128-esn",
            (CBC128, SHA256_128, SHA384_192, WITH_ESN),
            "aes128-sha256-sha384-esn",
        ),
    ],
)
def test_an_esp_proposal_without_esn_means_noesn(
    text: str, transforms: tuple[Transform, ...], shown: str
) -> None:
    assert esp(text) == transforms
    assert describe(transforms) == shown
    assert esp(shown) == transforms


@pytest.mark.parametrize(
    ("protocol", "text", "message"),
    [
        (IKE, "", "name is missing"),
        (IKE, "aes256gcm16--x25519", "name is missing"),
        (IKE, "aes256gcm16-prfsha384-x25519-", "name is missing"),
        (IKE, "aes256gcm16-x25519", "needs a PRF"),
        (IKE, "aes256gcm16-prfsha384", "needs a key exchange"),
        (IKE, "prfsha384-x25519", "needs a cipher"),
        (IKE, "aes256gcm16-prfsha384-x25519-esn", "no place in a proposal for IKE"),
        (IKE, "aes256gcm16-aes256gcm-prfsha384-x25519", "aes256gcm16 is there twice"),
        (ESP, "esn", "needs a cipher"),
        (ESP, "aes256gcm16-prfsha384", "prfsha384 has no place in a proposal for ESP"),
        (ESP, "aes256gcm16-esn-esn", "esn is there twice"),
        (ESP, "aes256", r"needs an integrity algorithm for its ciphers \(sha256"),
        (ESP, "aes256-prfsha256", "prfsha256 has no place"),
        (ESP, "sha256", "needs a cipher"),
        (ESP, "aes256-sha256-sha256", "sha256 is there twice"),
        (ESP, "aes256gcm16-sha256", "aes256gcm16 protects integrity itself; leave sha256 out"),
        (ESP, "aes256gcm16-aes256-sha256", "write two, each a string of its own"),
        (ESP, "aes256-chacha20poly1305", "chacha20poly1305 protects integrity itself and aes256"),
        (IKE, "aes256-prfsha256-ecp256", "needs an integrity algorithm"),
        (IKE, "aes256gcm16-sha384-x25519", "or write prfsha384 if the PRF is meant"),
        (IKE, "aes256gcm16-aes256-sha256-prfsha256-x25519", "write two"),
        (IKE, "sha256-ecp256", "needs a cipher"),
    ],
)
def test_a_proposal_that_cannot_be_meant_is_explained(
    protocol: ProtocolId, text: str, message: str
) -> None:
    with pytest.raises(ProposalFormatError, match=message):
        parse_proposal(text, protocol)


@pytest.mark.parametrize(
    ("token", "nearest", "reason"),
    [
        ("3des", "aes256gcm16", "too weak"),
        ("des", "aes256gcm16", "must not be used any more"),
        ("md5", "sha256", "must not be used any more"),
        ("sha1", "sha256", "too weak"),
        ("prfsha1", "prfsha256", "too weak"),
        ("modp1024", "x25519", "too weak"),
        ("modp768", "x25519", "must not be used any more"),
        ("ke1_modp1024", "ke1_x25519", "too weak"),
        ("modp1536", "x25519", "RFC 8247 §2.4"),
        ("modp2048s256", "x25519", "RFC 8247 §2.4"),
        ("mlkem512", "mlkem768", "not in the cryptographic library"),
        ("mlkem786", "ke1_mlkem768", "not the name"),
        ("aes192", "aes256", "not built into Hushwire"),
        ("aes256ctr", "aes256gcm16", "not built into Hushwire"),
        ("aesxcbc", "sha256", "not built into Hushwire"),
        ("AES128GCM8", "aes128gcm16", "not built into Hushwire"),
        ("null", "aes256gcm16", "readable"),
        ("aes256gcm61", "aes256gcm16", "not the name"),
        ("x25519!", "x25519", "not the name"),
        ("prfsha265", "prfsha256", "not the name"),
        ("chacha20poly", "chacha20poly1305", "not the name"),
        ("curve2551", "x25519", "not the name"),
        ("zzz", None, "not the name"),
    ],
)
def test_a_name_that_is_no_choice_leads_to_the_nearest_right_one(
    token: str, nearest: str | None, reason: str
) -> None:
    with pytest.raises(UnknownAlgorithmError, match=reason) as caught:
        ike(f"aes256gcm16-{token}-x25519")
    assert caught.value.token == token
    assert caught.value.nearest == nearest
    assert repr(token) in str(caught.value)
    assert nearest is None or f"use {nearest!r}" in str(caught.value)


def test_the_tables_of_names_do_not_contradict_each_other() -> None:
    assert set(ALIASES.values()) <= set(SUPPORTED)
    assert not set(SUPPORTED) & set(REFUSED)
    assert not set(ALIASES) & (set(SUPPORTED) | set(REFUSED))
    refused = [entry.transform for entry in REFUSED.values() if entry.transform]
    assert len(set(refused)) == len(refused)
    assert not set(refused) & set(SUPPORTED.values())
    assert {entry.instead for entry in REFUSED.values()} <= {*SUPPORTED, *ALIASES, None}


@pytest.mark.parametrize(
    ("transforms", "text"),
    [
        ((), ""),
        ((NO_ESN,), "noesn"),
        ((GCM256, NO_INTEG, NO_KE, NO_ESN), "aes256gcm16"),
        (
            (Transform(ENCR, 12, 256), Transform(INTEG, 12), Transform(KE, 14)),
            "aes256-sha256-modp2048",
        ),
        (
            (X25519, PRF256, SHA256_128, CBC256),
            "aes256-sha256-prfsha256-x25519",
        ),
        ((GCM256, CBC256, SHA256_128, NO_INTEG), "aes256gcm16-aes256-sha256"),
        ((Transform(ENCR, 12, 192), Transform(INTEG, 2)), "aes192-sha1"),
        ((Transform(ENCR, 99), Transform(PRF, 98), Transform(KE, 1000)), "encr-99-prf-98-ke-1000"),
        ((Transform(ENCR, 12, 100),), "encr-12/100"),
        ((Transform(ENCR, 28, 256),), "encr-28/256"),
        ((Transform(ESN, 7),), "esn-7"),
        ((Transform(6, 36), GCM256), "aes256gcm16-ke1_mlkem768"),
        ((Transform(12, 35), GCM256), "aes256gcm16-ke7_mlkem512"),
        ((Transform(6, 1000), GCM256), "aes256gcm16-ke1_ke-1000"),
        ((Transform(6, 36), Transform(6, 0)), "ke1_mlkem768-ke1_none"),
        ((Transform(6, 0), GCM256), "aes256gcm16"),
        ((Transform(13, 36), GCM256), "aes256gcm16-type13-36"),
        ((Transform(KE, 36), GCM256), "aes256gcm16-mlkem768"),
        ((Transform(ENCR, 20, 256, unknown_attribute=True),), "aes256gcm16"),
    ],
)
def test_any_peers_offer_can_be_shown(transforms: tuple[Transform, ...], text: str) -> None:
    assert describe(transforms) == text


def test_the_defaults_say_what_they_mean() -> None:
    for text in DEFAULT_IKE:
        assert describe(ike(text)) == text
    for text in DEFAULT_ESP:
        assert describe(esp(text)) == text
    # The Key Exchange payload of the first message is of one method: all must begin with it.
    assert {next(t for t in ike(text) if t.type == KE) for text in DEFAULT_IKE} == {X25519}
    proposals = tuple(Proposal(i + 1, IKE, b"", ike(text)) for i, text in enumerate(DEFAULT_IKE))
    assert SecurityAssociation.parse(SecurityAssociation(proposals).build()).proposals == proposals


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda c: c.name)
def test_a_suite_is_its_transforms(cipher: Cipher) -> None:
    for prf, exchange in itertools.product(PRFS, (e for e in EXCHANGES if not e.is_kem)):
        suite = IkeSuite(cipher, prf, exchange)
        assert suite.name == f"{cipher.name}-{prf.name}-{exchange.name}"
        assert ike(suite.name) == suite.transforms
        assert IkeSuite.from_transforms(suite.transforms) == suite
        assert IkeSuite.from_transforms(suite.transforms[::-1]) == suite
        assert [t.type for t in suite.transforms] == sorted(t.type for t in suite.transforms)
        if cipher.integrity is None:
            assert IkeSuite.from_transforms([*suite.transforms, NO_INTEG]) == suite
    for esn in (False, True):
        child = EspSuite(cipher, esn)
        assert child.name == cipher.name + ("-esn" if esn else "")
        assert esp(child.name) == child.transforms
        assert EspSuite.from_transforms(child.transforms) == child
        assert EspSuite.from_transforms([NO_KE, *child.transforms]) == child
        if cipher.integrity is None:
            assert EspSuite.from_transforms([NO_INTEG, *child.transforms]) == child
        assert EspSuite.from_transforms([X25519, *child.transforms]) == child


@pytest.mark.parametrize(
    "transforms",
    [
        (),
        (GCM256, SHA384),
        (GCM256, X25519),
        (SHA384, X25519),
        (GCM256, GCM128, SHA384, X25519),
        (GCM256, GCM256, SHA384, X25519),
        (GCM256, SHA384, X25519, SHA256_128),
        (GCM256, SHA384, X25519, NO_ESN),
        (GCM256, SHA384, NO_KE),
        (GCM256, Transform(PRF, 2), X25519),
        (Transform(ENCR, 20, 192), SHA384, X25519),
        (Transform(ENCR, 20, 256, unknown_attribute=True), SHA384, X25519),
        (GCM256, SHA384, X25519, Transform(6, 35)),
        (GCM256, SHA384, X25519, Transform(13, 36)),
        (CBC256, SHA384, X25519),
        (CBC256, SHA384, X25519, NO_INTEG),
        (CBC256, SHA384, X25519, SHA256_128, SHA384_192),
        (CBC256, SHA384, X25519, Transform(INTEG, 2)),
        (Transform(ENCR, 12, 192), SHA384, X25519, SHA256_128),
        (Transform(ENCR, 12), SHA384, X25519, SHA256_128),
    ],
)
def test_what_is_not_an_ike_suite_is_refused(transforms: tuple[Transform, ...]) -> None:
    with pytest.raises(ValueError, match=r"suite|transform"):
        IkeSuite.from_transforms(transforms)


@pytest.mark.parametrize(
    "transforms",
    [
        (),
        (GCM256,),
        (WITH_ESN,),
        (GCM256, NO_ESN, WITH_ESN),
        (GCM256, Transform(ESN, 2)),
        (GCM256, WITH_ESN, SHA384),
        (GCM256, WITH_ESN, SHA256_128),
        (GCM256, WITH_ESN, X25519, ECP256),
        (CBC256, NO_ESN),
        (CBC256, NO_INTEG, NO_ESN),
        (CBC256, Transform(INTEG, 2), NO_ESN),
    ],
)
def test_what_is_not_an_esp_suite_is_refused(transforms: tuple[Transform, ...]) -> None:
    with pytest.raises(ValueError, match=r"suite|transform"):
        EspSuite.from_transforms(transforms)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ((GCM256, SHA256_128, NO_ESN), "aes256gcm16 protects integrity itself.*sha256 too"),
        ((CBC128, NO_ESN), r"lacks an integrity algorithm .*: aes128 brings none"),
        ((Transform(ENCR, 20, 192), NO_ESN), "not a suite of Hushwire's: aes192gcm16"),
        ((CBC128, Transform(INTEG, 2), NO_ESN), "not a suite of Hushwire's: aes128-sha1"),
    ],
)
def test_a_wrong_pair_of_cipher_and_integrity_is_explained(
    transforms: tuple[Transform, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EspSuite.from_transforms(transforms)


def some(names: list[str], *, at_least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, min_size=at_least)


AEAD_NAMES = [c.name for c in AEADS]
cipher_names = st.one_of(
    some(AEAD_NAMES),
    st.tuples(some(["aes256", "aes128"]), some(["sha256", "sha384", "sha512"])).map(
        lambda parts: parts[0] + parts[1]
    ),
)
PRF_NAMES = [p.name for p in PRFS]
EXCHANGE_NAMES = [e.name for e in EXCHANGES if not e.is_kem]
ike_texts = st.tuples(cipher_names, some(PRF_NAMES), some(EXCHANGE_NAMES)).map(
    lambda parts: "-".join(itertools.chain(*parts))
)
esp_texts = st.tuples(cipher_names, some(EXCHANGE_NAMES, at_least=0), some(["esn", "noesn"])).map(
    lambda parts: "-".join(itertools.chain(*parts))
)
anything = st.builds(
    Transform,
    st.integers(1, 7),
    st.integers(0, 40),
    st.sampled_from([None, 128, 256]),
    st.booleans(),
)


@given(text=ike_texts)
def test_an_ike_string_comes_back_the_same(text: str) -> None:
    assert describe(ike(text)) == text


@given(text=esp_texts)
def test_an_esp_string_comes_back_meaning_the_same(text: str) -> None:
    assert esp(describe(esp(text))) == esp(text)


@given(transforms=st.lists(anything, max_size=8))
def test_nothing_a_peer_offers_breaks_the_description(transforms: list[Transform]) -> None:
    assert isinstance(describe(transforms), str)
