"""Hints that a peer has forgotten an SA: it was killed, and began anew (RFC 7296 §1.5, §2.21.4).

Nothing protects them, so they lead to no more than a question (is it alive?), seldom, and, if that
is not answered at once, to another attempt to connect beside the IKE SA that is there. RFC 6290
would spare that second or two by tokens under a secret on disk that outlives the process.
"""

from __future__ import annotations

from hushwire.ike.inputs import IkeDrop, Turn
from hushwire.ike.session import Session
from hushwire.ike.sessions import Sessions
from hushwire.ike.states import Established, Role
from hushwire.sa.association import Carrier, Path
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, build_plain
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType, PayloadType

TOLD_SECONDS = 1.0
BELIEVED_SECONDS = 10.0

ESP_SPI_OCTETS = 4
LONGEST_OCTETS = 48
"""An IKE header of 28 octets, a notification of 8, and an SPI of 4 or 8 as its data."""

_IKE_PORT = 500


def is_hint(message: Message) -> bool:
    """A message in clear that says nothing but that an SPI is not known."""
    if message.encrypted is not None or len(message.payloads) != 1:
        return False
    (only,) = message.payloads
    response = message.header.response
    return (
        isinstance(only, Notify)
        and only.type == (NotifyType.INVALID_IKE_SPI if response else NotifyType.INVALID_SPI)
        and message.header.exchange != ExchangeType.IKE_SA_INIT
    )


def may_be_hint(data: bytes) -> bool:
    """By octets alone: so short, and a notification in clear."""
    return len(data) <= LONGEST_OCTETS and data[16:17] == bytes([PayloadType.NOTIFY])


class Hints:
    """Gives them, at most one a second in all; and takes those about SAs that there are."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._told_at = -TOLD_SECONDS

    # Given.

    def unknown_ike_sa(self, data: bytes, path: Path, turn: Turn) -> None:
        """A message came to nothing: perhaps a request by an IKE SA that this host had."""
        if not self._may_tell(turn.now):
            return
        try:
            request = Header.parse(data)
        except WireError:
            return
        sealed = request.next_payload in (PayloadType.SK, PayloadType.SKF)
        if request.response or not sealed or not any(request.responder_spi):
            return
        answer = Header(
            request.initiator_spi,
            request.responder_spi,
            request.exchange,
            request.message_id,
            initiator=not request.initiator,
            response=True,
        )
        self._tell(answer, Notify(NotifyType.INVALID_IKE_SPI), len(data), path, turn)

    def unknown_esp(self, spi: int, path: Path, turn: Turn) -> None:
        """ESP by an SPI that no SA has. Its sender is told unless an IKE SA with it stands."""
        if self._established(path):
            return  # what is late, or on its way to the next SA, is no sign of anything
        local, remote, carrier = path
        if carrier is Carrier.TCP:
            return
        if not remote.port:
            path = Path(local._replace(port=_IKE_PORT), remote._replace(port=_IKE_PORT))
        # §1.5: no IKE SPI would mean anything to the receiver; any will do.
        spi_i = self._sessions.free_ike_spi()
        header = Header(
            spi_i, bytes(8), ExchangeType.INFORMATIONAL, 0, initiator=True, response=False
        )
        notify = Notify(NotifyType.INVALID_SPI, spi.to_bytes(4, "big"))
        self._tell(header, notify, 1 << 16, path, turn)

    def _tell(self, header: Header, notify: Notify, most: int, path: Path, turn: Turn) -> None:
        message = build_plain(header, (notify,))
        if self._may_tell(turn.now) and len(message) <= most:
            self._told_at = turn.now
            turn.send(message, path)

    def _may_tell(self, now: float) -> bool:
        return now >= self._told_at + TOLD_SECONDS

    # Taken.

    def take(self, message: Message, path: Path, turn: Turn) -> bool:
        """May this be the peer's word? Then it is asked whether it lives."""
        found = next((one for one in self._established(path) if _is_about(message, one)), None)
        if found is None or turn.now < found.doubted_at + BELIEVED_SECONDS:
            turn.drop(IkeDrop.UNEXPECTED)
            return False
        found.doubted_at = turn.now
        found.doubtful = True
        return True

    def _established(self, path: Path) -> list[Session]:
        """The IKE SAs with whoever is at the other end of this path."""
        return [
            session
            for session in self._sessions
            if isinstance(session.state, Established)
            and session.link.path.remote.ip == path.remote.ip
        ]


def _is_about(message: Message, session: Session) -> bool:
    """Only who sees what we send knows its SPIs."""
    header, state = message.header, session.state
    if header.response:
        spis = session.link.initiator_spi, session.link.responder_spi
        ours = header.initiator == (session.role is Role.RESPONDER)
        return ours and (header.initiator_spi, header.responder_spi) == spis
    (notify,) = message.payloads
    return (
        isinstance(notify, Notify)
        and isinstance(state, Established)
        and len(notify.data) == ESP_SPI_OCTETS
        and state.children.outbound(notify.data) is not None
    )
