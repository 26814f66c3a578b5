"""Policy routing's part of the host: which packets enter the device, and where sealed ones go.

In tunnel mode it is needed where a peer's networks hold an endpoint, as a full tunnel's do. In
transport mode there are two uses, told apart by our own address in the SA:

- the device's address: applications reach the peer by a route into the device, as in tunnel mode.
  Sealed packets keep these addresses, which the wire knows nothing of, so a second route leads
  them to the peer's host, a neighbour on the wire.
- the host's real address: an application's packets to the peer are captured by a rule, and sealed
  ones go where such packets always went.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

from hushwire.config.model import Config, IpAddress, IpNetwork, PeerConfig
from hushwire.sa.association import ChildSa, Encapsulation, Mode
from hushwire.system import policy
from hushwire.system.errors import SystemFailureError
from hushwire.system.reverse_path import is_strict
from hushwire.system.routes import Hop, next_hop, source_address
from hushwire.system.tun import Tun


def with_real_addresses(config: Config) -> Config:
    """The same, `local_networks` filled in where it is our address towards the peer.

    Raises `SystemFailureError` when there is no way to a peer yet.
    """
    return replace(config, peers=tuple(_filled_in(config, peer) for peer in config.peers))


def _filled_in(config: Config, peer: PeerConfig) -> PeerConfig:
    if peer.local_networks:
        return peer
    own = source_address(_host(peer), config.interface.underlay)
    return replace(peer, local_networks=(ip_network(own),))


def on_real_addresses(config: Config, peer: PeerConfig) -> bool:
    """Whether the peer is in transport mode, and our address in it is not the device's."""
    own = {ip_network(address.ip) for address in config.interface.address}
    return peer.mode is Mode.TRANSPORT and not own.intersection(peer.local_networks)


def swallows(network: IpNetwork, endpoints: Iterable[IpAddress]) -> bool:
    """Would a plain route lead our own sealed packets back into the tunnel that made them?

    Everything does: an endpoint that is a name may resolve to anywhere.
    """
    return network.prefixlen == 0 or any(endpoint in network for endpoint in endpoints)


class HostRoutes:
    """The rules and routes beside the main table, for as long as the device is there."""

    def __init__(self, config: Config, tun: Tun, endpoints: Iterable[IpAddress]) -> None:
        self._config = config
        self._index = tun.index
        self._endpoints = tuple(endpoints)

    def open(self) -> None:
        """Raises `SystemFailureError` and `NotPermittedError`, nothing of it left behind."""
        policy.clear_stale()
        try:
            for peer in self._config.peers:
                if on_real_addresses(self._config, peer):
                    self._capture(peer)
                elif peer.mode is Mode.TRANSPORT:
                    policy.refuse(self._index, _host(peer))
                else:
                    self._capture_networks(peer)
        except BaseException:
            self.close()
            raise

    def follow(self, sa: ChildSa) -> None:
        """An SA is there: lead its sealed packets to where the peer is.

        Raises `SystemFailureError` and `NotPermittedError`; then they go nowhere.
        """
        if sa.mode is not Mode.TRANSPORT or sa.encapsulation is not Encapsulation.ESP:
            return
        own, host = sa.hosts()
        if not any(address.ip == own for address in self._config.interface.address):
            return
        remote = sa.path.remote.ip
        if remote.version != host.version:
            raise SystemFailureError(
                f"way to {host} in transport mode",
                f"the peer is at {remote}, and packets to {host} need a way of their own family",
                'Use the other address of the peer as the endpoint, or encap = "udp".',
            )
        hop = next_hop(remote, self._config.interface.underlay)
        if hop.gateway is not None:
            raise SystemFailureError(
                f"way to {host} in transport mode",
                f"{remote} is behind the router {hop.gateway}, which does not know {host}",
                'Use encap = "udp" or mode = "tunnel"; packets with their own IP header reach '
                "a neighbour on the wire only.",
            )
        _refuse_strict(hop, host)
        policy.lead(self._index, host, remote, hop.number)

    def close(self) -> None:
        """Remove everything. What the system refuses now, the next start tries again."""
        with suppress(SystemFailureError):
            policy.clear(self._index)

    def _capture(self, peer: PeerConfig) -> None:
        host = _host(peer)
        hop = next_hop(host, self._config.interface.underlay)
        _refuse_strict(hop, host)
        policy.capture(self._index, host, peer.local_networks[0].network_address)

    def _capture_networks(self, peer: PeerConfig) -> None:
        for network in peer.networks:
            if swallows(network, self._endpoints):
                source = own_address(self._config, network)
                policy.capture_network(self._index, network, source)
                for behind in self._behind_us(network):
                    policy.spare(self._index, behind)

    def _behind_us(self, network: IpNetwork) -> set[IpNetwork]:
        """Networks within this one that this host is the gateway of; its own addresses are none."""
        own = {ip_network(address.ip) for address in self._config.interface.address}
        local = {behind for peer in self._config.peers for behind in peer.local_networks}
        captured = {network for peer in self._config.peers for network in peer.networks}
        return {behind for behind in local - own - captured if _within(behind, network)}


def _within(inner: IpNetwork, outer: IpNetwork) -> bool:
    longer = inner.version == outer.version and inner.prefixlen > outer.prefixlen
    return longer and inner.network_address in outer


def own_address(config: Config, network: IpNetwork) -> IpAddress | None:
    """The device's address that packets into `network` come from."""
    for address in config.interface.address:
        if address.version == network.version:
            return address.ip
    return None


def _refuse_strict(hop: Hop, host: IpAddress) -> None:
    if host.version == 4 and is_strict(hop.device):
        raise SystemFailureError(
            f"transport mode with {host} on {hop.device}",
            f"the strict reverse path filter of {hop.device} would drop all that comes from {host}",
            f"Make it loose: `sysctl -w net.ipv4.conf.{hop.device}.rp_filter=2`.",
        )


def _host(peer: PeerConfig) -> IpAddress:
    return peer.networks[0].network_address
