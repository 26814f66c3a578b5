"""What a post-quantum preshared key (RFC 8784) can fail by, and the sentences for it."""

from __future__ import annotations

from hushwire.explain.outcome import NotAuthenticated
from hushwire.explain.sentences import tell
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class PpkNotUsed(NotAuthenticated):
    """We require a PPK for this peer, and it has used none (USE_PPK or PPK_IDENTITY is missing)."""

    ppk_id: str


@dataclass(frozen=True, slots=True)
class PpkUnknown(NotAuthenticated):
    """The peer named a PPK that is not the one of our file; `ours` is "" when there is none."""

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class PpkDiffers(NotAuthenticated):
    """A PPK of the same name went into the keys, and the proof of one side is not right with it.

    `refused_by_us`: the peer's proof; else the peer has refused ours.
    """

    ppk_id: str
    detail: str
    refused_by_us: bool


@tell.register
def _(event: PpkNotUsed) -> str:
    return (
        f"{event.peer}: our file requires the post-quantum key {event.ppk_id!r}, and the peer uses "
        "none. Give it the same ppk_file and ppk_id, or write "
        'ppk = "prefer" under the peer in our file.'
    )


@tell.register
def _(event: PpkUnknown) -> str:
    ours = f"has {event.ours!r}" if event.ours else "has none for it"
    return (
        f"{event.peer}: the peer wants the post-quantum key {event.theirs!r}, and our file {ours}. "
        "Put the same ppk_id, with the same ppk_file, on both sides."
    )


@tell.register
def _(event: PpkDiffers) -> str:
    who = (
        f"the peer's proof is not right ({event.detail})"
        if event.refused_by_us
        else f"the peer does not accept our proof ({event.detail})"
    )
    return (
        f"{event.peer}: {who}, with the post-quantum key {event.ppk_id!r} in it. Is the content of "
        "ppk_file the same on both sides, does the peer have a key of that name for us, and are "
        "the other secrets or keys right?"
    )
