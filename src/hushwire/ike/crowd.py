"""The half-open IKE SAs that strangers have begun, in their order, and how many each source has.

A source is an IPv4 address or an IPv6 /64, which one host can have all of. Only those count for it
whose initiator has shown, by a cookie or in TCP, that it is there: else anybody could use up the
share of another by its address (RFC 8019 §4).
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from hushwire.ike.session import Session

_PREFIX_OCTETS = {4: 4, 6: 8}


def source_of(address: IPv4Address | IPv6Address) -> bytes:
    """What counts as one stranger."""
    return address.packed[: _PREFIX_OCTETS[address.version]]


class Crowd:
    """Those that wait for IKE_AUTH."""

    def __init__(self) -> None:
        self._sources: dict[Session, bytes] = {}
        self._counts: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._sources)

    def enter(self, session: Session, source: bytes) -> None:
        """A new one; `source` is empty where nobody has shown to be there."""
        self._sources[session] = source
        self._counts[source] += 1

    def leave(self, session: Session) -> None:
        """It has become something else, or nothing."""
        source = self._sources.pop(session, None)
        if source is not None:
            self._counts[source] -= 1
            if not self._counts[source]:
                del self._counts[source]

    def of(self, source: bytes) -> int:
        """How many this source has."""
        return self._counts[source]

    def oldest(self) -> Session | None:
        return next(iter(self._sources), None)

    def all(self) -> list[Session]:
        return list(self._sources)
