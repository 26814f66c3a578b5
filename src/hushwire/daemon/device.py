"""The inside of the tunnel: the TUN device, its addresses, and routes to the peers' networks."""

from __future__ import annotations

from hushwire.config.model import Config, IpAddress
from hushwire.crypto.ciphers import ciphers_of
from hushwire.daemon.hosts import on_real_addresses, own_address, swallows
from hushwire.esp.size import inner_mtu, transport_mtu
from hushwire.sa.association import Encap, Encapsulation, Mode
from hushwire.system.addresses import add_address
from hushwire.system.adopt import adopt_tun
from hushwire.system.routes import add_route, device_mtu
from hushwire.system.tun import Tun, open_tun

_USUAL_MTU = 1500
_CARRIERS = {
    Encap.ESP: Encapsulation.ESP,
    Encap.UDP: Encapsulation.UDP,
    Encap.TCP: Encapsulation.TCP,
    # NAT detection may still choose UDP, the larger of the two. Inside TCP, the last resort, a
    # packet of this size takes two segments.
    Encap.AUTO: Encapsulation.UDP,
}
_SMALLEST_INNER_MTU = 1280  # RFC 8200 §5: less, and IPv6 does not work inside


def open_device(
    config: Config, endpoints: dict[str, IpAddress], *, headers: bool
) -> tuple[Tun, int]:
    """The device, ready for packets, and its MTU. `endpoints` are the peers' known addresses.

    `headers` as in `open_tun`; a device that exists already has none.

    Closing the device takes its addresses and routes with it. Raises `SystemFailureError` and
    `NotPermittedError`.
    """
    mtu = _mtu(config, endpoints)
    existing = config.interface.existing
    name = config.interface.name
    tun = adopt_tun(name, mtu) if existing else open_tun(name, mtu, headers=headers)
    try:
        for address in () if existing else config.interface.address:
            add_address(tun.name, address)
        for peer in config.peers:
            if on_real_addresses(config, peer):
                continue  # a rule of daemon/hosts.py takes the place of the route
            for network in peer.networks:
                if not swallows(network, endpoints.values()):
                    add_route(tun.name, network, own_address(config, network))
    except BaseException:
        tun.close()
        raise
    return tun, mtu


def _mtu(config: Config, endpoints: dict[str, IpAddress]) -> int:
    """The largest inner packet that fits into one outer packet, whichever peer it is for."""
    sizes = []
    for peer in config.peers:
        endpoint = endpoints.get(peer.name)
        if endpoint is None:
            underlay, version = _USUAL_MTU, 6
        else:
            underlay = device_mtu(endpoint, config.interface.underlay)
            version = endpoint.version
        carrier = _CARRIERS[peer.encap]
        transport = peer.mode is Mode.TRANSPORT
        if transport:
            version = peer.networks[0].version
        # The peer may choose any of what its proposals name.
        sizes += [
            (transport_mtu if transport else inner_mtu)(underlay, version, carrier, cipher)
            for proposal in peer.esp
            for cipher in ciphers_of(proposal)
        ]
    # Where even this does not fit, the kernel cuts the outer packets into fragments.
    return max(min(sizes), _SMALLEST_INNER_MTU)
