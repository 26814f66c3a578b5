"""The bounded reader: the only place that slices bytes from the wire."""

from __future__ import annotations

from hushwire.wire.errors import TruncatedError, WireError


class Reader:
    """Reads forward through one buffer, in network byte order, and never past its end.

    Every method raises `TruncatedError` when fewer octets remain than it needs; `what` names the
    structure in that error.
    """

    __slots__ = ("_data", "_offset", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._offset = 0
        self._what = what

    @property
    def remaining(self) -> int:
        """Octets not yet read."""
        return len(self._data) - self._offset

    @property
    def offset(self) -> int:
        """Octets already read."""
        return self._offset

    def take(self, count: int) -> bytes:
        """Exactly `count` octets."""
        if not 0 <= count <= self.remaining:
            raise TruncatedError(
                f"{self._what}: {count} octets expected at offset {self._offset}, "
                f"{self.remaining} are there"
            )
        start = self._offset
        self._offset += count
        return self._data[start : self._offset]

    def skip(self, count: int) -> None:
        """Pass over `count` octets (reserved fields, ignored on receipt)."""
        self.take(count)

    def rest(self) -> bytes:
        """All that remains, possibly nothing."""
        return self.take(self.remaining)

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def expect_end(self) -> None:
        """Raise `WireError` when octets remain where the structure should have ended."""
        if self.remaining:
            raise WireError(f"{self._what}: {self.remaining} octets too many at its end")
