"""The wire side of one IKE SA: its SPIs, its path, its window, and messages built for them."""

from __future__ import annotations

from dataclasses import dataclass

from hushwire.ike.inputs import Incoming, Patience, Turn
from hushwire.ike.states import Role, Secrets
from hushwire.ike.window import Window
from hushwire.sa.association import Path
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload
from hushwire.wire.registry import ExchangeType

NATT_PORT = 4500


@dataclass(frozen=True, slots=True)
class Request:
    """A genuine request of the peer's, opened."""

    incoming: Incoming
    payloads: tuple[Payload, ...]
    secrets: Secrets


class Link:
    """Sends protected messages of one IKE SA. Knows nothing of what they mean."""

    def __init__(
        self,
        role: Role,
        own_spi: bytes,
        path: Path,
        patience: Patience,
        *,
        opener: bool | None = None,
    ) -> None:
        """`opener`: we began the first IKE SA, of which this one may be a rekeyed one."""
        self.role = role
        self.opener = role is Role.INITIATOR if opener is None else opener
        self.own_spi = own_spi
        self.peer_spi = bytes(8)
        self.path = path
        self.window = Window(patience)

    @property
    def initiator_spi(self) -> bytes:
        return self.own_spi if self.role is Role.INITIATOR else self.peer_spi

    @property
    def responder_spi(self) -> bytes:
        return self.peer_spi if self.role is Role.INITIATOR else self.own_spi

    def float_to_natt_port(self) -> None:
        """§2.23: behind a NAT, from IKE_AUTH on, and for ESP, both ends use port 4500."""
        local, remote, carrier = self.path
        self.path = Path(local._replace(port=NATT_PORT), remote._replace(port=NATT_PORT), carrier)

    def send_plain(self, request: bytes, turn: Turn) -> None:
        """IKE_SA_INIT, the first time or once more with a cookie or another group."""
        self.window.restart()
        self.window.sending(request, turn.now)
        turn.send(request, self.path)

    def request(
        self,
        secrets: Secrets,
        exchange: ExchangeType,
        payloads: tuple[Payload, ...],
        turn: Turn,
    ) -> None:
        """Seal and send a request of ours; the window must be free."""
        header = self._header(exchange, self.window.next_id, response=False)
        turn.trace.sealing(header, payloads)
        data = secrets.protection.seal(header, payloads)
        self.window.sending(data, turn.now)
        turn.send(data, self.path)

    def respond(self, request: Request, payloads: tuple[Payload, ...], turn: Turn) -> None:
        """Seal and send the response, back to where the request came from (§2.11)."""
        to = request.incoming
        header = self._header(to.header.exchange, to.header.message_id, response=True)
        turn.trace.sealing(header, payloads)
        response = request.secrets.protection.seal(header, payloads)
        self.window.answering(to.data, response)
        turn.send(response, to.path)

    def repeat(self, to: Incoming, turn: Turn) -> None:
        """The cached response once more, octet for octet (§2.1)."""
        turn.send(self.window.cached_response, to.path)

    def _header(self, exchange: int, message_id: int, *, response: bool) -> Header:
        return Header(
            self.initiator_spi,
            self.responder_spi,
            exchange,
            message_id,
            initiator=self.role is Role.INITIATOR,
            response=response,
        )
