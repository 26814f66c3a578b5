"""Encrypted payload (RFC 7296 §3.14, RFC 5282 for AEAD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hushwire.wire.registry import PayloadType


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The SK payload of a received message, still sealed.

    `aad` is every octet of the message before `body` (RFC 5282 §5.1); `body` is IV, ciphertext and
    ICV. `first_payload` is the type of the first payload inside, 0 for none.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.SK

    first_payload: int
    aad: bytes
    body: bytes
