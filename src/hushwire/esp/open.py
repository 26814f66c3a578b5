"""Inbound ESP processing (RFC 4303 §3.4, RFC 4301 §5.2); in tunnel mode by `open`."""

from __future__ import annotations

from typing import NamedTuple

from hushwire.crypto.errors import BadIcvError
from hushwire.esp.aad import covered
from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.padding import alignment, unpad
from hushwire.sa.association import ChildSa
from hushwire.sa.replay import ReplayWindow
from hushwire.sa.selectors import FlowMatcher
from hushwire.wire.errors import WireError
from hushwire.wire.esp import ESP_HEADER_OCTETS, parse_header
from hushwire.wire.ip import parse_flow, total_length
from hushwire.wire.registry import IpProtocol

_VERSIONS: dict[int, int] = {IpProtocol.IPV4: 4, IpProtocol.IPV6: 6}


class Opened(NamedTuple):
    """The IP packet inside, without TFC padding, and the next header that announced it."""

    inner: bytes
    next_header: int


class InboundSa:
    """The receiving half of a Child SA: its key, its replay window and what it may carry.

    Not safe for two threads at once.
    """

    __slots__ = (
        "_align",
        "_cipher",
        "_esn",
        "_head",
        "_keyed",
        "_matcher",
        "_shortest",
        "_spi",
        "window",
    )

    def __init__(self, child: ChildSa) -> None:
        cipher = child.suite.cipher
        self._cipher = cipher
        self._keyed = cipher.keyed(child.inbound_key)
        self._align = alignment(cipher)
        self._spi = child.inbound_spi
        self._esn = child.suite.esn
        self._head = ESP_HEADER_OCTETS + cipher.iv_octets
        self._shortest = self._head + self._align + cipher.icv_octets
        self._matcher = FlowMatcher(child.local_selectors, child.remote_selectors)
        self.window = ReplayWindow(child.replay_window, child.suite.esn)

    def open(self, packet: bytes) -> Opened:
        """Open one ESP packet. Raises `EspDropError` for every packet that must not be delivered.

        Nothing of the SA changes before the ICV has proved the packet (§3.4.3).
        """
        return self._inspect(*self.open_payload(packet))

    def open_payload(self, packet: bytes) -> tuple[bytes, int]:
        """The payload of an authentic packet and its next header; no look at what that is.

        Raises `EspDropError`. Nothing of the SA changes before the ICV has proved the packet.
        """
        payload, next_header = unpad(self._authenticate(packet))
        if next_header == IpProtocol.NO_NEXT_HEADER:  # §2.6: a dummy packet, discarded silently
            raise EspDropError(Drop.DUMMY)
        return payload, next_header

    def inspect_packet(self, packet: bytes) -> None:
        """Whether this SA may carry the opened packet (RFC 4301 §5.2). Raises `EspDropError`."""
        try:
            flow = parse_flow(packet)
        except WireError:
            raise EspDropError(Drop.BAD_INNER) from None
        if not self._matcher.inbound(flow):
            raise EspDropError(Drop.SELECTOR_MISMATCH_IN)

    def _authenticate(self, packet: bytes) -> bytes:
        """The plaintext with its trailer (§3.4.3, then §3.4.4.2)."""
        # §2.4: what is encrypted consists of whole blocks, and at least of 4-octet words.
        if len(packet) < self._shortest or (len(packet) - self._shortest) % self._align:
            raise EspDropError(Drop.TRUNCATED)
        spi, low32 = parse_header(packet)
        if spi != self._spi:
            raise EspDropError(Drop.UNKNOWN_SPI)
        sequence = self.window.recover(low32)
        if not self.window.check(sequence):
            raise EspDropError(Drop.REPLAY)
        try:
            plaintext = self._keyed.open(
                packet[ESP_HEADER_OCTETS : self._head],
                packet[self._head :],
                *covered(self._cipher, spi, sequence, self._esn),
            )
        except BadIcvError:
            raise EspDropError(Drop.BAD_ICV) from None
        if not self.window.commit(sequence):
            raise EspDropError(Drop.REPLAY)
        return plaintext

    def _inspect(self, payload: bytes, next_header: int) -> Opened:
        """Whether an authentic payload is what this SA may carry (RFC 4301 §5.2)."""
        version = _VERSIONS.get(next_header)
        if version is None or not payload or payload[0] >> 4 != version:
            raise EspDropError(Drop.BAD_NEXT_HEADER)
        try:
            # §2.7: the IP header's own length tells where TFC padding begins.
            inner = payload[: total_length(payload)]
        except WireError:
            raise EspDropError(Drop.BAD_INNER) from None
        self.inspect_packet(inner)
        return Opened(inner, next_header)
