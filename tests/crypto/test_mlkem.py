"""ML-KEM (FIPS 203) as a key exchange method, and where it may stand in a proposal (RFC 9370)."""

from __future__ import annotations

import os

import pytest

from hushwire.crypto.choice import choose
from hushwire.crypto.errors import BadPublicValueError, ProposalFormatError
from hushwire.crypto.exchange import KeyExchange, exchange
from hushwire.crypto.suites import IkeSuite, additional, describe, parse_proposal
from hushwire.wire.ike.payloads.sa import Proposal, Transform
from hushwire.wire.registry import KeyExchangeId, ProtocolId, TransformType

IKE, ESP = ProtocolId.IKE, ProtocolId.ESP
ADDKE1, ADDKE2 = TransformType.ADDKE1, TransformType.ADDKE2
HYBRID = "aes256gcm16-prfsha384-x25519-ke1_mlkem768"


def method(number: KeyExchangeId) -> KeyExchange:
    found = exchange(number)
    assert found is not None
    return found


KEMS = [method(KeyExchangeId.ML_KEM_768), method(KeyExchangeId.ML_KEM_1024)]


@pytest.mark.parametrize("kem", KEMS, ids=lambda k: k.name)
def test_a_key_with_a_coefficient_above_the_modulus_is_refused(kem: KeyExchange) -> None:
    with pytest.raises(BadPublicValueError, match="no key of mlkem"):
        kem.answer(b"\xff" * kem.public_octets, os.urandom)


@pytest.mark.parametrize("kem", KEMS, ids=lambda k: k.name)
def test_a_forged_ciphertext_gives_another_secret_and_no_error(kem: KeyExchange) -> None:
    offer = kem.offer(os.urandom)
    ciphertext, secret = kem.answer(offer.public, os.urandom)
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert offer.finish(ciphertext) == secret != offer.finish(forged)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HYBRID, HYBRID),
        ("aes256gcm16-prfsha384-x25519-mlkem768", HYBRID),
        ("aes256gcm16-prfsha384-mlkem1024-x25519", HYBRID[:-3] + "1024"),
        (f"{HYBRID}-ke1_none", f"{HYBRID}-ke1_none"),
        (f"{HYBRID}-ke3_ecp384-ke7_modp4096", f"{HYBRID}-ke3_ecp384-ke7_modp4096"),
    ],
)
def test_proposals_are_read_and_shown_as_strongswan_does(text: str, shown: str) -> None:
    assert describe(parse_proposal(text, IKE)) == shown
    assert parse_proposal(shown, IKE) == parse_proposal(text, IKE)


def test_an_esp_proposal_may_have_them_too() -> None:
    shown = "aes256gcm16-x25519-ke1_mlkem768-esn"
    assert describe(parse_proposal("aes256gcm16-esn-x25519-mlkem768", ESP)) == shown


@pytest.mark.parametrize("protocol", [IKE, ESP])
def test_an_additional_exchange_needs_a_first_one(protocol: ProtocolId) -> None:
    prf = "prfsha384-" if protocol == IKE else ""
    with pytest.raises(ProposalFormatError, match="needs a key exchange"):
        parse_proposal(f"aes256gcm16-{prf}mlkem768", protocol)


def test_a_proposal_that_must_use_one_exchange_twice_is_refused() -> None:
    """RFC 9370 §2.2.1: no responder may choose it."""
    with pytest.raises(ProposalFormatError, match="the same"):
        parse_proposal(f"{HYBRID}-ke2_mlkem768", IKE)
    parse_proposal(f"{HYBRID}-ke2_mlkem768-ke2_none", IKE)


def chosen(offered: str, *ours: str) -> str | None:
    proposals = (Proposal(1, IKE, b"", parse_proposal(offered, IKE)),)
    found = choose(proposals, [parse_proposal(text, IKE) for text in ours], IKE)
    return describe(found.transforms) if found else None


@pytest.mark.parametrize(
    ("offered", "ours", "expected"),
    [
        (HYBRID, HYBRID, HYBRID),
        (HYBRID, "aes256gcm16-prfsha384-x25519", None),
        (f"{HYBRID}-ke1_none", "aes256gcm16-prfsha384-x25519", "aes256gcm16-prfsha384-x25519"),
        ("aes256gcm16-prfsha384-x25519", HYBRID, None),
        (
            f"{HYBRID}-ke1_mlkem1024-ke2_mlkem768",
            f"{HYBRID}-ke1_mlkem1024-ke2_mlkem768-ke2_ecp384",
            # The first choice for ke1 would leave nothing for ke2.
            "aes256gcm16-prfsha384-x25519-ke1_mlkem1024-ke2_mlkem768",
        ),
        (
            f"{HYBRID}-ke1_mlkem1024-ke2_mlkem768-ke2_mlkem1024-ke3_x25519-ke3_none",
            f"{HYBRID}-ke1_mlkem1024-ke2_mlkem768-ke2_mlkem1024",
            f"{HYBRID}-ke2_mlkem1024",
        ),
    ],
)
def test_one_of_each_and_none_twice(offered: str, ours: str, expected: str | None) -> None:
    assert chosen(offered, ours) == expected


def test_all_seven_can_be_agreed_on() -> None:
    names = ["mlkem768", "mlkem1024", "ecp256", "ecp384", "ecp521", "modp2048", "modp3072"]
    every = "-".join(f"ke{n}_{name}" for n, name in enumerate(names, start=1))
    text = f"aes256gcm16-prfsha384-x25519-{every}"
    assert chosen(text, text) == text
    suite = IkeSuite.from_transforms(parse_proposal(text, IKE))
    assert [each.exchange.name for each in suite.additional] == names
    assert suite.name == text
    assert IkeSuite.from_transforms(suite.transforms) == suite


def test_seven_that_cannot_be_agreed_on_are_refused_at_once() -> None:
    """A stranger's offer; every way to divide six exchanges among seven fails."""
    six = ["mlkem768", "mlkem1024", "ecp256", "ecp384", "ecp521", "modp2048"]
    ours = "-".join(f"ke{n}_{name}" for n in range(1, 8) for name in [*six, "modp3072"])
    theirs = tuple(
        Transform(kind, parse_proposal(f"{HYBRID}-ke2_{name}-ke2_none", IKE)[4].id)
        for kind in range(ADDKE1, ADDKE1 + 7)
        for name in six
    )
    base = parse_proposal("aes256gcm16-prfsha384-x25519", IKE)
    wanted = parse_proposal(f"aes256gcm16-prfsha384-x25519-{ours}", IKE)
    assert choose((Proposal(1, IKE, b"", (*base, *theirs)),), [wanted], IKE) is None


def test_none_is_no_exchange() -> None:
    transforms = (Transform(ADDKE1, KeyExchangeId.NONE), Transform(ADDKE2, 36))
    assert [each.type for each in additional(transforms)] == [ADDKE2]
    with pytest.raises(ValueError, match="ke1_mlkem512"):
        additional((Transform(ADDKE1, KeyExchangeId.ML_KEM_512),))
