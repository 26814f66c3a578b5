"""A capture of any two peers: their IKE SAs as attempts, their ESP as streams. Bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from ipaddress import IPv4Address, IPv6Address

from hushwire.crypto.cipher import KeyedCipher
from hushwire.crypto.errors import BadIcvError
from hushwire.explain.recorder import Recorder
from hushwire.explain.streams import EspStream
from hushwire.explain.tcp import Direction
from hushwire.explain.trace import Attempt
from hushwire.explain.wireshark import EspKeys, IkeSaKeys
from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.errors import WireError
from hushwire.wire.esp import ESP_HEADER_OCTETS
from hushwire.wire.ike.header import HEADER_OCTETS, Header
from hushwire.wire.ike.message import Message, Payload, parse_chain
from hushwire.wire.natt import NON_ESP_MARKER, Datagram, classify
from hushwire.wire.pcap import Frame
from hushwire.wire.registry import ExchangeType, PayloadType
from hushwire.wire.sniffed import Kind, Sniffed, sniff

_NATT_PORT = 4500
_MOST_CONVERSATIONS = 64
_MOST_STREAMS = 256
_MOST_DIRECTIONS = 64
_MOST_PLAIN = 16
_MOST_FRAGMENTS = 64
_MOST_GATHERED = 8


@dataclass(frozen=True, slots=True)
class Plain:
    """An IKE_SA_INIT as it can be read; `from_left` is the initiator's."""

    at: float
    from_left: bool
    message: Message
    sniffed: Sniffed


@dataclass(slots=True)
class Conversation:
    """One IKE SA: `left` began it. `opened` and `refused` count messages that the keys fit, or not.

    `inner` are the payloads that were opened, with who sent them.
    """

    spi: bytes
    left: IPv4Address | IPv6Address
    right: IPv4Address | IPv6Address
    plain: list[Plain] = field(default_factory=list)
    sealed: int = 0
    opened: int = 0
    refused: int = 0
    inner: list[tuple[bool, Header, tuple[Payload, ...]]] = field(default_factory=list)
    gathering: dict[bytes, dict[int, bytes]] = field(default_factory=dict)


class Capture:
    """Takes the frames one after another."""

    def __init__(self, ike: Iterable[IkeSaKeys] = (), esp: Iterable[EspKeys] = ()) -> None:
        self._ike = {
            keys.spi_i: (
                keys,
                keys.cipher.keyed(keys.ei + keys.ai),
                keys.cipher.keyed(keys.er + keys.ar),
            )
            for keys in ike
        }
        self._esp = {keys.spi: (keys, keys.cipher.keyed(keys.key)) for keys in esp}
        self._recorder = Recorder()
        self.conversations: dict[bytes, Conversation] = {}
        self.streams: dict[tuple[str, str, int], EspStream] = {}
        self._directions: dict[tuple[object, ...], Direction] = {}
        self.frames = self.fragments = self.icmp = self.left_out = 0
        self.began: float | None = None

    @property
    def has_keys(self) -> bool:
        return bool(self._ike or self._esp)

    @property
    def unread(self) -> int:
        """Segments of TCP in which no frame could be found."""
        return sum(direction.unread for direction in self._directions.values())

    def add(self, frame: Frame) -> None:
        """One frame. Never raises for its octets."""
        self.frames += 1
        found = sniff(frame.link, frame.data)
        if found is None:
            return
        if self.began is None:
            self.began = frame.at
        at = frame.at - self.began
        match found.kind:
            case Kind.TCP:
                self._segment(found, at)
            case Kind.FRAGMENT:
                self.fragments += 1
            case Kind.ICMP:
                self.icmp += 1
            case Kind.ESP:
                self._packet(found, found.payload, "protocol 50", at)
            case Kind.UDP:
                self._datagram(found, at)

    def attempt(self, conversation: Conversation) -> Attempt:
        """The messages of one IKE SA."""
        (found,) = self._recorder.attempts(conversation.spi.hex())
        return replace(found, left=str(conversation.left), right=str(conversation.right))

    def _segment(self, found: Sniffed, at: float) -> None:
        key = (found.source, found.target, found.ports)
        direction = self._directions.get(key)
        if direction is None:
            if len(self._directions) >= _MOST_DIRECTIONS:
                self.left_out += 1
                return
            direction = self._directions[key] = Direction()
        for message in direction.add(found):
            self._datagram(found._replace(payload=message), at)

    def _datagram(self, found: Sniffed, at: float) -> None:
        data, tcp = found.payload, found.kind is Kind.TCP
        if tcp or _NATT_PORT in found.ports:
            kind = classify(data)
            if kind is Datagram.ESP:
                self._packet(found, data, "TCP 4500" if tcp else "UDP 4500", at)
            if kind is not Datagram.IKE:
                return
            data = data[len(NON_ESP_MARKER) :]
        try:
            header = Header.parse(data)
        except WireError:
            return
        self._message(found, header, data, at)

    def _message(self, found: Sniffed, header: Header, data: bytes, at: float) -> None:
        conversation = self.conversations.get(header.initiator_spi)
        self._recorder.turn(at)
        if conversation is None:
            if len(self.conversations) >= _MOST_CONVERSATIONS:
                self.left_out += 1
                return
            ends = (found.source, found.target)
            left, right = ends if header.initiator else ends[::-1]
            conversation = Conversation(header.initiator_spi, left, right)
            self.conversations[header.initiator_spi] = conversation
            self._recorder.begins(header.initiator_spi, header.initiator_spi.hex(), right)
        words: tuple[Payload, ...] | None = None
        if header.next_payload in (PayloadType.SK, PayloadType.SKF):
            conversation.sealed += 1
            words = self._open(conversation, header, data)
        elif header.exchange == ExchangeType.IKE_SA_INIT:
            self._keep(conversation, header, data, found, at)
        if words is not None and header.initiator:
            self._recorder.sealing(header, words)
        tcp = found.kind is Kind.TCP
        if header.initiator:
            self._recorder.sent(data, conversation.right, found.ports, tcp=tcp)
        else:
            self._recorder.received(data, conversation.right, found.ports, tcp=tcp)
            if words is not None:
                self._recorder.opened(words)

    def _keep(
        self, conversation: Conversation, header: Header, data: bytes, found: Sniffed, at: float
    ) -> None:
        try:
            message = Message.parse(data)
        except WireError:
            return
        if len(conversation.plain) < _MOST_PLAIN:
            conversation.plain.append(Plain(at, header.initiator, message, found))

    def _open(
        self, conversation: Conversation, header: Header, data: bytes
    ) -> tuple[Payload, ...] | None:
        """The payloads inside, when the keys are there and all fragments are."""
        keyed = self._ike.get(header.initiator_spi)
        if keyed is None or header.responder_spi != keyed[0].spi_r:
            return None
        keys, left, right = keyed
        try:
            inside = _unseal(conversation, header, data, keys, left if header.initiator else right)
            if inside is None:
                return None
            payloads = parse_chain(*inside)
        except (BadIcvError, WireError):
            conversation.refused += 1
            return None
        conversation.opened += 1
        if len(conversation.inner) < _MOST_PLAIN:
            conversation.inner.append((header.initiator, header, payloads))
        return payloads

    def _packet(self, found: Sniffed, packet: bytes, carrier: str, at: float) -> None:
        if len(packet) < ESP_HEADER_OCTETS:
            return
        spi = int.from_bytes(packet[:4], "big")
        key = (str(found.source), str(found.target), spi)
        stream = self.streams.get(key)
        if stream is None:
            if len(self.streams) >= _MOST_STREAMS:
                self.left_out += 1
                return
            stream = self.streams[key] = EspStream(*key, carrier, at)
        stream.add(packet, at, self._esp.get(spi))


def _unseal(
    conversation: Conversation, header: Header, data: bytes, keys: IkeSaKeys, keyed: KeyedCipher
) -> tuple[int, bytes] | None:
    """First payload's type and the chain. Raises `BadIcvError` and `WireError`."""
    reader = Reader(data, "SK payload")
    reader.skip(HEADER_OCTETS)
    first = reader.u8()
    reader.skip(3)
    number = total = 1
    if header.next_payload == PayloadType.SKF:
        number, total = reader.u16(), reader.u16()
    aad = data[: reader.offset]
    iv = reader.take(keys.cipher.iv_octets)
    plain = keyed.open(iv, reader.rest(), aad)
    if not plain or plain[-1] >= len(plain):
        raise WireError("SK payload: its padding is longer than it is")
    chain = plain[: len(plain) - 1 - plain[-1]]
    if total == 1:
        return first, chain
    if not 1 <= number <= total <= _MOST_FRAGMENTS:
        raise WireError(f"fragment {number} of {total}")
    name = data[18:24]
    if name not in conversation.gathering and len(conversation.gathering) >= _MOST_GATHERED:
        del conversation.gathering[next(iter(conversation.gathering))]
    parts = conversation.gathering.setdefault(name, {})
    parts[number] = bytes([first]) + chain
    if set(parts) != set(range(1, total + 1)):
        return None
    return parts[1][0], b"".join(parts[index][1:] for index in range(1, total + 1))
