"""Who takes part, in the order of the table; and of those who cannot, why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import hushwire
from bench.measure import connecting
from bench.measure.connecting import Connecting
from bench.tunnels import openvpn, strongswan, wireguard
from bench.tunnels.base import Making, plain, refusal
from bench.tunnels.hushwire import NULL_COMMAND
from bench.tunnels.hushwire import hushwire as hushwire_tunnel
from hushwire.system.core import why_missing


def _nothing() -> str:
    return ""


def _own_version() -> str:
    return hushwire.__version__


@dataclass(frozen=True)
class Entrant:
    """`key` is its name in JSON and on the command line, `missing` says why it is not here."""

    key: str
    title: str
    make: Making
    missing: Callable[[], str] = _nothing
    version: Callable[[], str] = _nothing
    connecting: tuple[Connecting, ...] = ()


def _hushwire(
    key: str, title: str, esp: str, engine: str = "native", encap: str = "udp"
) -> Entrant:
    make = partial(hushwire_tunnel, engine=engine, esp=esp, encap=encap)
    missing = why_missing if engine == "native" else _nothing
    connects: tuple[Connecting, ...] = ()
    if key == "native-aes":
        connects = (connecting.hushwire, connecting.hushwire_answering)
    return Entrant(key, f"hushwire {engine}, {title}", make, missing, _own_version, connects)


AES, CHACHA = "aes256gcm16-esn", "chacha20poly1305-esn"

ENTRANTS = (
    Entrant("veth", "plain veth, no tunnel", plain),
    Entrant(
        "null",
        "hushwire native, null cipher",
        partial(hushwire_tunnel, engine="native", esp=AES, encap="udp", command=NULL_COMMAND),
        partial(refusal, "null"),
        _own_version,
    ),
    _hushwire("native-aes", "AES-256-GCM", AES),
    _hushwire("native-chacha", "ChaCha20-Poly1305", CHACHA),
    _hushwire("native-raw", "AES-256-GCM, raw ESP", AES, encap="esp"),
    _hushwire("python", "AES-256-GCM", AES, engine="python"),
    Entrant(
        "wireguard-go", "wireguard-go", wireguard.wireguard_go, wireguard.missing, wireguard.version
    ),
    Entrant("openvpn", "OpenVPN, AES-256-GCM", openvpn.openvpn, openvpn.missing, openvpn.version),
    Entrant(
        "strongswan",
        "strongSwan kernel-libipsec, AES-256-GCM",
        strongswan.strongswan,
        strongswan.missing,
        strongswan.version,
        (connecting.strongswan, connecting.strongswan_answering),
    ),
)
