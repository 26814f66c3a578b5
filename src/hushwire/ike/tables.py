"""The keys of an IKE SA and its CHILD_SAs, for `hushwire keys` alone: nothing else asks."""

from __future__ import annotations

from hushwire.explain.wireshark import IkeSaKeys
from hushwire.ike.session import Session
from hushwire.ike.states import Established
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa


@dataclass(frozen=True, slots=True)
class LiveKeys:
    """What protects one IKE SA that is alive, and its CHILD_SAs, those included that drain."""

    peer: str
    ike: IkeSaKeys
    children: tuple[ChildSa, ...]


def live_keys(session: Session) -> LiveKeys | None:
    """None while nobody has proved anything, and after the end."""
    secrets, name, link = session.secrets(), session.peer_name, session.link
    if secrets is None or not name:
        return None
    keys, state = secrets.keys, session.state
    children = state.children if isinstance(state, Established) else ()
    return LiveKeys(
        name,
        IkeSaKeys(
            link.initiator_spi, link.responder_spi, secrets.suite.cipher,
            keys.ei, keys.er, keys.ai, keys.ar,
        ),
        tuple(child.sa for child in children),
    )  # fmt: skip
