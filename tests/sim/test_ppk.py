"""Post-quantum preshared keys: every row of RFC 8784's table 1, and what a mistake is told by."""

from __future__ import annotations

import pytest

from hushwire.explain.outcome import Event, Failure
from hushwire.explain.ppk import PpkDiffers, PpkNotUsed, PpkUnknown
from hushwire.explain.sentences import tell
from hushwire.sa.ppk import Ppk
from hushwire.wire.ike.message import Message, every
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import NotifyType
from tests.sim.network import Host, Network, assert_one_tunnel, ike, peer, raw_keys
from tests.sim.stages import session_of

SECRET = b"32 octets that no quantum computer guesses"
REQUIRED = Ppk(SECRET, "ours")
OPTIONAL = Ppk(SECRET, "ours", required=False)
OTHER_ID = Ppk(SECRET, "theirs")
OTHER_ID_OPTIONAL = Ppk(SECRET, "theirs", required=False)
WRONG = Ppk(b"another secret of that name", "ours")


def hosts(
    alice: Ppk | None, bob: Ppk | None, *, keys: bool = False, **changes: object
) -> tuple[Network, Host, Host]:
    """Connected, or not; alice has begun."""
    network = Network()
    for_alice, for_bob = raw_keys() if keys else ({}, {})
    a = network.host("alice", peer("alice", "bob", ppk=alice, **for_alice, **changes))
    b = network.host("bob", peer("bob", "alice", ppk=bob, **for_bob, **changes))
    network.connect(a, "bob")
    network.run(1)
    return network, a, b


@pytest.mark.parametrize("keys", [False, True], ids=["shared secret", "raw keys"])
@pytest.mark.parametrize(
    ("alice", "bob", "used"),
    [
        (REQUIRED, REQUIRED, True),
        (REQUIRED, OPTIONAL, True),
        (OPTIONAL, REQUIRED, True),
        (OPTIONAL, OPTIONAL, True),
        (None, OPTIONAL, False),
        (OPTIONAL, None, False),
        (OPTIONAL, OTHER_ID_OPTIONAL, False),
    ],
)
def test_a_tunnel_with_it_where_both_have_it(
    alice: Ppk | None, bob: Ppk | None, used: bool, keys: bool
) -> None:
    network, a, b = hosts(alice, bob, keys=keys)
    assert_one_tunnel(a, b)
    first, second = (session_of(host).secrets() for host in (a, b))
    assert first is not None
    assert second is not None
    assert first.keys == second.keys
    without, c, _ = hosts(None, None, keys=keys)
    del without
    plain = session_of(c).secrets()
    assert plain is not None
    # The same seed: the nonces and the keys that encrypt are the same, the others only without.
    assert plain.keys.ei == first.keys.ei
    assert (plain.keys.d == first.keys.d) is not used
    network.rekey(a, ike=True)
    network.rekey(b)
    network.run(30)
    assert_one_tunnel(a, b)


@pytest.mark.parametrize(
    ("alice", "bob", "at_alice", "at_bob"),
    [
        # USE_PPK is not answered: the initiator goes no further.
        (REQUIRED, None, PpkNotUsed, None),
        (None, REQUIRED, Failure, PpkNotUsed),
        (REQUIRED, OTHER_ID, PpkDiffers, PpkUnknown),
        (REQUIRED, OTHER_ID_OPTIONAL, PpkDiffers, PpkUnknown),
        (OPTIONAL, OTHER_ID, PpkDiffers, PpkUnknown),
        (REQUIRED, WRONG, PpkDiffers, PpkDiffers),
        (OPTIONAL, WRONG, PpkDiffers, PpkDiffers),
    ],
)
def test_without_the_same_one_there_is_no_tunnel_and_both_are_told(
    alice: Ppk | None, bob: Ppk | None, at_alice: type[Event], at_bob: type[Event] | None
) -> None:
    _, a, b = hosts(alice, bob)
    assert not a.sas
    assert not b.sas
    (failure,) = a.failures
    assert isinstance(failure, at_alice)
    assert [type(event) for event in b.failures] == ([at_bob] if at_bob else [])
    for event in (*a.failures, *b.failures):
        assert "post-quantum key" in tell(event) or at_alice is Failure


def test_it_goes_with_additional_key_exchanges() -> None:
    text = "aes256gcm16-prfsha384-x25519-ke1_mlkem768"
    _, a, b = hosts(REQUIRED, REQUIRED, ike_proposals=ike(text))
    assert_one_tunnel(a, b)
    secrets = session_of(a).secrets()
    assert secrets is not None
    assert secrets.int_auth.count == 1


def test_who_has_none_says_nothing_of_it() -> None:
    network, _, _ = hosts(None, OPTIONAL)
    for _, data, _ in network.sent[:2]:
        notifies = every(Message.parse(data).payloads, Notify)
        assert NotifyType.USE_PPK not in [notify.type for notify in notifies]


def test_its_secret_is_not_shown() -> None:
    assert "quantum" not in repr(REQUIRED)
