"""The choice between a peer's proposals (RFC 7296 §3.3.6)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.crypto.aead import AEADS
from hushwire.crypto.choice import NONE, choose
from hushwire.crypto.exchange import EXCHANGES
from hushwire.crypto.names import ADDITIONAL, SUPPORTED
from hushwire.crypto.prf import PRFS
from hushwire.crypto.suites import (
    DEFAULT_ESP,
    DEFAULT_IKE,
    EspSuite,
    IkeSuite,
    describe,
    parse_proposal,
)
from hushwire.wire.ike.payloads.sa import Proposal, Transform
from hushwire.wire.registry import ProtocolId, TransformType

IKE, ESP = ProtocolId.IKE, ProtocolId.ESP
ENCR, PRF, INTEG = TransformType.ENCR, TransformType.PRF, TransformType.INTEG
KE, ESN = TransformType.KE, TransformType.ESN

GCM256 = Transform(ENCR, 20, 256)
GCM128 = Transform(ENCR, 20, 128)
CHACHA = Transform(ENCR, 28)
SHA384 = Transform(PRF, 6)
X25519 = Transform(KE, 31)
NO_ESN, WITH_ESN = Transform(ESN, 0), Transform(ESN, 1)
SHA256_128, SHA384_192 = Transform(INTEG, 12), Transform(INTEG, 13)
CBC256 = Transform(ENCR, 12, 256)
NO_INTEG, NO_KE = Transform(INTEG, 0), Transform(KE, 0)


def ike(text: str) -> tuple[Transform, ...]:
    return parse_proposal(text, IKE)


def esp(text: str) -> tuple[Transform, ...]:
    return parse_proposal(text, ESP)


def offer(protocol: ProtocolId, *proposals: tuple[Transform, ...]) -> tuple[Proposal, ...]:
    spi = bytes(range(1, 5)) if protocol == ESP else b""
    return tuple(Proposal(i + 1, protocol, spi, each) for i, each in enumerate(proposals))


BOTH = esp("aes256gcm16-aes128gcm16-esn-noesn")
STRANGE = Transform(ENCR, 20, 256, unknown_attribute=True)

# offered by the peer, ours, and what is chosen: (number, transforms) or None
EspChoice = tuple[list[tuple[Transform, ...]], list[str], tuple[int, tuple[Transform, ...]] | None]
ESP_CHOICES: dict[str, EspChoice] = {
    "the same": ([esp("aes256gcm16-esn")], ["aes256gcm16-esn"], (1, (GCM256, WITH_ESN))),
    "one of each": ([BOTH], ["aes128gcm16-noesn"], (1, (GCM128, NO_ESN))),
    "our order between transforms": (
        [BOTH],
        ["aes128gcm16-aes256gcm16-noesn-esn"],
        (1, (GCM128, NO_ESN)),
    ),
    "our order between proposals": (
        [esp("aes128gcm16"), esp("aes256gcm16")],
        ["aes256gcm16", "aes128gcm16"],
        (2, (GCM256, NO_ESN)),
    ),
    "the second of ours": (
        [esp("aes128gcm16")],
        ["aes256gcm16", "aes128gcm16"],
        (1, (GCM128, NO_ESN)),
    ),
    "nothing in common": ([esp("aes128gcm16")], ["aes256gcm16"], None),
    "esn wanted, not offered": ([esp("aes256gcm16")], ["aes256gcm16-esn"], None),
    "nothing offered": ([], ["aes256gcm16"], None),
    "nothing wanted": ([BOTH], [], None),
    "esn not mentioned": ([(GCM256,)], ["aes256gcm16"], None),
    "no cipher": ([(NO_ESN,)], ["aes256gcm16"], None),
    "integrity NONE goes back": (
        [(GCM256, NO_INTEG, NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_INTEG, NO_ESN)),
    ),
    "integrity with an AEAD": ([(GCM256, SHA256_128, NO_ESN)], ["aes256gcm16"], None),
    "integrity or NONE": (
        [(GCM256, SHA256_128, NO_INTEG, NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_INTEG, NO_ESN)),
    ),
    "a cipher with its integrity": (
        [esp("aes256-aes128-sha256-sha384-esn")],
        ["aes256gcm16", "aes256-sha384-sha256-noesn-esn"],
        (1, (CBC256, SHA384_192, WITH_ESN)),
    ),
    "an AEAD before a cipher for old peers": (
        [esp("aes256-sha256"), esp("aes256gcm16")],
        list(DEFAULT_ESP),
        (2, (GCM256, NO_ESN)),
    ),
    "no integrity for a cipher that needs it": ([(CBC256, NO_ESN)], ["aes256-sha256"], None),
    "integrity NONE for it": ([(CBC256, NO_INTEG, NO_ESN)], ["aes256-sha256"], None),
    "another integrity": ([esp("aes256-sha512")], ["aes256-sha256"], None),
    # §3.3 forbids such a mixed offer; from it, too, only what belongs together is taken.
    "both kinds of cipher in one proposal": (
        [(GCM256, CBC256, SHA256_128, NO_ESN)],
        ["aes256gcm16", "aes256-sha256"],
        (1, (CBC256, SHA256_128, NO_ESN)),
    ),
    "a strange attribute": ([(STRANGE, NO_ESN)], ["aes256gcm16"], None),
    "a strange attribute beside a plain one": (
        [(STRANGE, GCM256, NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_ESN)),
    ),
    "a strange type": ([(GCM256, NO_ESN, Transform(6, 36))], ["aes256gcm16"], None),
    "a strange type, then a plain proposal": (
        [(GCM256, NO_ESN, Transform(241, 1)), esp("aes256gcm16")],
        ["aes256gcm16"],
        (2, (GCM256, NO_ESN)),
    ),
    "a PRF in ESP": ([(GCM256, SHA384, NO_ESN)], ["aes256gcm16"], None),
    "strange numbers beside": (
        [(Transform(ENCR, 999), GCM256, Transform(ESN, 9), NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_ESN)),
    ),
    "a key length that must not be": (
        [(Transform(ENCR, 28, 256), NO_ESN)],
        ["chacha20poly1305"],
        None,
    ),
    "a key length that must be": ([(Transform(ENCR, 20), NO_ESN)], ["aes256gcm16"], None),
    "perfect forward secrecy": (
        [esp("aes256gcm16-x25519")],
        ["aes256gcm16-ecp256-x25519"],
        (1, (GCM256, X25519, NO_ESN)),
    ),
    "exchange NONE goes back": (
        [(GCM256, NO_KE, NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_KE, NO_ESN)),
    ),
    "exchange or NONE": (
        [(GCM256, X25519, NO_KE, NO_ESN)],
        ["aes256gcm16"],
        (1, (GCM256, NO_KE, NO_ESN)),
    ),
    "exchange wanted, not offered": ([esp("aes256gcm16")], ["aes256gcm16-x25519"], None),
    "exchange offered, not wanted": ([esp("aes256gcm16-x25519")], ["aes256gcm16"], None),
}


@pytest.mark.parametrize("case", ESP_CHOICES)
def test_the_choice_for_a_child_sa(case: str) -> None:
    proposals, ours, expected = ESP_CHOICES[case]
    chosen = choose(offer(ESP, *proposals), [esp(text) for text in ours], ESP)
    if expected is None:
        assert chosen is None
    else:
        number, transforms = expected
        assert chosen == Proposal(number, ESP, bytes(range(1, 5)), transforms)


@pytest.mark.parametrize("theirs", ["aes256gcm16", "aes256gcm16-x25519", "aes256gcm16-ecp256"])
@pytest.mark.parametrize("ours", ["aes256gcm16", "aes256gcm16-x25519"])
def test_no_key_exchange_counts_in_ike_auth(theirs: str, ours: str) -> None:
    chosen = choose(offer(ESP, esp(theirs)), [esp(ours)], ESP, with_exchange=False)
    assert chosen is not None
    assert chosen.transforms == (GCM256, NO_ESN)


@pytest.mark.parametrize(
    ("proposals", "ours", "expected"),
    [
        (["aes256gcm16-prfsha384-x25519"], DEFAULT_IKE, (1, "aes256gcm16-prfsha384-x25519")),
        (DEFAULT_IKE, DEFAULT_IKE, (1, "aes256gcm16-prfsha384-x25519-ke1_mlkem768")),
        (DEFAULT_IKE[1:], DEFAULT_IKE, (1, "aes256gcm16-prfsha384-x25519")),
        (DEFAULT_IKE[::-1], DEFAULT_IKE, (5, "aes256gcm16-prfsha384-x25519-ke1_mlkem768")),
        (
            DEFAULT_IKE,
            ["chacha20poly1305-prfsha256-ecp256"],
            (3, "chacha20poly1305-prfsha256-ecp256"),
        ),
        (["aes256gcm16-prfsha384-ecp256"], ["aes256gcm16-prfsha384-x25519"], None),
        (["aes128-sha256-ecp256"], DEFAULT_IKE, (1, "aes128-sha256-prfsha256-ecp256")),
        (["aes256-sha384-prfsha512-x25519"], ["aes256-sha256-x25519"], None),
        (["aes256gcm16-prfsha256-x25519"], ["aes256gcm16-prfsha384-x25519"], None),
    ],
)
def test_the_choice_for_an_ike_sa(
    proposals: list[str], ours: list[str], expected: tuple[int, str] | None
) -> None:
    chosen = choose(offer(IKE, *map(ike, proposals)), [ike(text) for text in ours], IKE)
    if expected is None:
        assert chosen is None
    else:
        assert chosen is not None
        assert (chosen.number, describe(chosen.transforms)) == expected
        assert IkeSuite.from_transforms(chosen.transforms).name == expected[1]


def test_an_ike_proposal_must_have_every_mandatory_type() -> None:
    wanted = [ike("aes256gcm16-prfsha384-x25519")]
    whole = wanted[0]
    for index in range(len(whole)):
        assert choose(offer(IKE, whole[:index] + whole[index + 1 :]), wanted, IKE) is None
    assert choose(offer(IKE, (*whole, NO_ESN)), wanted, IKE) is None
    assert choose(offer(IKE, (GCM256, SHA384, NO_KE)), wanted, IKE) is None


def test_proposals_for_another_protocol_are_passed_over() -> None:
    proposals = (
        Proposal(1, ProtocolId.AH, b"\0\0\0\1", (GCM256, NO_ESN)),
        Proposal(2, ESP, b"\0\0\0\2", (GCM256, NO_ESN)),
    )
    assert choose(proposals, [esp("aes256gcm16")], ESP) == proposals[1]
    assert choose(proposals[:1], [esp("aes256gcm16")], ESP) is None


def test_the_initiator_sees_when_an_answer_leaves_its_offer() -> None:
    ours = [esp(text) for text in DEFAULT_ESP]
    good = Proposal(2, ESP, b"\0\0\0\7", (CHACHA, WITH_ESN))
    assert choose((good,), ours, ESP) == good
    two = Proposal(2, ESP, b"\0\0\0\7", (CHACHA, WITH_ESN, NO_ESN))
    assert choose((two,), ours, ESP) != two
    assert choose((Proposal(2, ESP, b"\0\0\0\7", (SHA384, WITH_ESN)),), ours, ESP) is None


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
good_or_strange = st.one_of(st.sampled_from([*SUPPORTED.values(), NO_INTEG, NO_KE]), anything)


@given(
    offered=st.lists(st.lists(good_or_strange, max_size=8), max_size=4),
    honest=st.lists(esp_texts, max_size=2),
    ours=st.lists(esp_texts, max_size=3),
    with_exchange=st.booleans(),
)
def test_what_is_chosen_for_esp_is_in_both_offers(
    offered: list[list[Transform]], honest: list[str], ours: list[str], with_exchange: bool
) -> None:
    proposals = offer(ESP, *map(tuple, offered), *map(esp, honest))
    wanted = [esp(text) for text in ours]
    chosen = choose(proposals, wanted, ESP, with_exchange=with_exchange)
    if chosen is None:
        return
    source = proposals[chosen.number - 1]
    assert chosen.spi == source.spi
    assert set(chosen.transforms) <= set(source.transforms)
    assert any(set(chosen.transforms) <= {*own, *NONE.values()} for own in wanted)
    types = {t.type for t in source.transforms} - (set() if with_exchange else {KE, *ADDITIONAL})
    assert sorted(t.type for t in chosen.transforms) == sorted(types)
    EspSuite.from_transforms(chosen.transforms)


def _needs_integrity(transforms: set[Transform]) -> bool:
    return any(t.type == ENCR and t.id == 12 for t in transforms)


@given(offered=st.lists(ike_texts, max_size=3), ours=st.lists(ike_texts, max_size=3))
def test_an_ike_suite_is_found_exactly_when_there_is_one(
    offered: list[str], ours: list[str]
) -> None:
    chosen = choose(offer(IKE, *map(ike, offered)), [ike(text) for text in ours], IKE)
    possible = [{t for t in ike(mine) if t in ike(theirs)} for mine in ours for theirs in offered]
    whole = [
        common
        for common in possible
        if {t.type for t in common}
        == {ENCR, PRF, KE} | ({INTEG} if _needs_integrity(common) else set())
    ]
    assert (chosen is not None) == bool(whole)
    if chosen is not None:
        assert any(set(chosen.transforms) <= common for common in whole)
        IkeSuite.from_transforms(chosen.transforms)
