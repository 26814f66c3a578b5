"""What the ICV covers besides the ciphertext (RFC 4106 §5, RFC 7634 §2.1)."""

from __future__ import annotations


def additional_data(spi: int, sequence: int, esn: bool) -> bytes:
    """SPI | sequence number: 32 bits of it, or all 64 with ESN, whose high half is not sent."""
    return spi.to_bytes(4, "big") + sequence.to_bytes(8 if esn else 4, "big")
