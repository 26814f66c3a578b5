"""Two hosts through a random life, decided by one seed; in the end both must see the same.

Loss up to 30 %, reordering, duplication; rekeys of both kinds, deletes, restarts and new mappings
of a NAT, at random times. A host does what the daemon does: it connects again when it must.

    python -m tests.sim.pairs --seeds 100000
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from hushwire.ike import closing
from hushwire.ike.inputs import Limits, Patience
from hushwire.ike.states import Closed, Established
from hushwire.sa.association import Address, ChildSa, Path
from hushwire.sa.lifetimes import Lifetimes
from tests.sim.network import ADDRESSES, Host, Network, Weather, esp, ike, peer

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
_OUTSIDE = ip_address("198.51.100.1")
_RETRY_SECONDS = 1.0
_PACKET_SECONDS = 0.2


@dataclass(frozen=True)
class Packet:
    """ESP as far as it matters: by which SA it goes, key, number, and where from."""

    spi: int
    key: bytes
    sequence: int
    path: Path


class Storm(Network):
    """A network with a NAT before alice, if one is there, and ESP in both directions."""

    def __init__(self, seed: int, weather: Weather, *, nat: bool) -> None:
        super().__init__(seed, weather)
        self.offset = 10000 if nat else 0
        self.nat = nat
        self.lost: list[str] = []
        self.sequence = 0
        self.newest: dict[int, int] = {}
        self.carried = 0

    def rebind(self) -> None:
        """The NAT forgets its mappings and makes others."""
        self.offset += 1000

    def _transmit(self, host: Host, data: bytes, path: Path) -> None:
        super()._transmit(host, data, self._outside(host, path))

    def _outside(self, host: Host, path: Path) -> Path:
        """As it is behind the NAT."""
        if not self.nat or host.name != "alice":
            return path
        return path._replace(local=Address(_OUTSIDE, path.local.port + self.offset))

    def _arrive(self, data: bytes, path: Path) -> None:
        if path.remote.ip == _OUTSIDE:
            if not self._mapped(path):
                return
            port = path.remote.port - self.offset
            path = path._replace(remote=Address(ADDRESSES["alice"], port))
        super()._arrive(data, path)

    def _mapped(self, path: Path) -> bool:
        """Does the NAT let this through to alice? Not by a mapping of old."""
        return path.remote.ip != _OUTSIDE or path.remote.port - self.offset in (500, 4500)

    # ESP is not lost, but may be late.

    def send_packet(self, host: Host, to: Host) -> None:
        """One packet of an application, as an engine would send it now."""
        sa = outbound(host)
        if sa is None:
            return
        self.sequence += 1
        path = self._outside(host, sa.path)
        packet = Packet(sa.outbound_spi, sa.outbound_key, self.sequence, path)
        delay = self.random.uniform(0.0, 0.5)
        if self._mapped(sa.path):
            self.at(self.now + delay, lambda: self._receive(to.name, packet))

    def _receive(self, name: str, packet: Packet) -> None:
        host = self.hosts[ADDRESSES[name]]
        sa = host.sas.get(packet.spi)
        if not self.carried and sa is None:
            return  # the response to the first IKE_AUTH is not there yet
        if sa is None or sa.inbound_key != packet.key:
            self.lost.append(f"{host.name} at {self.now:.3f}: {packet.spi:#x}")
            return
        self.carried += 1
        host.proved.add(packet.spi)
        self._follow(host, sa, packet)
        host.endpoint.heard(packet.spi, self.now)

    def _follow(self, host: Host, sa: ChildSa, packet: Packet) -> None:
        """As `engines.base.PathMoved` says."""
        newest = packet.sequence > self.newest.get(packet.spi, 0)
        self.newest[packet.spi] = max(packet.sequence, self.newest.get(packet.spi, 0))
        path = Path(packet.path.remote, packet.path.local)
        if newest and sa.follow and packet.spi not in host.retired and path != sa.path:
            host.sas[packet.spi] = replace(sa, path=path)
            self._carry_out(host, host.endpoint.moved(packet.spi, path, self.now))


def outbound(host: Host) -> ChildSa | None:
    """As `engines.base.Engine.install` says: the newest that is proved, or else the oldest."""
    usable = [sa for spi, sa in host.sas.items() if spi not in host.retired]
    proved = [sa for sa in usable if sa.inbound_spi in host.proved]
    return next(iter(proved[-1:] or usable), None)


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
        # The gentle kind has patience enough for 30 % loss: no IKE SA ends by it.
        patience = Patience(0.5, 1.1, 25) if self.gentle else Patience()
        self.network = Storm(seed, weather, nat=self.random.random() < 0.3)
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
        return self.network.hosts[ADDRESSES[name]]

    def run(self) -> None:
        """Raises `AssertionError` where the two do not agree in the end."""
        network = self.network
        end = network.now + STORM_SECONDS
        network.connect(self.host("alice"), "bob")
        for _ in range(self.random.randrange(2, 25)):
            at = network.now + self.random.uniform(0.0, STORM_SECONDS)
            network.at(at, self._pick())
        network.at(network.now, lambda: self._tick(end + CALM_SECONDS))
        network.run(STORM_SECONDS)
        network.weather = Weather()
        for name in OTHER:
            self._outlive(self.host(name))
        network.run(CALM_SECONDS)
        agree(self.host("alice"), self.host("bob"))
        if self.gentle:
            assert not network.lost, network.lost[:5]
        assert network.carried

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
            lambda: network.rebind() if network.nat and self.gentle else None,
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
        self._start(name)
        self.seen[name] = 0

    def _tick(self, end: float) -> None:
        """An application's packets, and what the daemon does about failures."""
        network = self.network
        alice, bob = self.host("alice"), self.host("bob")
        network.send_packet(alice, bob)
        if self.random.random() < 0.5:  # traffic need not go both ways
            network.send_packet(bob, alice)
        for host, other in ((alice, "bob"), (bob, "alice")):
            if not host.endpoint.busy(other) and not (network.nat and host is bob):
                self._connect_again(host, other)
        if network.now < end:
            network.at(network.now + _PACKET_SECONDS, lambda: self._tick(end))

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


def outcomes(seeds: range) -> Iterator[tuple[int, str]]:
    """Every seed's, on all processors."""
    with multiprocessing.Pool() as pool:
        yield from pool.imap_unordered(live, seeds, chunksize=8)


def main() -> int:
    """Progress, and the seeds that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    failed, begun = 0, time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    for done, (seed, problem) in enumerate(outcomes(seeds), start=1):
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
