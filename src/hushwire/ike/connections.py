"""The paths that an IKE SA goes through, one after the other.

TCP connections (RFC 9329 §6.1): who began the first IKE SA opens them, also when one is lost; the
other follows. Addresses and ports of a NAT, when it gives the peer others (RFC 7296 §2.23).
"""

from __future__ import annotations

from hushwire.ike.inputs import Turn
from hushwire.ike.link import Link
from hushwire.ike.states import Established, InitSent, Replaced, State
from hushwire.sa.association import Carrier, Encap, Path


def follow(link: Link, state: State, path: Path, turn: Turn) -> None:
    """A genuine message, no repetition, came by `path`: send there from now on, if it is right."""
    if path == link.path or path.carrier is not link.path.carrier:
        return
    if path.carrier is Carrier.TCP:
        if not link.opener:
            move(link, state, path, turn)
    elif isinstance(state, Established | Replaced) and state.secrets.nat.peer_alone_is_behind:
        # §2.23: whoever is not behind a NAT follows the one that is.
        move(link, state, path, turn)


def move(link: Link, state: State, path: Path, turn: Turn) -> None:
    """Go on by another path, the CHILD_SAs too."""
    link.path = path
    if isinstance(state, Established):
        state.children.moved(path, turn)
    link.resend(turn)  # it may have been lost on the path before (RFC 9329 §6.2)


def may_try_tcp(link: Link, state: State) -> bool:
    """Is this an attempt in UDP, not yet answered, that may also be made in TCP? (§5.1)"""
    in_udp = link.path.carrier is Carrier.UDP
    return isinstance(state, InitSent) and in_udp and state.peer.encap is Encap.AUTO
