"""Vendor ID payload (RFC 7296 §3.12)."""

from __future__ import annotations

from typing import ClassVar

from hushwire.records import dataclass
from hushwire.wire.registry import PayloadType


@dataclass(frozen=True, slots=True)
class VendorId:
    """Opaque octets by which an implementation knows its own kind."""

    payload_type: ClassVar[PayloadType] = PayloadType.VENDOR_ID

    data: bytes

    def build(self) -> bytes:
        return self.data

    @classmethod
    def parse(cls, body: bytes) -> VendorId:
        """Any body is one."""
        return cls(body)
