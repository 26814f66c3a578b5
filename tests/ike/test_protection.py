"""The SK payload (RFC 7296 §3.14, RFC 5282): what is sealed, and what cannot be opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hushwire.crypto.errors import BadIcvError
from hushwire.crypto.suites import IkeSuite, parse_proposal
from hushwire.ike.keys import IkeKeys, derive_ike_keys
from hushwire.ike.protection import Protection
from hushwire.wire.errors import UnsupportedCriticalPayloadError, WireError
from hushwire.wire.ike.message import Message, Payload, build_sk_head
from hushwire.wire.ike.payloads.encrypted import Encrypted
from hushwire.wire.registry import ExchangeType, ProtocolId
from tests.wire import samples

SUITES = ["aes256gcm16-prfsha384-x25519", "aes128gcm16-prfsha256-x25519",
          "chacha20poly1305-prfsha256-x25519"]  # fmt: skip
HEADER = samples.header(ExchangeType.IKE_AUTH)


def ends(text: str = SUITES[0]) -> tuple[Protection, Protection, IkeSuite, IkeKeys]:
    suite = IkeSuite.from_transforms(parse_proposal(text, ProtocolId.IKE))
    keys = derive_ike_keys(suite, b"secret", (bytes(32), bytes(32)), (bytes(8), bytes(8)))
    return (
        Protection(suite, keys, bytes, initiator=True),
        Protection(suite, keys, bytes, initiator=False),
        suite,
        keys,
    )


def encrypted(message: bytes) -> Encrypted:
    sealed = Message.parse(message).encrypted
    assert sealed is not None
    return sealed


def raw(plaintext: bytes, first: int = 0) -> Encrypted:
    """Any plaintext, sealed with the initiator's key."""
    *_, suite, keys = ends()
    head = build_sk_head(HEADER, first, 8 + len(plaintext) + 16)
    iv = b"an IV..."
    return encrypted(head + iv + suite.cipher.keyed(keys.ei).seal(iv, plaintext, head))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("chain", samples.CHAINS)
def test_what_one_end_seals_the_other_opens(suite: str, chain: tuple[Payload, ...]) -> None:
    initiator, responder, *_ = ends(suite)
    for sender, receiver in ((initiator, responder), (responder, initiator)):
        sealed = encrypted(sender.seal(HEADER, chain))
        assert receiver.open_payloads(sealed) == chain
        with pytest.raises(BadIcvError):
            sender.open(sealed)  # §2.14: the two directions have their own keys


def test_no_iv_is_used_twice() -> None:
    initiator, *_ = ends()
    ivs = [encrypted(initiator.seal(HEADER, ())).body[:8] for _ in range(100)]
    assert len(set(ivs)) == 100


def test_every_flipped_bit_is_noticed_in_the_header_too() -> None:
    initiator, responder, *_ = ends()
    sealed = encrypted(initiator.seal(HEADER, samples.CHAINS[2]))
    whole, head = sealed.aad + sealed.body, len(sealed.aad)
    for bit in range(8 * len(whole)):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadIcvError):
            responder.open(replace(sealed, aad=bytes(spoilt[:head]), body=bytes(spoilt[head:])))
    assert responder.open_payloads(sealed) == samples.CHAINS[2]


def test_a_body_of_any_length_that_nobody_sealed_is_not_the_peers_fault() -> None:
    """Else anybody could end an IKE SA with a few octets of rubbish."""
    initiator, responder, *_ = ends()
    sealed = encrypted(initiator.seal(HEADER, samples.CHAINS[0]))
    for length in range(len(sealed.body)):
        with pytest.raises(BadIcvError):
            responder.open(replace(sealed, body=sealed.body[:length]))
    with pytest.raises(BadIcvError):
        responder.open(replace(sealed, body=sealed.body + b"\0"))


@pytest.mark.parametrize("padding", [b"\0", b"\xaa\1", bytes(255) + b"\xff"])
def test_padding_of_any_content_and_length_is_taken_off(padding: bytes) -> None:
    _, responder, *_ = ends()
    assert responder.open(raw(b"chain" + padding)) == b"chain"


@pytest.mark.parametrize("plaintext", [b"", b"\1", b"\xff", b"ab\3", bytes(254) + b"\xff"])
def test_a_pad_length_that_lies_is_malformed(plaintext: bytes) -> None:
    _, responder, *_ = ends()
    with pytest.raises(WireError):
        responder.open(raw(plaintext))


def test_what_is_genuine_is_still_parsed_with_care() -> None:
    _, responder, *_ = ends()
    for first, plaintext in [(0, b"left over\0"), (46, bytes([0, 0, 0, 4, 0])), (41, b"\0")]:
        with pytest.raises(WireError):
            responder.open_payloads(raw(plaintext, first))
    with pytest.raises(UnsupportedCriticalPayloadError):
        responder.open_payloads(raw(bytes([0, 0x80, 0, 4, 0]), 200))
    assert responder.open_payloads(raw(bytes([0, 0, 0, 4, 0]), 200)) == ()
