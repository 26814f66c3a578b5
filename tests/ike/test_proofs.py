"""AUTH (RFC 7296 §2.15, RFC 7427): nothing but the right proof makes a VerifiedPeer."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest

from hushwire.crypto.prf import PRFS, Prf
from hushwire.crypto.sign import SUPPORTED_HASHES, PrivateKey
from hushwire.ike.credentials import Claim, ProofError, Psk, RawKeys
from hushwire.ike.inputs import Peer
from hushwire.ike.proofs import VerifiedPeer, make, signed_octets, verify
from hushwire.ike.states import Established
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.registry import AuthMethod
from tests.sim.network import SECRET, peer, raw_keys
from tests.sim.stages import Scene, Stage, session_of

PRF = PRFS[0]
OCTETS = b"everything that the peer has said"
HASHES = frozenset(int(number) for number in SUPPORTED_HASHES)
DIGESTS = {"prfsha256": "sha256", "prfsha384": "sha384", "prfsha512": "sha512"}
KINDS = ["psk", "ed25519", "ecdsa-p256", "ecdsa-p384"]


def two(kind: str) -> tuple[Peer, Peer]:
    """How alice knows bob, and bob alice."""
    for_alice, for_bob = ({}, {}) if kind == "psk" else raw_keys(kind)
    return peer("alice", "bob", **for_alice), peer("bob", "alice", **for_bob)


def check(known: Peer, auth: Authentication, octets: bytes = OCTETS) -> VerifiedPeer:
    assert known.remote_id is not None
    return verify(known, Claim(known.remote_id, auth, ()), PRF, octets, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_proof_makes_a_verified_peer(kind: str) -> None:
    bob, alice = two(kind)
    verified = check(alice, make(bob.credential, PRF, OCTETS, HASHES))
    assert verified.peer is alice
    assert verified.identity == alice.remote_id
    assert verified.method == ("shared secret" if kind == "psk" else "public key")


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_over_anything_else_does_not(kind: str) -> None:
    bob, alice = two(kind)
    auth = make(bob.credential, PRF, OCTETS, HASHES)
    for octets in (b"", OCTETS[:-1], OCTETS + b"\0", OCTETS[:-1] + b"!"):
        with pytest.raises(ProofError):
            check(alice, auth, octets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_of_a_wrong_length_or_with_any_octet_changed_does_not(kind: str) -> None:
    bob, alice = two(kind)
    good = make(bob.credential, PRF, OCTETS, HASHES)
    spoilt = [b"", good.data + b"\0", good.data * 2, bytes(len(good.data)), bytes(5000)]
    spoilt += [good.data[:length] for length in range(len(good.data))]
    for at, octet in enumerate(good.data):
        spoilt += [good.data[:at] + bytes([octet ^ bit]) + good.data[at + 1 :] for bit in (1, 128)]
    for data in spoilt:
        with pytest.raises(ProofError):
            check(alice, replace(good, data=data))
    check(alice, good)


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_decides_the_method_not_the_peer(kind: str) -> None:
    bob, alice = two(kind)
    good = make(bob.credential, PRF, OCTETS, HASHES)
    for method in range(256):
        if method != good.method:
            with pytest.raises(ProofError, match="and we expect a"):
                check(alice, replace(good, method=method))


def test_a_shared_secret_does_not_pass_for_a_key_nor_a_key_for_a_secret() -> None:
    (by_secret, wants_secret), (by_key, wants_key) = two("psk"), two("ed25519")
    with pytest.raises(ProofError, match="by a digital signature"):
        check(wants_secret, make(by_key.credential, PRF, OCTETS, HASHES))
    with pytest.raises(ProofError, match="by a shared secret"):
        check(wants_key, make(by_secret.credential, PRF, OCTETS, HASHES))


@pytest.mark.parametrize(
    "secret", [b"", SECRET[:-1], SECRET + b"\1", SECRET[:-1] + b"S", SECRET.upper(), b" " + SECRET]
)
def test_a_secret_that_is_one_octet_off_does_not_pass(secret: bytes) -> None:
    _, alice = two("psk")
    with pytest.raises(ProofError, match="its shared secret is not ours"):
        check(alice, make(Psk(secret), PRF, OCTETS, HASHES))


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("other", KINDS[1:])
def test_another_key_does_not_pass(kind: str, other: str) -> None:
    bob, alice = two(kind)
    assert isinstance(bob.credential, RawKeys)
    mallory = replace(bob.credential, own=PrivateKey.generate(other))
    with pytest.raises(ProofError, match="not by the configured public key"):
        check(alice, make(mallory, PRF, OCTETS, HASHES))


def test_without_a_hash_in_common_nothing_is_signed() -> None:
    bob, _ = two("ecdsa-p256")
    with pytest.raises(ProofError, match="SIGNATURE_HASH_ALGORITHMS"):
        make(bob.credential, PRF, OCTETS, frozenset({1}))


@pytest.mark.parametrize("prf", PRFS, ids=lambda prf: prf.name)
def test_the_shared_key_mic_is_that_of_the_rfc(prf: Prf) -> None:
    def mac(key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, DIGESTS[prf.name]).digest()

    octets = signed_octets(prf, b"SK_p", b"message", b"nonce", b"identification")
    assert octets == b"message" + b"nonce" + mac(b"SK_p", b"identification")
    auth = make(Psk(b"secret"), prf, octets, frozenset())
    key = mac(b"secret", b"Key Pad for IKEv2")
    assert auth == Authentication(AuthMethod.SHARED_KEY_MIC, mac(key, octets))


def test_a_verified_peer_cannot_be_made_by_hand() -> None:
    _, alice = two("psk")
    assert alice.remote_id is not None
    for verification in (None, True, object(), alice):
        with pytest.raises(TypeError, match=r"only .* makes a VerifiedPeer"):
            VerifiedPeer(verification, alice, alice.remote_id, "shared secret")


def test_an_established_state_cannot_be_made_without_a_verified_peer() -> None:
    state = session_of(Scene(Stage.UP).alice).state
    assert isinstance(state, Established)
    for verified in (None, True, object(), state.verified.peer):
        with pytest.raises(TypeError, match="only by a VerifiedPeer"):
            replace(state, verified=verified)  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    bob, _ = two("ed25519")
    assert SECRET.decode() not in repr(Psk(SECRET))
    assert "own" not in repr(bob.credential)
