"""What the ICV covers besides the IV and the ciphertext, which the packet holds in between."""

from __future__ import annotations

from hushwire.crypto.cipher import Cipher
from hushwire.wire.esp import build_header


def covered(cipher: Cipher, spi: int, sequence: int, esn: bool) -> tuple[bytes, bytes]:
    """The octets before (the AAD) and after (the tail); `sequence` is the whole number.

    With ESN the high 32 bits of the sequence number are covered and not sent. An AEAD has them
    where they belong, SPI | all 64 bits (RFC 4106 §5, RFC 7634 §2.1); a MAC of its own runs over
    the packet as it is sent, and they come after it (RFC 4303 §3.3.2.1).
    """
    if cipher.integrity is None:
        return spi.to_bytes(4, "big") + sequence.to_bytes(8 if esn else 4, "big"), b""
    high, low = divmod(sequence, 1 << 32)
    return build_header(spi, low), high.to_bytes(4, "big") if esn else b""
