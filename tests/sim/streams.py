"""The simulated network with TCP connections: nothing in one is lost, until it is cut."""

from __future__ import annotations

from ipaddress import ip_address

from hushwire.ike.effects import CloseStream, Effect, TryTcp
from hushwire.sa.association import Address, Carrier, Path
from tests.sim.network import ADDRESSES, Host, Network

_DELAY = 0.01


class StreamNetwork(Network):
    """Of UDP it carries what `weather` leaves; TCP connections are opened by `open`."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._ends: dict[Path, Path] = {}  # a connection as one end and as the other sees it
        self.closed_by_hosts: list[Path] = []
        self.wants_tcp: list[tuple[str, str]] = []
        self._next_port = 40000

    def open(self, host: Host, to: str, behind: str = "") -> Path:
        """A new connection; its path as `host` sees it, and `to` from the address `behind`."""
        self._next_port += 1
        path = Path(
            Address(ADDRESSES[host.name], self._next_port),
            Address(ADDRESSES[to], 4500),
            Carrier.TCP,
        )
        far_end = reverse(path)
        if behind:
            far_end = far_end._replace(remote=Address(ip_address(behind), 61000))
        self._ends |= {path: far_end, far_end: path}
        return path

    def cut(self, path: Path) -> None:
        """What is on its way is lost too, and nobody is told."""
        far_end = self._ends.pop(path, None)
        if far_end is not None:
            del self._ends[far_end]

    def connect_in_tcp(self, host: Host, to: str, behind: str = "") -> Path:
        path = self.open(host, to, behind)
        self._carry_out(host, host.endpoint.connect(to, path, self.now))
        return path

    def reconnect(self, host: Host, before: Path, to: str) -> Path:
        path = self.open(host, to)
        self._carry_out(host, host.endpoint.reconnected(before, path, self.now))
        return path

    def moved(self, host: Host, inbound_spi: int, path: Path) -> None:
        """The engine tells of ESP that came by another connection."""
        self._carry_out(host, host.endpoint.moved(inbound_spi, path, self.now))

    def _carry_out(self, host: Host, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case TryTcp(name):
                    self.wants_tcp.append((host.name, name))
                case CloseStream(path):
                    self.closed_by_hosts.append(path)
                    self.cut(path)
        super()._carry_out(host, effects)

    def _transmit(self, host: Host, data: bytes, path: Path) -> None:
        if path.carrier is Carrier.UDP:
            super()._transmit(host, data, path)
            return
        self.sent.append((host.name, data, path))
        changed = self.on_send(host, data, path)
        if changed is not None:
            self.at(self.now + _DELAY, lambda: self._arrive_in_order(changed, path))

    def _arrive_in_order(self, data: bytes, path: Path) -> None:
        far_end = self._ends.get(path)
        if far_end is not None:
            self.deliver(self.hosts[far_end.local.ip], data, far_end)


def reverse(path: Path) -> Path:
    """As the other end sees it."""
    return Path(path.remote, path.local, path.carrier)
