"""The network of the pair simulator: a NAT, ESP in both directions, hosts that change places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from hushwire.explain.outcome import TunnelUp
from hushwire.ike.effects import Effect, Report
from hushwire.ike.inputs import Limits, Patience, Peer
from hushwire.ike.mobility import IpAddress
from hushwire.sa.association import Address, ChildSa, Path
from tests.sim.network import ADDRESSES, Host, Network, Weather

ELSEWHERE = {"alice": ip_address("192.0.2.11"), "bob": ip_address("192.0.2.12")}
_OUTSIDE = ip_address("198.51.100.1")
_FIRST_PORT = 10000
_NOTICE_SECONDS = 0.1


@dataclass(frozen=True)
class Packet:
    """ESP as far as it matters: by which SA it goes, key, number, and where from."""

    spi: int
    key: bytes
    sequence: int
    path: Path


class Storm(Network):
    """A network with a NAT before some addresses of alice's, and ESP in both directions."""

    def __init__(self, seed: int, weather: Weather, *, inside: frozenset[IpAddress]) -> None:
        super().__init__(seed, weather)
        self.inside = inside
        self.mappings: dict[int, Address] = {}
        self._first_port = _FIRST_PORT
        self.lost: list[str] = []
        self.sequence = 0
        self.newest: dict[int, int] = {}
        self.carried = 0

    def host(
        self,
        name: str,
        *peers: Peer,
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> Host:
        made = super().host(name, *peers, patience=patience, limits=limits)
        self._look(made)
        return made

    # Addresses, as `daemon.roaming` hears of them.

    def move(self, name: str, without_seconds: float) -> None:
        """The host loses its address, and some time later it has another one."""
        host = self.people[name]
        if not self.is_reachable(host):
            return  # on its way
        if without_seconds:
            self.settle(host)
        here, there = ADDRESSES[name], ELSEWHERE[name]
        to = there if self.places[name] == here else here
        self.at(self.now + without_seconds, lambda: self.settle(self.people[name], to))

    def is_reachable(self, host: Host) -> bool:
        """Has it an address?"""
        return self.hosts.get(self.places[host.name]) is host

    def _look(self, host: Host) -> None:
        self.settle(host, *[self.places[host.name]] if self.is_reachable(host) else [])

    def _carry_out(self, host: Host, effects: list[Effect]) -> None:
        super()._carry_out(host, effects)
        if any(isinstance(one, Report) and isinstance(one.event, TunnelUp) for one in effects):
            self.at(self.now + _NOTICE_SECONDS, lambda: self._look(host))

    # The NAT. Who has a mapping is reached by anybody.

    def rebind(self) -> None:
        """The NAT forgets its mappings and will make others."""
        self._first_port += 1000
        self.mappings.clear()

    def outside(self, path: Path) -> Path:
        """A path from alice's side, as it is behind the NAT."""
        if path.local.ip not in self.inside:
            return path
        # One port outside for each address and port inside, until it forgets.
        port = next((port for port, who in self.mappings.items() if who == path.local), None)
        if port is None:
            port = self._first_port + len(self.mappings)
            self.mappings[port] = path.local
        return path._replace(local=Address(_OUTSIDE, port))

    def _target(self, remote: Address) -> tuple[Host | None, Address]:
        """Who gets what is sent there, and to which address of its own."""
        if remote.ip in self.inside:
            return None, remote
        inside = self.mappings.get(remote.port, remote) if remote.ip == _OUTSIDE else remote
        return self.hosts.get(inside.ip), inside

    def _transmit(self, host: Host, data: bytes, path: Path) -> None:
        if self.hosts.get(path.local.ip) is host:
            super()._transmit(host, data, self.outside(path))

    def _arrive(self, data: bytes, path: Path) -> None:
        host, remote = self._target(path.remote)
        if host is not None:
            self.deliver(host, data, Path(remote, path.local))

    # ESP is not lost, but may be late.

    def send_packet(self, host: Host) -> None:
        """One packet of an application, as an engine would send it now."""
        sa = outbound(host)
        if sa is None or self.hosts.get(sa.path.local.ip) is not host:
            return
        self.sequence += 1
        packet = Packet(sa.outbound_spi, sa.outbound_key, self.sequence, self.outside(sa.path))
        self.at(self.now + self.random.uniform(0.0, 0.5), lambda: self._receive(packet))

    def _receive(self, packet: Packet) -> None:
        host, local = self._target(packet.path.remote)
        if host is None:
            return  # it is there no more
        sa = host.sas.get(packet.spi)
        if not self.carried and sa is None:
            return  # the response to the first IKE_AUTH is not there yet
        if sa is None or sa.inbound_key != packet.key:
            self.lost.append(f"{host.name} at {self.now:.3f}: {packet.spi:#x}")
            return
        self.carried += 1
        host.proved.add(packet.spi)
        self._follow(host, sa, packet, Path(local, packet.path.local))
        host.endpoint.heard(packet.spi, self.now)

    def _follow(self, host: Host, sa: ChildSa, packet: Packet, path: Path) -> None:
        """As `engines.base.PathMoved` says."""
        newest = packet.sequence > self.newest.get(packet.spi, 0)
        self.newest[packet.spi] = max(packet.sequence, self.newest.get(packet.spi, 0))
        if newest and sa.follow and packet.spi not in host.retired and path != sa.path:
            host.sas[packet.spi] = replace(sa, path=path)
            self._carry_out(host, host.endpoint.moved(packet.spi, path, self.now))


def outbound(host: Host) -> ChildSa | None:
    """As `engines.base.Engine.install` says: the newest that is proved, or else the oldest."""
    oldest = newest = None
    for spi, sa in host.sas.items():
        if spi not in host.retired:
            oldest = oldest or sa
            newest = sa if spi in host.proved else newest
    return newest or oldest
