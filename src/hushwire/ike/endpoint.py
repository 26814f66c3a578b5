"""All IKE SAs of one host: the surface of the protocol.

    datagram(bytes, path, now) ─► header and cookie checks, before any state ─► session ─► effects

Every call returns the effects that it wants, in order. The last one is a `SetTimer`, but where a
datagram has changed nothing: the timer stays then, and nobody without keys can have every IKE SA
looked at. The endpoint has no clock, no randomness and no socket of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from hushwire.crypto.exchange import Rng
from hushwire.explain.recorder import Recorder
from hushwire.ike import closing, exchanges, life, opening, roaming
from hushwire.ike.effects import Effect, SetTimer
from hushwire.ike.hints import Hints, is_hint
from hushwire.ike.inputs import Clock, IkeDrop, Incoming, Limits, Patience, Peer, Turn, no_clock
from hushwire.ike.mobility import IpAddress, Surroundings
from hushwire.ike.rivals import Rivals
from hushwire.ike.sessions import Sessions, SessionView, view
from hushwire.ike.states import Closed, Established, Role
from hushwire.ike.strangers import Strangers, refuse_critical, refuse_version
from hushwire.ike.tables import LiveKeys, live_keys
from hushwire.sa.association import Carrier, Path
from hushwire.wire.errors import (
    UnsupportedCriticalPayloadError,
    UnsupportedVersionError,
    WireError,
)
from hushwire.wire.ike.message import Message
from hushwire.wire.ike.rules import check_outer
from hushwire.wire.registry import ExchangeType

__all__ = ["Endpoint", "SessionView"]

# §2 asks for 3000. A stranger's 64 KiB of transforms would cost a tenth of a second to look at.
_LARGEST_INIT_OCTETS = 4096
_MAJOR_VERSION = 2


class Endpoint:
    """One host's IKEv2. `peers` are who may connect and whom `connect` may name."""

    def __init__(
        self,
        peers: Iterable[Peer],
        rng: Rng,
        now: float,
        patience: Patience | None = None,
        limits: Limits | None = None,
        *,
        wall: Clock = no_clock,
    ) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._rng = rng
        self._wall = wall
        self._sessions = Sessions(rng, patience or Patience(), limits or Limits())
        self._strangers = Strangers(self._sessions, self._peers, rng, now)
        self._rivals = Rivals(self._sessions)
        self._hints = Hints(self._sessions)
        self.drops: dict[IkeDrop, int] = dict.fromkeys(IkeDrop, 0)
        self.trace = Recorder()
        self._ending = False

    # What can be asked.

    def sessions(self) -> list[SessionView]:
        """The established IKE SAs."""
        return [seen for session in self._sessions if (seen := view(session))]

    def live_keys(self) -> list[LiveKeys]:
        """The keys of every IKE SA that is alive and of its CHILD_SAs, for `hushwire keys`."""
        return [keys for session in self._sessions if (keys := live_keys(session))]

    def connected(self, name: str) -> bool:
        """Is there an established IKE SA with this peer?"""
        return any(
            isinstance(session.state, Established) and session.peer_name == name
            for session in self._sessions
        )

    def busy(self, name: str) -> bool:
        """Is there an IKE SA with this peer, established or on the way?"""
        return self._rivals.occupied(name, Carrier.UDP)

    def streams(self) -> dict[Path, bool]:
        """The TCP connections that IKE SAs use: has one of them an established IKE SA?"""
        used: dict[Path, bool] = {}
        for session in self._sessions:
            path = session.link.path
            if path.carrier is Carrier.TCP and not isinstance(session.state, Closed):
                used[path] = used.get(path, False) or isinstance(session.state, Established)
        return used

    @property
    def idle(self) -> bool:
        """Nothing is under way any more: an orderly close is complete."""
        return all(isinstance(session.state, Closed) for session in self._sessions)

    def set_peer(self, peer: Peer) -> None:
        """Replace what is known of a peer, from the next negotiation on (its address changed)."""
        self._peers[peer.name] = peer

    # What can happen.

    def connect(self, name: str, path: Path, now: float, *, again: bool = False) -> list[Effect]:
        """Begin an IKE SA with the peer of this name, unless there is one already.

        An attempt in UDP that is not answered yet does not stand in the way of one in TCP. With
        `again` it takes the place of the one that is there, when it stands (§2.8.3).
        """
        turn = self._turn(now)
        rivals = self._rivals
        taken = rivals.under_way(name) if again else rivals.occupied(name, path.carrier)
        if not self._ending and not taken:
            session = self._sessions.new(Role.INITIATOR, path, now)
            self.trace.begins(session.link.own_spi, name, path.remote.ip)
            session.initial_contact = not self.connected(name)
            opening.connect(session, self._peers[name], turn)
        return self._done(turn)

    def datagram(self, data: bytes, path: Path, now: float) -> list[Effect]:
        """An IKE message from the wire, without the non-ESP marker. Never raises for its octets."""
        turn = self._turn(now)
        if self._strangers.turned_away(data, path, turn):
            self._hints.unknown_ike_sa(data, path, turn)
            return turn.effects
        changed = False
        try:
            _check_size(data)
            message = Message.parse(data)
            ports = path.remote.port, path.local.port
            self.trace.received(data, path.remote.ip, ports, tcp=path.carrier is Carrier.TCP)
            hint = is_hint(message)
            if not hint:
                check_outer(message)
        except UnsupportedVersionError:
            refuse_version(data, path, turn)
        except UnsupportedCriticalPayloadError as error:
            refuse_critical(data, path, error, turn)
        except WireError:
            turn.drop(IkeDrop.MALFORMED)
            turn.distrust(path)
        else:
            changed = (
                self._hints.take(message, path, turn)
                if hint
                else self._dispatch(Incoming(message, data, path), turn)
            )
        return self._done(turn) if changed else turn.effects

    def reconnected(self, before: Path, path: Path, now: float) -> list[Effect]:
        """In place of our lost TCP connection `before` there is a new one."""
        turn = self._turn(now)
        for session in self._sessions:
            if session.link.path == before and not isinstance(session.state, Closed):
                life.reconnected(session, path, turn)
        return self._done(turn)

    def lost(self, path: Path, now: float) -> None:
        """A TCP connection of a peer's is gone."""
        self._strangers.lost(path, now)

    def moved(self, inbound_spi: int, path: Path, now: float) -> list[Effect]:
        """The engine has got genuine ESP of this SA by another TCP connection of the peer's."""
        turn = self._turn(now)
        session = self._sessions.of_child(inbound_spi)
        if session is not None:
            life.moved(session, path, turn)
        return self._done(turn)

    def remotes(self) -> set[IpAddress]:
        """Where the peers are or may be: the addresses that `settle` wants sources for."""
        found: set[IpAddress] = set()
        for session in self._sessions:
            if not isinstance(session.state, Closed):
                found.add(session.link.path.remote.ip)
                if session.mobility is not None:
                    found |= session.mobility.peer_addresses
        return found

    def settle(self, surroundings: Surroundings, now: float) -> list[Effect]:
        """This host's network has changed, or may have; this is what it is now."""
        turn = self._turn(now)
        self._sessions.surroundings = surroundings
        for session in self._sessions:
            roaming.look(session, turn)
        return self._done(turn)

    def timer(self, now: float) -> list[Effect]:
        """Do what is due."""
        turn = self._turn(now)
        for session in self._sessions:
            if life.deadline(session) <= now:
                life.timer(session, turn)
        self._rivals.timer(turn)
        return self._done(turn)

    def heard(self, inbound_spi: int, at: float) -> None:
        """The engine accepted ESP on this SA at `at`: its peer needs no liveness check."""
        session = self._sessions.of_child(inbound_spi)
        if session is not None:
            session.heard(at)

    def carried(self, packets: Mapping[int, tuple[int, int]], now: float) -> list[Effect]:
        """So many packets each CHILD_SA has carried out and in, by inbound SPI; told often.

        Where packets go and none come, the peer is asked whether it lives.
        """
        asking = [life.unanswered(session, packets, now) for session in self._sessions]
        return self._done(self._turn(now)) if any(asking) else []

    def unknown_spi(self, spi: int, path: Path, now: float) -> list[Effect]:
        """The engine has got ESP by an SPI that no SA has."""
        turn = self._turn(now)
        self._hints.unknown_esp(spi, path, turn)
        return self._done(turn)

    def used(self, inbound_spi: int, octets: int, packets: int, now: float) -> list[Effect]:
        """So much has gone through this CHILD_SA, in the direction that has carried more."""
        turn = self._turn(now)
        session = self._sessions.of_child(inbound_spi)
        if session is not None:
            life.used(session, inbound_spi, octets, packets, turn)
        return self._done(turn)

    def near_end(self, inbound_spi: int, now: float) -> list[Effect]:
        """This CHILD_SA has few sequence numbers left."""
        turn = self._turn(now)
        session = self._sessions.of_child(inbound_spi)
        if session is not None:
            life.near_end(session, inbound_spi, turn)
        return self._done(turn)

    def rekey(self, name: str, now: float, *, ike: bool = False) -> list[Effect]:
        """New keys now, for all CHILD_SAs with this peer, or for the IKE SA."""
        turn = self._turn(now)
        for session in self._sessions:
            if session.peer_name == name:
                life.wear_out(session, turn, ike=ike)
        return self._done(turn)

    def close(self, now: float) -> list[Effect]:
        """End every IKE SA in order, and begin no other. `idle` tells when all peers know."""
        turn = self._turn(now)
        self._ending = True
        self._strangers.admitted = False
        for session in self._sessions:
            closing.close(session, turn)
        return self._done(turn)

    # From a message to its session.

    def _dispatch(self, incoming: Incoming, turn: Turn) -> bool:
        """Can it have changed anything?"""
        header = incoming.header
        if header.exchange == ExchangeType.IKE_SA_INIT and not header.response:
            return self._strangers.knock(incoming, turn)
        own_spi = header.responder_spi if header.initiator else header.initiator_spi
        session = self._sessions.get(own_spi)
        if session is None or header.initiator == (session.role is Role.INITIATOR):
            turn.drop(IkeDrop.UNKNOWN_SPI)
            return False
        before = session.state
        if header.exchange == ExchangeType.IKE_SA_INIT:
            opening.init_response(session, incoming, turn)
            self._rivals.first_answered_wins(session, turn)
        elif not exchanges.protected(session, incoming, tuple(self._peers.values()), turn):
            return False
        if isinstance(session.state, Established) and not isinstance(before, Established):
            self._rivals.established(session, turn)
        return True

    # Plumbing.

    def _turn(self, now: float) -> Turn:
        self.trace.turn(now)
        return Turn(now, self._rng, self.drops, self._wall, trace=self.trace)

    def _done(self, turn: Turn) -> list[Effect]:
        self._sessions.forget_closed(turn.now)
        at = math.inf
        for session in self._sessions:
            life.work(session, turn)
            at = min(at, life.deadline(session))
        return [*turn.effects, SetTimer(None if at == math.inf else at)]


def _check_size(data: bytes) -> None:
    """Raise `WireError` for an IKE_SA_INIT with more than any honest one has to say.

    Not of a higher version: that costs no more than its header, and may be a probe of the path.
    """
    if len(data) <= _LARGEST_INIT_OCTETS:
        return
    if data[17] >> 4 == _MAJOR_VERSION and data[18] == ExchangeType.IKE_SA_INIT:
        raise WireError(f"IKE_SA_INIT of {len(data)} octets")
