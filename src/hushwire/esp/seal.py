"""Outbound ESP processing (RFC 4303 §3.3); in tunnel mode by `seal`."""

from __future__ import annotations

from hushwire.crypto.cipher import system_rng
from hushwire.crypto.exchange import Rng
from hushwire.esp.aad import covered
from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.padding import alignment, pad
from hushwire.sa.association import ChildSa
from hushwire.wire.esp import build_header
from hushwire.wire.registry import IpProtocol

_NEXT_HEADERS = {4: IpProtocol.IPV4, 6: IpProtocol.IPV6}


class OutboundSa:
    """The sending half of a Child SA: its key and its sequence number counter.

    Make one for a key, once in that key's life: the counter is what keeps the nonces apart.
    Not safe for two threads at once. `sent` is how many packets have left under this key, `rng`
    where the IVs come from that must be random.
    """

    __slots__ = ("_align", "_cipher", "_esn", "_keyed", "_limit", "_rng", "_sequence", "_spi")

    def __init__(self, child: ChildSa, sent: int = 0, rng: Rng = system_rng) -> None:
        cipher = child.suite.cipher
        self._cipher = cipher
        self._keyed = cipher.keyed(child.outbound_key)
        self._rng = rng
        self._align = alignment(cipher)
        self._spi = child.outbound_spi
        self._esn = child.suite.esn
        self._limit = (1 << 64) - 1 if self._esn else (1 << 32) - 1
        self._sequence = sent

    @property
    def remaining(self) -> int:
        """Sequence numbers not yet used."""
        return self._limit - self._sequence

    @property
    def near_end(self) -> bool:
        """Whether less than a sixteenth of the sequence numbers is left: time to rekey."""
        return self.remaining < self._limit >> 4

    def seal(self, inner: bytes) -> bytes:
        """The ESP packet SPI | sequence number | IV | ciphertext | ICV around an IP packet.

        Raises `EspDropError`: BAD_INNER for what is not IP, SEQUENCE_EXHAUSTED when the counter
        would cycle (§3.3.3: it MUST NOT, with ESN neither).
        """
        next_header = _NEXT_HEADERS.get(inner[0] >> 4) if inner else None
        if next_header is None:
            raise EspDropError(Drop.BAD_INNER)
        return self.seal_payload(inner, next_header)

    def seal_payload(self, payload: bytes, next_header: int) -> bytes:
        """The same around any payload, for a next header that says what it is.

        Raises `EspDropError`: SEQUENCE_EXHAUSTED.
        """
        if self._sequence >= self._limit:
            raise EspDropError(Drop.SEQUENCE_EXHAUSTED)
        self._sequence += 1
        sequence = self._sequence
        iv = self._cipher.iv(sequence, self._rng)
        sealed = self._keyed.seal(
            iv,
            pad(payload, next_header, self._align),
            *covered(self._cipher, self._spi, sequence, self._esn),
        )
        return build_header(self._spi, sequence & 0xFFFFFFFF) + iv + sealed
