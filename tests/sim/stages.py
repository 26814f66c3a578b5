"""Two hosts stopped at a moment of their connection, and an insider who knows its keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hushwire.crypto.suites import IkeSuite
from hushwire.ike.effects import Send
from hushwire.ike.keys import IkeKeys
from hushwire.ike.session import Session
from hushwire.ike.states import AuthSent, Closing, Established, HalfOpen, IntermediateSent, Secrets
from hushwire.sa.association import Path
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, Payload, build_chain, build_sk_head, parse_chain
from hushwire.wire.ike.payloads.encrypted import Part
from tests.sim.network import Host, Network, pair


class Stage(IntEnum):
    """How many messages have been delivered; what follows is held back."""

    ASKED = 0  # alice InitSent
    ANSWERED = 1  # alice InitSent, bob HalfOpen
    PROVING = 2  # alice AuthSent, bob HalfOpen
    BELIEVED = 3  # alice AuthSent, bob Established
    UP = 4  # both Established
    CLOSING = 5  # alice Closing, bob Established
    CLOSED = 6  # both Closed, still repeating their last responses
    REKEYING = 7  # alice has asked for another IKE SA; bob has made it, and Replaced this one


@dataclass(frozen=True)
class Insider:
    """Knows the keys of one IKE SA, and seals whatever it likes as either end of it."""

    suite: IkeSuite
    keys: IkeKeys
    initiator_spi: bytes
    responder_spi: bytes

    def header(
        self, exchange: int, message_id: int, *, initiator: bool, response: bool = False
    ) -> Header:
        return Header(
            self.initiator_spi, self.responder_spi, exchange, message_id,
            initiator=initiator, response=response,
        )  # fmt: skip

    def seal(self, header: Header, payloads: tuple[Payload, ...]) -> bytes:
        return self.seal_chain(header, *build_chain(payloads))

    def seal_chain(
        self,
        header: Header,
        first: int,
        chain: bytes,
        trailer: bytes = b"\0",
        iv: bytes = bytes(8),
        *,
        part: Part | None = None,
    ) -> bytes:
        """Any octets as the chain; `trailer` is the padding with its length."""
        plaintext = chain + trailer
        head = build_sk_head(header, first, len(iv) + len(plaintext) + 16, part)
        key = self.keys.ei if header.initiator else self.keys.er
        return head + iv + self.suite.cipher.keyed(key).seal(iv, plaintext, head)

    def open(self, message: bytes) -> tuple[Payload, ...]:
        """What a message of either end says."""
        parsed = Message.parse(message)
        sealed = parsed.encrypted
        assert sealed is not None
        key = self.keys.ei if parsed.header.initiator else self.keys.er
        iv, rest = sealed.body[:8], sealed.body[8:]
        plaintext = self.suite.cipher.keyed(key).open(iv, rest, sealed.aad)
        return parse_chain(sealed.first_payload, plaintext[: -1 - plaintext[-1]])


class Scene:
    """Alice and bob; alice has begun. `changes` as for `peer`."""

    def __init__(self, stage: Stage, seed: int = 0, **changes: object) -> None:
        self.network = Network(seed)
        self.alice, self.bob = pair(self.network, **changes)
        self._insider: Insider | None = None
        rekeying = stage is Stage.REKEYING
        self._most = min(stage, Stage.UP) if stage < Stage.CLOSED else 5 if rekeying else 99
        self.network.on_send = self._gate
        self.network.connect(self.alice, "bob")
        self.network.run(0.1)
        if rekeying:
            self.network.rekey(self.alice, ike=True)
            self.network.run(0.1)
        elif stage >= Stage.CLOSING:
            self.network.close(self.alice)
            self.network.run(0.1)

    def _gate(self, host: Host, data: bytes, path: Path) -> bytes | None:
        secrets = secrets_of(host)
        if secrets is not None and self._insider is None:
            link = session_of(host).link
            self._insider = Insider(
                secrets.suite, secrets.keys, link.initiator_spi, link.responder_spi
            )
        return data if len(self.network.sent) <= self._most else None

    def release(self) -> None:
        """From now on everything is delivered."""
        self._most = 1 << 30

    @property
    def inside(self) -> Insider:
        """Once bob has answered."""
        assert self._insider is not None
        return self._insider

    @property
    def messages(self) -> list[tuple[bytes, Path]]:
        """What alice and bob have sent, each with the path as its receiver sees it."""
        return [(data, Path(path.remote, path.local)) for _host, data, path in self.network.sent]

    def tell(self, host: Host, data: bytes) -> list[bytes]:
        """Give a datagram to a host, as from the other one; what it sends back at once."""
        effects = self.network.deliver(host, data, self.path_to(host))
        return [effect.data for effect in effects if isinstance(effect, Send)]

    def path_to(self, host: Host) -> Path:
        """The path of datagrams that arrive at `host` from the other one."""
        own = session_of(self.alice).link.path
        return own if host is self.alice else Path(own.remote, own.local)


def session_of(host: Host) -> Session:
    """The first IKE SA of the host, whatever its state."""
    return next(iter(host.endpoint._sessions))


def secrets_of(host: Host) -> Secrets | None:
    for session in host.endpoint._sessions:
        if isinstance(
            session.state, IntermediateSent | AuthSent | HalfOpen | Established | Closing
        ):
            return session.state.secrets
    return None


def state_names(host: Host) -> list[str]:
    return [type(session.state).__name__ for session in host.endpoint._sessions]
