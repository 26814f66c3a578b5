"""What the programs have counted, for a person and for a script."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

from hushwire.classroom.held import Pair
from hushwire.classroom.programs import Programs

# Outcomes that a person should hear of, in the order of `enum outcome`.
_TROUBLES = {
    "egress": {
        "lost": "lost, because too many waited for a key",
        "malformed": "with lengths that lie, not touched",
        "group": "to many at once, not touched",
        "failed": "dropped for want of memory",
        "full": "dropped, because there are too many peers",
    },
    "ingress": {
        "unreadable": "dropped, because there was no key for the sender",
        "malformed": "with lengths that lie, not touched",
        "group": "to many at once, not touched",
        "failed": "dropped for want of memory",
        "full": "dropped, because there are too many peers",
    },
}
_MESSAGES = ("xored", "held", "lost", "unreadable", "malformed", "group", "failed", "full")


def address(octets: bytes) -> str:
    """16 octets as a person writes the address, IPv4 as IPv4."""
    whole = IPv6Address(octets)
    return str(whole.ipv4_mapped or whole)


def facts(programs: Programs) -> dict[str, Any]:
    """Counts and peers, ready for JSON."""
    table = programs.counts()
    out, into = table["egress"], table["ingress"]
    return {
        "egress": _count(out["xored"]),
        "ingress": _count(into["xored"]),
        "outcomes": {
            direction: {name: _count(counts[name]) for name in _MESSAGES}
            for direction, counts in table.items()
        },
        "exchange": {
            "offers_out": out["offer"][0],
            "offers_in": into["offer"][0],
            "answers_out": out["answer"][0],
            "answers_in": into["answer"][0],
            "refused": into["refused"][0],
        },
        "peers": [
            {
                **_names(peer.pair),
                "our_public": peer.our_public,
                "their_public": peer.their_public,
                "secret": peer.secret,
            }
            for peer in programs.peers()
        ],
    }


def line(facts: dict[str, Any]) -> str:
    """One line that says what has gone in and out."""
    parts = [f"sent {_messages(facts['egress'])}, received {_messages(facts['ingress'])}"]
    if waiting := facts["held"]["waiting"]:
        parts.append(f"{waiting} waiting for a key")
    if given_up := facts["held"]["given_up"]:
        parts.append(f"{given_up} given up")
    return "; ".join(parts)


def troubles(facts: dict[str, Any]) -> list[str]:
    """One sentence for every way in which messages ended that is not the ordinary one."""
    sentences = []
    for direction, names in _TROUBLES.items():
        for name, meaning in names.items():
            if (count := facts["outcomes"][direction][name])["messages"]:
                sentences.append(f"{direction}: {_messages(count)} {meaning}")
    return sentences


def plural(number: int) -> str:
    """ "1 message", "2 messages"."""
    return f"{number} message" + ("s" if number != 1 else "")


def _messages(count: dict[str, int]) -> str:
    octets = count["octets"]
    return f"{plural(count['messages'])} of {octets} octet" + ("s" if octets != 1 else "")


def _names(pair: Pair) -> dict[str, str]:
    return {"local": address(pair.local), "remote": address(pair.remote)}


def _count(pair: tuple[int, int]) -> dict[str, int]:
    return {"messages": pair[0], "octets": pair[1]}
