"""Two or more endpoints and the network between them, in virtual time, in one process.

Everything is decided by one seed: keys, loss, delay, duplication. A second of the simulated
world costs about as long as its cryptography.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from itertools import count

from hushwire.crypto.chain import Trust
from hushwire.crypto.sign import PrivateKey
from hushwire.crypto.suites import parse_proposal
from hushwire.explain.outcome import Event, Failure
from hushwire.ike.credentials import Certificates, Psk, RawKeys
from hushwire.ike.effects import (
    ConfirmSa,
    Effect,
    InstallSa,
    Reauthenticate,
    RemoveSa,
    Report,
    RetireSa,
    Send,
    SetTimer,
    UpdateSa,
)
from hushwire.ike.endpoint import Endpoint
from hushwire.ike.inputs import Limits, Patience, Peer
from hushwire.ike.mobility import IpAddress, Surroundings
from hushwire.sa.association import Address, ChildSa, Path
from hushwire.sa.identity import Identity
from hushwire.sa.selectors import from_network
from hushwire.wire.registry import ProtocolId
from tests.crypto.pki import NOW, authority, issue

IKE = ("aes256gcm16-prfsha384-x25519",)
ESP = ("aes256gcm16-esn",)
ADDRESSES: dict[str, IpAddress] = {"alice": ip_address("192.0.2.1"), "bob": ip_address("192.0.2.2")}
NETWORKS = {"alice": "10.0.1.1/32", "bob": "10.0.1.2/32"}
SECRET = b"a secret that nobody guesses"


def peer(own: str, other: str, **changes: object) -> Peer:
    """How `own` has configured `other`; `changes` replace fields of `Peer`."""
    settings: dict[str, object] = {
        "name": other,
        "credential": Psk(SECRET),
        "local_id": Identity.of_address(ADDRESSES[own]),
        "remote_id": Identity.of_address(ADDRESSES[other]),
        "ike_proposals": ike(*IKE),
        "esp_proposals": esp(*ESP),
        "local_selectors": (from_network(ip_network(NETWORKS[own])),),
        "remote_selectors": (from_network(ip_network(NETWORKS[other])),),
        "address": ADDRESSES[other],
        "liveness": 20.0,
    }
    return Peer(**(settings | changes))  # type: ignore[arg-type]


def ike(*texts: str) -> tuple[tuple[object, ...], ...]:
    """Proposals for `Peer.ike_proposals`."""
    return tuple(parse_proposal(text, ProtocolId.IKE) for text in texts)


def esp(*texts: str) -> tuple[tuple[object, ...], ...]:
    """Proposals for `Peer.esp_proposals`."""
    return tuple(parse_proposal(text, ProtocolId.ESP) for text in texts)


def raw_keys(kind: str = "ed25519") -> tuple[dict[str, object], dict[str, object]]:
    """Changes for alice's and bob's `peer` that make them use raw public keys."""
    alice, bob = PrivateKey.generate(kind), PrivateKey.generate(kind)
    alice_id, bob_id = (Identity.parse(f"key:{k.public.key_id.hex()}") for k in (alice, bob))
    return (
        {"credential": RawKeys(alice, bob.public), "local_id": alice_id, "remote_id": bob_id},
        {"credential": RawKeys(bob, alice.public), "local_id": bob_id, "remote_id": alice_id},
    )


def certified(
    kind: str = "ecdsa-p256", **settings: dict[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """The same for X.509 by one authority; `settings` are for `pki.issue`, by name."""
    ca = authority()
    made = {}
    for name in ADDRESSES:
        more = {"names": [f"{name}.example"], **settings.get(name, {})}
        made[name] = issue(f"O=Example, CN={name}", **({"by": ca, "kind": kind} | more))  # type: ignore[arg-type]
    alice, bob = (
        Certificates(entity.private_key, (entity.certificate,), Trust((ca.certificate,)))
        for entity in (made["alice"], made["bob"])
    )
    alice_id, bob_id = Identity.parse("alice.example"), Identity.parse("bob.example")
    return (
        {"credential": alice, "local_id": alice_id, "remote_id": bob_id},
        {"credential": bob, "local_id": bob_id, "remote_id": alice_id},
    )


@dataclass
class Host:
    """One endpoint, and what its effects have come to.

    `sas` are in the order of their installation; `proved` are those by which a packet has come,
    `retired` those that send no more.
    """

    name: str
    endpoint: Endpoint
    sas: dict[int, ChildSa] = field(default_factory=dict)
    proved: set[int] = field(default_factory=set)
    retired: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    timer: float | None = None

    def saw(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def failures(self) -> list[Event]:
        return self.saw(Failure)


@dataclass
class Weather:
    """What the network does to a datagram; probabilities from 0 to 1, seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: tuple[float, float] = (0.01, 0.01)


class Network:
    """Carries datagrams between hosts by address, and runs the clock."""

    def __init__(self, seed: int = 0, weather: Weather | None = None) -> None:
        self.now = 1000.0
        self.date = NOW.timestamp()
        self.random = random.Random(seed)
        self.weather = weather or Weather()
        self.people: dict[str, Host] = {}
        self.places: dict[str, IpAddress] = dict(ADDRESSES)
        self.hosts: dict[object, Host] = {}  # by every address that they have now
        self.sent: list[tuple[str, bytes, Path]] = []
        self.on_send: Callable[[Host, bytes, Path], bytes | None] = lambda _host, data, _path: data
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def host(
        self,
        name: str,
        *peers: Peer,
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> Host:
        """Start a host (anew: its old endpoint is forgotten)."""
        endpoint = Endpoint(
            peers, self.random.randbytes, self.now, patience, limits, wall=lambda: self.date
        )
        self.hosts[self.places[name]] = self.people[name] = made = Host(name, endpoint)
        return made

    def connect(self, host: Host, to: str, port: int = 500, *, again: bool = False) -> None:
        path = Path(Address(self.places[host.name], port), Address(self.places[to], port))
        self._carry_out(host, host.endpoint.connect(to, path, self.now, again=again))

    def settle(self, host: Host, *own: IpAddress, reach: Iterable[IpAddress] | None = None) -> None:
        """The host has these addresses now, of each family one that it sends from.

        `reach`: the remote addresses that there is a way to; None: all.
        """
        for address in [key for key, there in self.hosts.items() if there is host]:
            del self.hosts[address]
        for address in own:
            self.hosts[address] = host
        for address in own[:1]:
            self.places[host.name] = address
        source = {address.version: address for address in reversed(own)}
        remotes = host.endpoint.remotes()
        if reach is not None:
            remotes &= set(reach)
        ways = {remote: source[remote.version] for remote in remotes if remote.version in source}
        here = frozenset(address.packed for address in own)
        around = Surroundings(own, ways, here)
        self._carry_out(host, host.endpoint.settle(around, self.now))

    def rekey(self, host: Host, *, ike: bool = False) -> None:
        """As `hushwire rekey` does, with everybody."""
        for view in host.endpoint.sessions():
            self._carry_out(host, host.endpoint.rekey(view.peer, self.now, ike=ike))

    def close(self, host: Host) -> None:
        self._carry_out(host, host.endpoint.close(self.now))

    def deliver(self, host: Host, data: bytes, path: Path) -> list[Effect]:
        """Hand a datagram to a host right now; `path` as that host sees it."""
        effects = host.endpoint.datagram(data, path, self.now)
        self._carry_out(host, effects)
        return effects

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let this much time pass, with everything that happens in it."""
        end, queue = self.now + seconds, self._queue
        while True:
            upcoming = queue[0][0] if queue else math.inf
            for host in self.people.values():
                if host.timer is not None and host.timer < upcoming:
                    upcoming = host.timer
            if upcoming > end:
                self.now = end
                return
            self.now = max(self.now, upcoming)
            if queue and queue[0][0] <= self.now:
                heapq.heappop(queue)[2]()
            for host in [*self.people.values()]:
                if host.timer is not None and host.timer <= self.now:
                    self._carry_out(host, host.endpoint.timer(self.now))

    def _carry_out(self, host: Host, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data, path):
                    self._transmit(host, data, path)
                case InstallSa(sa):
                    assert sa.inbound_spi not in host.sas
                    host.sas[sa.inbound_spi] = sa
                    if not sa.await_proof:
                        host.proved.add(sa.inbound_spi)
                case ConfirmSa(spi):
                    assert spi in host.sas
                    host.proved.add(spi)
                case RetireSa(spi):
                    assert spi in host.sas
                    host.retired.add(spi)
                case RemoveSa(spi):
                    del host.sas[spi]
                case UpdateSa(spi, path, encapsulation, keepalive, follow):
                    host.sas[spi] = replace(
                        host.sas[spi],
                        path=path,
                        encapsulation=encapsulation,
                        keepalive=keepalive,
                        follow=follow,
                    )
                case Reauthenticate(name):
                    self.at(self.now, lambda: self.connect(host, name, again=True))
                case SetTimer(at):
                    host.timer = at
                case Report(event):
                    host.events.append(event)

    def _transmit(self, host: Host, data: bytes, path: Path) -> None:
        self.sent.append((host.name, data, path))
        changed = self.on_send(host, data, path)
        if changed is None:
            return
        copies = 2 if self.random.random() < self.weather.duplication else 1
        for _ in range(copies):
            if self.random.random() >= self.weather.loss:
                self.at(
                    self.now + self.random.uniform(*self.weather.delay),
                    lambda: self._arrive(changed, path),
                )

    def _arrive(self, data: bytes, path: Path) -> None:
        target = self.hosts.get(path.remote.ip)
        if target is not None:
            self.deliver(target, data, Path(path.remote, path.local))


def pair(network: Network, **changes: object) -> tuple[Host, Host]:
    return (
        network.host("alice", peer("alice", "bob", **changes)),
        network.host("bob", peer("bob", "alice", **changes)),
    )


def assert_one_tunnel(alice: Host, bob: Host) -> tuple[ChildSa, ChildSa]:
    """Exactly one IKE SA and one CHILD_SA, and both hosts hold two ends of the same."""
    (view_a,), (view_b,) = alice.endpoint.sessions(), bob.endpoint.sessions()
    assert (view_a.initiator_spi, view_a.responder_spi) == (
        view_b.initiator_spi,
        view_b.responder_spi,
    )
    assert view_a.role is not view_b.role
    (a,), (b,) = alice.sas.values(), bob.sas.values()
    assert (a, b) == (view_a.child, view_b.child)
    assert (a.inbound_spi, a.outbound_spi) == (b.outbound_spi, b.inbound_spi)
    assert (a.inbound_key, a.outbound_key) == (b.outbound_key, b.inbound_key)
    assert (a.local_selectors, a.remote_selectors) == (b.remote_selectors, b.local_selectors)
    assert a.encapsulation is b.encapsulation
    return a, b
