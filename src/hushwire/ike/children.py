"""The CHILD_SAs of one IKE SA, from their installation until the last packet has drained.

    Live ──► Deleting (by us) ──► Draining ──► gone
      └────► Replaced (the peer is to delete it) ──► Draining

A new one is installed before an old one stops sending, and an old one still receives for a while
after both sides have deleted it: so that nothing is lost on the way (RFC 7296 §2.8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from enum import Enum, auto

from hushwire.ike.inputs import Turn
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa, Path


class Stage(Enum):
    """Where a CHILD_SA is on its way."""

    LIVE = auto()
    REPLACED = auto()
    DELETING = auto()
    DRAINING = auto()


@dataclass(slots=True, eq=False)
class Child:
    """One CHILD_SA. `until` ends the stages Replaced and Draining; times as in `Turn`.

    `known_at`: before this, the peer may not have got the response that tells of it. Nothing can be
    asked of the peer about it. `awaits`: it is not used for sending until the peer proves it.
    """

    sa: ChildSa
    since: float
    rekey_at: float = math.inf
    known_at: float = -math.inf
    awaits: bool = False
    stage: Stage = Stage.LIVE
    until: float = math.inf


class Children:
    """In the order of their installation."""

    def __init__(self, made: Iterable[Child] = ()) -> None:
        self._all = list(made)

    def __iter__(self) -> Iterator[Child]:
        """They may come and go meanwhile."""
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)

    @property
    def live(self) -> list[Child]:
        return [child for child in self._all if child.stage is Stage.LIVE]

    @property
    def current(self) -> Child | None:
        """The newest that is to stay, or else the newest."""
        return next(reversed(self.live or self._all), None)

    def deleting(self, now: float) -> list[Child]:
        """Those that the peer has to be told of, as soon as it knows them."""
        return [
            child for child in self._all if child.stage is Stage.DELETING and child.known_at <= now
        ]

    def worn_out(self, now: float) -> Child | None:
        """The oldest that is to be rekeyed now."""
        due = (child for child in self.live if max(child.rekey_at, child.known_at) <= now)
        return next(due, None)

    def known(self, turn: Turn) -> None:
        """The peer has sent another request: with a window of 1, it has all our responses."""
        for child in self._all:
            child.known_at = -math.inf
        self.begun(turn)

    def begun(self, turn: Turn) -> None:
        """The peer is on this IKE SA, and so has the CHILD_SA that came with it."""
        for child in self._all:
            if child.awaits and child.known_at == -math.inf:
                child.awaits = False
                turn.confirm_sa(child.sa.inbound_spi)

    def inbound(self, spi: int) -> Child | None:
        """The one that receives by this SPI."""
        return next((child for child in self._all if child.sa.inbound_spi == spi), None)

    def outbound(self, spi: bytes) -> Child | None:
        """The one that the peer calls by this SPI; none that is deleted on both sides."""
        number = int.from_bytes(spi, "big")
        return next(
            (
                child
                for child in self._all
                if child.sa.outbound_spi == number and child.stage is not Stage.DRAINING
            ),
            None,
        )

    # What becomes of them.

    def install(self, child: Child, turn: Turn) -> None:
        self._all.append(child)
        turn.install_sa(child.sa)

    def replaced(self, child: Child, until: float) -> None:
        """The peer has rekeyed it and is to delete it."""
        if child.stage is Stage.LIVE:
            child.stage, child.until = Stage.REPLACED, until

    def delete(self, child: Child, turn: Turn) -> None:
        """Use it no more; the peer is told as soon as that can be."""
        if child.stage in (Stage.LIVE, Stage.REPLACED):
            child.stage, child.until = Stage.DELETING, math.inf
            turn.retire_sa(child.sa.inbound_spi)

    def drain(self, child: Child, until: float, turn: Turn) -> None:
        """Both sides have deleted it; what is on its way is still welcome."""
        if child.stage in (Stage.LIVE, Stage.REPLACED):
            turn.retire_sa(child.sa.inbound_spi)
        if child.stage is not Stage.DRAINING:
            child.stage, child.until = Stage.DRAINING, until

    def expire(self, turn: Turn) -> None:
        """Forget what has drained, and delete what the peer should have deleted."""
        for child in self:
            if child.until <= turn.now:
                if child.stage is Stage.DRAINING:
                    self.forget(child, turn)
                else:
                    self.delete(child, turn)

    def forget(self, child: Child, turn: Turn) -> None:
        """At once."""
        self._all.remove(child)
        turn.remove_sa(child.sa.inbound_spi)

    def clear(self, turn: Turn) -> None:
        """All of them at once."""
        for child in self:
            self.forget(child, turn)

    def take(self, other: Children) -> None:
        """They belong to this IKE SA from now on (§2.18), before those that it has itself."""
        self._all[:0] = other._all
        other._all.clear()

    def moved(self, path: Path, turn: Turn) -> None:
        """The peer is reached by another path."""
        self.change(lambda sa: replace(sa, path=path), turn)

    def change(self, into: Callable[[ChildSa], ChildSa], turn: Turn) -> None:
        """Each becomes what `into` makes of it."""
        for child in self._all:
            child.sa = into(child.sa)
            turn.update_sa(child.sa)

    @property
    def deadline(self) -> float:
        """When `expire` has something to do."""
        return min((child.until for child in self._all), default=math.inf)
