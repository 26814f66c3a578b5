"""New keys, begun by either side or by both at once (RFC 7296 §2.8, §2.25)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from hushwire.explain.outcome import ClosedByPeer, Failure, PeerMisbehaved, Rekeyed, RekeyFailed
from hushwire.ike import closing
from hushwire.ike.children import Stage
from hushwire.ike.effects import ConfirmSa, InstallSa, RetireSa, Send
from hushwire.ike.inputs import Limits
from hushwire.ike.jobs import MakeChild, RekeyIke
from hushwire.ike.session import Session
from hushwire.ike.states import Closed, Established
from hushwire.ike.tasks import create
from hushwire.sa.association import Path
from hushwire.sa.lifetimes import Lifetimes
from tests.sim.network import Host, Network, assert_one_tunnel, esp, ike, pair, peer
from tests.sim.pairs import agree
from tests.sim.storm import outbound

DRAIN = Limits().drain_seconds + 1
PFS = ("aes256gcm16-esn-x25519", "aes256gcm16-ecp384-x25519-esn")


def connected(**changes: object) -> tuple[Network, Host, Host]:
    network = Network()
    alice, bob = pair(network, **changes)
    network.connect(alice, "bob")
    network.run(1)
    assert_one_tunnel(alice, bob)
    return network, alice, bob


def session(host: Host) -> Session:
    """The IKE SA that stands."""
    (found,) = [s for s in host.endpoint._sessions if isinstance(s.state, Established)]
    return found


def spis(host: Host) -> tuple[bytes, bytes]:
    return session(host).link.initiator_spi, session(host).link.responder_spi


def suites(host: Host, what: str) -> int:
    return len([event for event in host.saw(Rekeyed) if event.what == what])  # type: ignore[attr-defined]


@pytest.mark.parametrize("esp_suites", [("aes256gcm16-esn",), *[(one,) for one in PFS]])
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_child_sa_is_replaced_make_before_break(who: str, esp_suites: tuple[str, ...]) -> None:
    network, alice, bob = connected(esp_proposals=esp(*esp_suites))
    old = alice.sas | bob.sas
    before = spis(alice)
    begins, answers = (alice, bob) if who == "alice" else (bob, alice)
    network.rekey(begins)
    network.run(0.015)
    # The responder has it, and still sends on the old one; the initiator does not know it yet.
    assert len(answers.sas) == 2
    assert len(begins.sas) == 1
    sending = outbound(answers)
    assert sending is not None
    assert sending.inbound_spi in old
    network.run(0.01)
    # The initiator sends on the new one at once, and both still receive on the old one.
    sending = outbound(begins)
    assert sending is not None
    assert sending.inbound_spi not in old
    assert len(begins.sas) == len(answers.sas) == 2
    network.run(0.5)
    sending = outbound(answers)  # the Delete of the old one is proof enough
    assert sending is not None
    assert sending.inbound_spi not in old
    network.run(DRAIN)
    assert_one_tunnel(alice, bob)
    assert not set(old) & set(alice.sas | bob.sas)
    keys = {
        key
        for sa in (*old.values(), *alice.sas.values())
        for key in (sa.inbound_key, sa.outbound_key)
    }
    assert len(keys) == 4
    assert spis(alice) == before
    assert suites(alice, "CHILD_SA") == suites(bob, "CHILD_SA") == 1


def test_effects_come_in_the_order_that_loses_nothing() -> None:
    network, alice, _bob = connected()
    orders: dict[str, list[type]] = {"alice": [], "bob": []}
    carry_out = network._carry_out

    def noting(host: Host, effects: list[object]) -> None:
        orders[host.name] += [
            type(e) for e in effects if isinstance(e, InstallSa | ConfirmSa | RetireSa | Send)
        ]
        carry_out(host, effects)  # type: ignore[arg-type]

    network._carry_out = noting  # type: ignore[assignment]
    network.rekey(alice)
    network.run(1)
    assert orders["alice"] == [Send, InstallSa, RetireSa, Send]
    assert orders["bob"] == [ConfirmSa, InstallSa, Send, ConfirmSa, RetireSa, Send]


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_an_ike_sa_is_replaced_and_the_child_sas_stay(who: str) -> None:
    network, alice, bob = connected()
    before, sas = spis(alice), dict(alice.sas)
    for _ in range(3):
        network.rekey(alice if who == "alice" else bob, ike=True)
        network.run(DRAIN)
        assert_one_tunnel(alice, bob)
        assert spis(alice) != before
        before = spis(alice)
    assert alice.sas == sas
    assert alice.endpoint.sessions()[0].role.value == (
        "initiator" if who == "alice" else "responder"
    )
    # The new one works: a CHILD_SA is rekeyed under its keys, liveness is answered.
    network.rekey(alice)
    network.run(60)
    agree(alice, bob)
    assert not alice.failures


def test_an_ike_sa_may_change_its_suite_when_it_is_rekeyed() -> None:
    network, alice, bob = connected(ike_proposals=ike("aes128gcm16-prfsha256-ecp256"))
    better = ike("aes256gcm16-prfsha512-x25519", "aes128gcm16-prfsha256-ecp256")
    for host in (alice, bob):
        verified = session(host).state.verified  # type: ignore[union-attr]
        verified.peer = type(verified.peer)(
            **{f: getattr(verified.peer, f) for f in type(verified.peer).__slots__}
            | {"ike_proposals": better}
        )
    network.rekey(alice, ike=True)  # by INVALID_KE_PAYLOAD: its key is for the old suite's group
    network.run(1)
    assert alice.endpoint.sessions()[0].ike_suite == "aes256gcm16-prfsha512-x25519"
    network.rekey(bob)
    network.run(DRAIN)
    agree(alice, bob)


# Both at once.


def rekey_child(network: Network, host: Host) -> None:
    network.rekey(host)


def rekey_ike(network: Network, host: Host) -> None:
    network.rekey(host, ike=True)


def delete_child(network: Network, host: Host) -> None:
    turn = host.endpoint._turn(network.now)
    children = session(host).state.children  # type: ignore[union-attr]
    children.delete(children.live[0], turn)
    network._carry_out(host, host.endpoint._done(turn))


def delete_ike(network: Network, host: Host) -> None:
    turn = host.endpoint._turn(network.now)
    closing.close(session(host), turn)
    network._carry_out(host, host.endpoint._done(turn))


Act = Callable[[Network, Host], None]
MAKING: tuple[Act, ...] = (rekey_child, rekey_ike)
ENDING: tuple[Act, ...] = (delete_child, delete_ike)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("of_bob", MAKING)
@pytest.mark.parametrize("of_alice", MAKING)
def test_rekeyings_that_cross_end_in_one_of_each(of_alice: Act, of_bob: Act, seed: int) -> None:
    network, alice, bob = connected()
    network.random.seed(seed)
    first, before = spis(alice), set(alice.sas)
    most = {"IKE SA": 0, "CHILD_SA": 0}

    def count(host: Host, data: bytes, path: Path) -> bytes:
        established = [s for s in host.endpoint._sessions if s.secrets() is not None]
        most["IKE SA"] = max(most["IKE SA"], len(established))
        most["CHILD_SA"] = max(most["CHILD_SA"], len(host.sas))
        return data

    network.on_send = count
    of_alice(network, alice)
    of_bob(network, bob)
    network.run(30)
    agree(alice, bob)
    if of_alice is of_bob:  # §2.8.1, §2.8.2: the old one, and two that replace it
        assert most["IKE SA" if of_alice is rekey_ike else "CHILD_SA"] >= 3
    assert not alice.failures
    assert not bob.failures
    assert (spis(alice) != first) == (rekey_ike in (of_alice, of_bob))
    assert (set(alice.sas) != before) == (rekey_child in (of_alice, of_bob))


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.012, 0.024])
@pytest.mark.parametrize(
    ("of_alice", "of_bob"),
    [
        *((rekey_child, delete_ike), (rekey_ike, delete_child), (rekey_ike, delete_ike)),
        *product(ENDING, ENDING),
    ],
)
def test_what_one_side_ends_stays_ended(of_alice: Act, of_bob: Act, delay: float) -> None:
    network, alice, bob = connected()
    of_alice(network, alice)
    network.run(delay)
    if bob.sas:
        of_bob(network, bob)
    network.run(60)
    for host in (alice, bob):
        assert not [s for s in host.endpoint._sessions if not isinstance(s.state, Closed)]
        assert not host.sas


def test_a_child_sa_deleted_while_it_is_rekeyed_is_gone() -> None:
    network, alice, bob = connected()
    rekey_child(network, alice)
    delete_child(network, bob)
    network.run(60)
    assert not alice.sas
    assert not bob.sas


@pytest.mark.parametrize("ike_too", [False, True])
def test_a_rekeying_that_only_one_side_notices_is_forgotten(ike_too: bool) -> None:
    """§2.8.1 and §2.8.2: alice's request is lost until bob's rekeying is over."""
    network, alice, bob = connected()
    lost: list[bytes] = []

    def lose_the_first(host: Host, data: bytes, path: object) -> bytes | None:
        if host is alice and not lost:
            lost.append(data)
            return None
        return data

    network.on_send = lose_the_first
    network.rekey(alice, ike=ike_too)
    network.rekey(bob, ike=ike_too)
    network.run(60)
    assert lost
    agree(alice, bob)
    what = "IKE SA" if ike_too else "CHILD_SA"
    assert suites(alice, what) == suites(bob, what) == 1
    assert not alice.saw(RekeyFailed)


def test_a_child_sa_that_the_peer_has_lost_is_made_anew() -> None:
    """§2.25: CHILD_SA_NOT_FOUND."""
    network, alice, bob = connected()
    turn = bob.endpoint._turn(network.now)
    session(bob).state.children.clear(turn)  # type: ignore[union-attr]
    network._carry_out(bob, bob.endpoint._done(turn))
    network.rekey(alice)
    network.run(DRAIN)
    assert_one_tunnel(alice, bob)


def test_a_host_that_is_put_off_for_minutes_gives_up() -> None:
    """§2.25: TEMPORARY_FAILURE for ever means that the two are out of step."""
    network, alice, bob = connected()
    state = session(bob).state
    assert isinstance(state, Established)
    for stuck in bob.endpoint._sessions:
        stuck.doing = MakeChild(
            None, create.wish(state.verified.peer, 4711, network.random.randbytes)
        )
    network.rekey(alice, ike=True)
    network.run(Limits().temporary_seconds + 10)
    assert [type(event) for event in alice.failures] == [PeerMisbehaved]
    assert [type(event) for event in bob.failures] == [ClosedByPeer]


def test_a_message_that_comes_after_the_end_of_its_rekeying_leaves_nothing() -> None:
    """The host closes while its request to rekey the IKE SA is in flight."""
    network, alice, bob = connected()
    network.rekey(alice, ike=True)
    assert isinstance(session(alice).doing, RekeyIke)
    network.close(alice)
    network.run(3)
    assert alice.endpoint.idle
    network.run(90)
    for host in (alice, bob):
        assert not len(host.endpoint._sessions)
        assert not host.sas


# When.


def test_keys_are_renewed_in_time_with_jitter() -> None:
    lifetimes = Lifetimes(100.0, None, None, 350.0)
    network, alice, bob = connected(lifetimes=lifetimes)
    network.run(88)
    assert not alice.saw(Rekeyed)
    network.run(11.5)
    assert suites(alice, "CHILD_SA") >= 1
    network.run(600)
    agree_after_draining(network, alice, bob)
    assert suites(alice, "CHILD_SA") >= 6
    assert suites(alice, "IKE SA") >= 1
    times = {s.rekey_at for s in (session(alice), session(bob))}
    assert len(times) == 2  # each by its own chance


def agree_after_draining(network: Network, alice: Host, bob: Host) -> None:
    while len(alice.sas) != 1 or len(bob.sas) != 1:
        network.run(1)
    assert_one_tunnel(alice, bob)


@pytest.mark.parametrize(
    ("octets", "packets", "expected"),
    [(1 << 20, 10, True), (10, 1000, True), ((1 << 20) - 1, 999, False)],
)
def test_keys_are_renewed_after_octets_and_packets(
    octets: int, packets: int, expected: bool
) -> None:
    network, alice, bob = connected(lifetimes=Lifetimes(None, 1 << 20, 1000, None))
    (spi,) = alice.sas
    network._carry_out(alice, alice.endpoint.used(spi, octets, packets, network.now))
    network.run(DRAIN)
    assert bool(suites(alice, "CHILD_SA")) == expected
    assert_one_tunnel(alice, bob)


def test_keys_are_renewed_before_the_sequence_numbers_end() -> None:
    network, alice, bob = connected(lifetimes=Lifetimes(None, None, None, None))
    (spi,) = alice.sas
    network._carry_out(alice, alice.endpoint.near_end(spi, network.now))
    network.run(DRAIN)
    assert suites(alice, "CHILD_SA") == 1
    assert_one_tunnel(alice, bob)


# More than one, and other ways.


def test_additional_child_sas_are_made_and_rekeyed_each() -> None:
    network, alice, bob = connected()
    for _ in range(2):
        session(alice).wants_child = True
        network._carry_out(alice, alice.endpoint.timer(network.now))
        network.run(1)
    assert len(alice.sas) == len(bob.sas) == 3
    before = set(alice.sas)
    network.rekey(bob)  # the last one not before bob can be sure that alice has it
    network.run(Limits().replaced_seconds + DRAIN)
    assert len(alice.sas) == len(bob.sas) == 3
    assert not before & set(alice.sas)
    # One of three goes: the IKE SA stays.
    delete_child(network, bob)
    network.run(DRAIN)
    assert len(alice.sas) == len(bob.sas) == 2
    assert not alice.failures


def test_child_sas_are_bounded() -> None:
    limits = Limits(children=3)
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host("bob", peer("bob", "alice"), limits=limits)
    network.connect(alice, "bob")
    network.run(1)
    for _ in range(4):
        session(alice).wants_child = True
        network._carry_out(alice, alice.endpoint.timer(network.now))
        network.run(1)
        assert len(session(bob).state.children) <= 5  # type: ignore[union-attr]
    failed = alice.saw(RekeyFailed)[0]
    assert isinstance(failed, RekeyFailed)
    assert failed.why == "NO_ADDITIONAL_SAS"


def test_pfs_that_one_side_alone_wants_is_given_where_our_file_is_silent() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob"))
    bob = network.host("bob", peer("bob", "alice", esp_proposals=esp("aes256gcm16-x25519-esn")))
    network.connect(alice, "bob")
    network.run(1)
    for host in (alice, bob):  # bob refuses alice's first request, alice takes bob's as it is
        network.rekey(host)
        network.run(DRAIN)
        assert_one_tunnel(alice, bob)
    assert suites(alice, "CHILD_SA") == suites(bob, "CHILD_SA") == 2
    assert not alice.saw(RekeyFailed)


def test_where_rekeying_is_refused_a_new_ike_sa_brings_new_keys() -> None:
    network = Network()
    alice = network.host("alice", peer("alice", "bob", esp_proposals=esp("aes256gcm16-ecp256-esn")))
    bob = network.host("bob", peer("bob", "alice", esp_proposals=esp("aes256gcm16-x25519-esn")))
    network.connect(alice, "bob")
    network.run(1)
    before, first = set(alice.sas), spis(alice)
    network.rekey(alice)
    network.run(DRAIN + Limits().useless_seconds)
    (failed,) = alice.saw(RekeyFailed)
    assert isinstance(failed, RekeyFailed)
    assert failed.why == "NO_PROPOSAL_CHOSEN"
    assert_one_tunnel(alice, bob)
    assert not before & set(alice.sas)
    assert spis(alice) != first
    assert not alice.saw(Failure)


def test_reauthentication_makes_before_it_breaks() -> None:
    network, alice, bob = connected(lifetimes=Lifetimes(None, None, None, None, 50.0))
    old, first = dict(alice.sas), spis(alice)
    network.run(51)
    assert spis(alice) != first
    assert len(alice.sas) == 2  # the old one still receives
    assert set(old) <= alice.retired
    network.run(DRAIN)
    assert_one_tunnel(alice, bob)
    assert not set(old) & set(alice.sas)
    assert not alice.failures
    assert not bob.failures


def test_the_stages_of_a_child_sa() -> None:
    network, alice, bob = connected()
    network.rekey(alice)
    network.run(0.015)
    children = session(bob).state.children  # type: ignore[union-attr]
    assert [child.stage for child in children] == [Stage.REPLACED, Stage.LIVE]
    network.run(0.5)
    assert [child.stage for child in children] == [Stage.DRAINING, Stage.LIVE]
    network.run(DRAIN)
    assert [child.stage for child in children] == [Stage.LIVE]
