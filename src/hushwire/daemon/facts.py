"""What `status` shows, as plain JSON values. Times are seconds, sizes are bytes."""

from __future__ import annotations

import math

from hushwire.config.model import Config, PeerConfig, Start
from hushwire.engines.base import Counters, SaCounters
from hushwire.ike.endpoint import Endpoint, SessionView
from hushwire.ike.tasks.child import selector_texts
from hushwire.sa.association import ChildSa

Facts = dict[str, object]


def interface_facts(
    config: Config,
    endpoint: Endpoint,
    counters: Counters,
    now: float,
    path_mtus: dict[str, int],
) -> Facts:
    """Everything that is known of one interface at this moment; `path_mtus` are by peer."""
    sessions = {view.peer: view for view in endpoint.sessions()}
    return {
        "interface": config.interface.name,
        "file": str(config.path),
        "address": [str(address) for address in config.interface.address],
        "peers": [
            _peer_facts(peer, sessions.get(peer.name), endpoint, counters, now)
            | {"path_mtu": path_mtus.get(peer.name)}
            for peer in config.peers
        ],
        "drops": {str(drop): count for drop, count in counters.drops.items()},
        "ike_drops": {str(drop): count for drop, count in endpoint.drops.items()},
    }


def _peer_facts(
    peer: PeerConfig,
    view: SessionView | None,
    endpoint: Endpoint,
    counters: Counters,
    now: float,
) -> Facts:
    facts: Facts = {
        "name": peer.name,
        "endpoint": None if peer.endpoint is None else str(peer.endpoint),
        "networks": [str(network) for network in peer.networks],
    }
    if view is None:
        if endpoint.busy(peer.name) or peer.start is Start.UP:
            return {**facts, "state": "connecting"}
        return {**facts, "state": "idle" if peer.start is Start.TRAFFIC else "waiting"}
    facts |= {
        "state": "up",
        "role": view.role.value,
        "identity": view.identity,
        "authenticated_by": view.method,
        "local_endpoint": _address(view.path.local),
        "remote_endpoint": _address(view.path.remote),
        "ike_suite": view.ike_suite,
        "ike_spi": f"{view.initiator_spi.hex()}_{view.responder_spi.hex()}",
        "age": round(now - view.up_since, 1),
        "ike_age": round(now - view.since, 1),
        "ike_rekey_in": _in(view.rekey_at, now),
        "child_sas": len(view.children),
        "sas": [_sa_facts(sa, counters, now) for sa in view.children],
    }
    if view.child is None:
        return facts
    local, remote = selector_texts(view.child)
    facts |= {
        "esp_suite": view.child.suite.name,
        "encapsulation": view.child.encapsulation.value,
        "mode": view.child.mode.value,
        "esp_age": round(now - view.child_since, 1),
        "esp_rekey_in": _in(view.child_rekey_at, now),
        "spi_in": f"0x{view.child.inbound_spi:08x}",
        "spi_out": f"0x{view.child.outbound_spi:08x}",
        "local": list(local),
        "remote": list(remote),
    }
    used = counters.sas.get(view.child.inbound_spi)
    return facts | _traffic(used, now) if used else facts


def _sa_facts(sa: ChildSa, counters: Counters, now: float) -> Facts:
    """One SA pair that is installed, the oldest first; replaced ones drain for some seconds."""
    facts: Facts = {"spi_in": f"0x{sa.inbound_spi:08x}", "spi_out": f"0x{sa.outbound_spi:08x}"}
    used = counters.sas.get(sa.inbound_spi)
    return facts | _traffic(used, now) if used else facts


def _traffic(used: SaCounters, now: float) -> Facts:
    return {
        "packets_in": used.packets_in,
        "bytes_in": used.bytes_in,
        "packets_out": used.packets_out,
        "bytes_out": used.bytes_out,
        "last_in": None if used.last_in is None else round(now - used.last_in, 1),
    }


def _in(at: float, now: float) -> float | None:
    return None if math.isinf(at) else round(at - now, 1)


def _address(address: tuple[object, int]) -> str:
    ip, port = address
    return f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"
