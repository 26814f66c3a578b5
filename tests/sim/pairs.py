"""Two hosts through a random life, decided by one seed; in the end both must see the same.

Loss up to 30 %, reordering, duplication; rekeys of both kinds, deletes, restarts, other addresses
(RFC 4555) and new mappings of a NAT, at random times. A host does what the daemon does: it connects
again when it must.

    python -m tests.sim.pairs --seeds 100000
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator

from hushwire.ike import closing
from hushwire.ike.inputs import Limits, Patience
from hushwire.ike.states import Closed, Established
from hushwire.sa.association import Encapsulation, Path
from hushwire.sa.lifetimes import Lifetimes
from tests.sim.network import ADDRESSES, Host, Weather, esp, ike, peer
from tests.sim.storm import ELSEWHERE, Storm

STORM_SECONDS = 60.0
CALM_SECONDS = 240.0
# Longer than the gentle kind's patience, as `Limits` is than the default one.
LIMITS = Limits(replaced_seconds=80.0)
OTHER = {"alice": "bob", "bob": "alice"}
_ESP = (
    "aes256gcm16-esn",
    "aes256gcm16-esn-x25519",
    "aes256gcm16-x25519-ecp256-esn",
    "aes256gcm16-x25519-ke1_mlkem768-esn",
    "aes256gcm16-x25519-ke1_mlkem768-ke2_ecp256-esn",
)
_PLAIN = "aes256gcm16-prfsha384-x25519"
_IKE = (_PLAIN, _PLAIN, f"{_PLAIN}-ke1_mlkem768", f"{_PLAIN}-ke1_mlkem768-ke3_ecp256")
_RETRY_SECONDS = 1.0
_PACKET_SECONDS = 0.2
_PACKET_SECONDS_IN_THE_CALM = 2.0
_INSIDE = (
    frozenset((ADDRESSES["alice"],)),
    frozenset((ELSEWHERE["alice"],)),
    frozenset((ADDRESSES["alice"], ELSEWHERE["alice"])),
)


class Life:
    """One seed. `gentle`: nobody deletes or restarts, and then no packet may be lost either."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.gentle = seed % 2 == 0
        self.loss = self.random.uniform(0.0, 0.3)
        weather = Weather(
            self.loss,
            self.random.uniform(0.0, 0.3),
            (0.005, self.random.choice((0.01, 0.1, 0.5))),
        )
        # The gentle kind has patience enough for 30 % loss, and for a peer that cannot answer as
        # long as the storm lasts (it waits for IKE_AUTH where we were): no IKE SA ends by it.
        patience = Patience(0.5, 1.1, 28) if self.gentle else Patience()
        nat = self.random.random() < 0.3
        inside = self.random.choice(_INSIDE) if nat else frozenset()
        self.network = Storm(seed, weather, inside=inside)
        # Who both move at once lose each other (RFC 4555 §1.3): not the gentle kind.
        self.movers = [self.random.choice(tuple(OTHER))] if self.gentle else [*OTHER]
        # With additional key exchanges (RFC 9370), one life is several exchanges longer.
        proposals = {
            "esp_proposals": esp(self.random.choice(_ESP)),
            "ike_proposals": ike(self.random.choice(_IKE)),
        }
        self.lifetimes = lifetimes = Lifetimes(
            self.random.choice((None, 7.0)), None, None, self.random.choice((None, 11.0))
        )
        self.settings = {"lifetimes": lifetimes, **proposals}
        self.patience = patience
        for name in OTHER:
            self._start(name)
        self.seen = dict.fromkeys(OTHER, 0)

    def _start(self, name: str) -> None:
        known = peer(name, OTHER[name], **self.settings)
        self.network.host(name, known, patience=self.patience, limits=LIMITS)

    def host(self, name: str) -> Host:
        return self.network.people[name]

    def run(self) -> None:
        """Raises `AssertionError` where the two do not agree in the end."""
        network = self.network
        end = network.now + STORM_SECONDS
        network.connect(self.host("alice"), "bob")
        for _ in range(self.random.randrange(2, 25)):
            at = network.now + self.random.uniform(0.0, STORM_SECONDS)
            network.at(at, self._pick())
        network.at(network.now, lambda: self._tick(end))
        network.run(STORM_SECONDS)
        network.weather = Weather()
        for name in OTHER:
            self._outlive(self.host(name))
        network.run(CALM_SECONDS)
        self._agree(self.host("alice"), self.host("bob"))
        if self.gentle:
            assert not network.lost, network.lost[:5]
        assert network.carried

    def _agree(self, alice: Host, bob: Host) -> None:
        agree(alice, bob)
        (a,), (b,) = alice.sas.values(), bob.sas.values()
        assert a.encapsulation is b.encapsulation
        outside = self.network.outside(a.path)
        assert (a.path.local.ip, b.path.local.ip) == tuple(self.network.places.values())
        assert (outside.local.ip, a.path.remote.ip) == (b.path.remote.ip, b.path.local.ip)
        if a.encapsulation is Encapsulation.UDP:
            assert outside == Path(b.path.remote, b.path.local)

    def _outlive(self, host: Host) -> None:
        """From now on nothing is rekeyed, so that the end is a still picture."""
        for kind in Lifetimes.__slots__:
            object.__setattr__(self.lifetimes, kind, None)
        for session in host.endpoint._sessions:
            session.rekey_at = float("inf")
            if isinstance(session.state, Established):
                for child in session.state.children:
                    child.rekey_at = float("inf")

    def _pick(self) -> Callable[[], None]:
        name = self.random.choice(("alice", "bob"))
        network = self.network
        kind = [
            lambda: network.rekey(self.host(name)),
            lambda: network.rekey(self.host(name), ike=True),
            lambda: self._both(ike=False),
            lambda: self._both(ike=True),
            self._mixed,
            lambda: network.connect(self.host("alice"), "bob", again=True),
            network.rebind,
            lambda: network.move(self.random.choice(self.movers), self.random.uniform(0.0, 3.0)),
        ]
        if not self.gentle:
            kind += [
                lambda: self._delete_child(self.host(name)),
                lambda: self._delete_ike_sa(self.host(name)),
                lambda: self._restart(name),
            ]
        return self.random.choice(kind)

    def _both(self, *, ike: bool) -> None:
        for name in OTHER:
            self.network.rekey(self.host(name), ike=ike)

    def _mixed(self) -> None:
        self.network.rekey(self.host("alice"), ike=True)
        self.network.rekey(self.host("bob"))

    def _delete_child(self, host: Host) -> None:
        turn = host.endpoint._turn(self.network.now)
        for session in host.endpoint._sessions:
            if isinstance(session.state, Established) and session.state.children.live:
                session.state.children.delete(session.state.children.live[0], turn)
        self.network._carry_out(host, host.endpoint._done(turn))

    def _delete_ike_sa(self, host: Host) -> None:
        turn = host.endpoint._turn(self.network.now)
        for session in host.endpoint._sessions:
            if isinstance(session.state, Established):
                closing.close(session, turn)
        self.network._carry_out(host, host.endpoint._done(turn))

    def _restart(self, name: str) -> None:
        if not self.network.is_reachable(self.host(name)):
            return
        self._start(name)
        self.seen[name] = 0

    def _tick(self, end: float) -> None:
        """An application's packets, and what the daemon does about failures."""
        network = self.network
        alice, bob = self.host("alice"), self.host("bob")
        network.send_packet(alice)
        if self.random.random() < 0.5:  # traffic need not go both ways
            network.send_packet(bob)
        for host, other in ((alice, "bob"), (bob, "alice")):
            if not host.endpoint.busy(other) and not (network.inside and host is bob):
                self._connect_again(host, other)
        pause = _PACKET_SECONDS if network.now < end else _PACKET_SECONDS_IN_THE_CALM
        network.at(network.now + pause, lambda: self._tick(end))

    def _connect_again(self, host: Host, other: str) -> None:
        failures = len(host.failures)
        if failures > self.seen[host.name] or host.name == "alice":
            self.seen[host.name] = failures
            network = self.network
            network.at(network.now + _RETRY_SECONDS, lambda: network.connect(host, other))


def agree(alice: Host, bob: Host) -> None:
    """One IKE SA, the same on both sides, with the same CHILD_SAs, and nothing else is left."""
    (view_a,), (view_b,) = alice.endpoint.sessions(), bob.endpoint.sessions()
    spis = view_a.initiator_spi, view_a.responder_spi
    assert spis == (view_b.initiator_spi, view_b.responder_spi)
    assert view_a.role is not view_b.role
    pairs_a = {(sa.inbound_spi, sa.outbound_spi) for sa in view_a.children}
    pairs_b = {(sa.outbound_spi, sa.inbound_spi) for sa in view_b.children}
    assert pairs_a == pairs_b
    assert len(pairs_a) == 1, pairs_a
    for host, view in ((alice, view_a), (bob, view_b)):
        assert set(host.sas) == {sa.inbound_spi for sa in view.children}
        others = [s.state for s in host.endpoint._sessions if not isinstance(s.state, Closed)]
        assert len(others) == 1, others
    (a,), (b,) = alice.sas.values(), bob.sas.values()
    assert (a.inbound_key, a.outbound_key) == (b.outbound_key, b.inbound_key)


def live(seed: int) -> tuple[int, str]:
    """Live one life; what went wrong, or ""."""
    try:
        Life(seed).run()
    except Exception as error:  # a seed that fails is to be named, whatever it is
        return seed, f"{type(error).__name__}: {error}"
    return seed, ""


def outcomes(seeds: range, processes: int | None) -> Iterator[tuple[int, str]]:
    """Every seed's, by so many processes; None: on all processors."""
    if processes == 1:
        yield from map(live, seeds)
        return
    with multiprocessing.Pool(processes) as pool:
        yield from pool.imap_unordered(live, seeds, chunksize=8)


def main() -> int:
    """Progress, and the seeds that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    failed, begun = 0, time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    for done, (seed, problem) in enumerate(outcomes(seeds, options.processes), start=1):
        if problem:
            failed += 1
            print(f"seed {seed}: {problem}", flush=True)
        if done % 1000 == 0 or done == options.seeds:
            pace = done / (time.monotonic() - begun)
            print(
                f"{done} of {options.seeds} lives, {failed} failed, {pace:.0f} a second", flush=True
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
