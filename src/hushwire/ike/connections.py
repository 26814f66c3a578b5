"""An IKE SA inside TCP and the connections it goes through, one after the other (RFC 9329 §6.1).

The initiator of the first IKE SA opens them, also when one is lost; the responder follows. There
is no rekeying yet that could turn the two round.
"""

from __future__ import annotations

from dataclasses import replace

from hushwire.ike.inputs import Turn
from hushwire.ike.link import Link
from hushwire.ike.states import Established, InitSent, Role, State
from hushwire.sa.association import Carrier, Encap, Path


def follow(link: Link, state: State, path: Path, turn: Turn) -> State:
    """A genuine message, no repetition, came by `path`: a responder sends there from now on."""
    other_connection = path != link.path and path.carrier is link.path.carrier is Carrier.TCP
    if link.role is Role.RESPONDER and other_connection:
        return move(link, state, path, turn)
    return state


def move(link: Link, state: State, path: Path, turn: Turn) -> State:
    """Go on by another connection, the CHILD_SA too."""
    link.path = path
    if isinstance(state, Established) and state.child is not None:
        child = replace(state.child, path=path)
        state = replace(state, child=child)
        turn.update_sa(child)
    request = link.window.in_flight
    if request is not None:
        turn.send(request, path)  # §6.2: it may have been lost with the connection before
    return state


def may_try_tcp(link: Link, state: State) -> bool:
    """Is this an attempt in UDP, not yet answered, that may also be made in TCP? (§5.1)"""
    in_udp = link.path.carrier is Carrier.UDP
    return isinstance(state, InitSent) and in_udp and state.peer.encap is Encap.AUTO
