"""Certificate and Certificate Request payloads (RFC 7296 §3.6 and §3.7)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.cursor import Reader
from hushwire.wire.registry import PayloadType


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, or with encoding 15 a SubjectPublicKeyInfo in DER (RFC 7670 §3)."""

    payload_type: ClassVar[PayloadType] = PayloadType.CERT

    encoding: int
    data: bytes

    def build(self) -> bytes:
        return bytes([self.encoding]) + self.data

    @classmethod
    def parse(cls, body: bytes) -> Certificate:
        """Raises `TruncatedError` for an empty body."""
        reader = Reader(body, "CERT payload")
        return cls(reader.u8(), reader.rest())


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """The encodings and authorities that the sender prefers: a hint, never a demand.

    `authorities` are SHA-1 hashes one after another, empty for raw public keys (RFC 7670 §3).
    """

    payload_type: ClassVar[PayloadType] = PayloadType.CERTREQ

    encoding: int
    authorities: bytes

    def build(self) -> bytes:
        return bytes([self.encoding]) + self.authorities

    @classmethod
    def parse(cls, body: bytes) -> CertificateRequest:
        """Raises `TruncatedError` for an empty body."""
        reader = Reader(body, "CERTREQ payload")
        return cls(reader.u8(), reader.rest())
