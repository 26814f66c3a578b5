"""Selectors as text, as outcomes hold them, and what two sets of them have in common."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from hushwire.sa.selectors import describe, from_network, narrow
from hushwire.wire.errors import WireError
from hushwire.wire.ike.payloads.ts import TrafficSelector


def in_common(a: Iterable[str], b: Iterable[str]) -> str:
    """The addresses that both sets hold, "" for none; protocols and ports are passed over."""
    return ", ".join(map(describe, narrow(_parsed(a), _parsed(b))))


def _parsed(texts: Iterable[str]) -> list[TrafficSelector]:
    found = []
    for text in texts:
        addresses = text.partition("[")[0]
        start, dash, end = addresses.partition("-")
        try:
            if dash:
                found.append(TrafficSelector(ip_address(start), ip_address(end)))
            else:
                found.append(from_network(ip_network(addresses)))
        except (ValueError, WireError):
            continue
    return found
