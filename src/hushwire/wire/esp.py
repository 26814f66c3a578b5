"""The clear part of an ESP packet (RFC 4303 §2)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hushwire.wire.errors import TruncatedError

ESP_HEADER_OCTETS = 8

_HEADER = struct.Struct(">II")


class EspHeader(NamedTuple):
    """`sequence` is what the wire carries: the low 32 bits, also with ESN (§2.2.1)."""

    spi: int
    sequence: int


def parse_header(packet: bytes) -> EspHeader:
    """The first 8 octets of `packet`. Raises `TruncatedError` when there are fewer."""
    if len(packet) < ESP_HEADER_OCTETS:
        raise TruncatedError(f"ESP: {len(packet)} octets, its header has {ESP_HEADER_OCTETS}")
    return EspHeader._make(_HEADER.unpack_from(packet))


def build_header(spi: int, sequence: int) -> bytes:
    """8 octets; `sequence` is the low 32 bits."""
    return _HEADER.pack(spi, sequence)
