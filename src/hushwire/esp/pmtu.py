"""Path MTU discovery of the outer path: probes that are answered, and hints by ICMP.

Data never depends on it. Outer IPv4 packets go without DF, and outer IPv6 packets larger than
what is proved to pass are cut into fragments at this end: a wrong estimate costs fragments, not
packets, and ICMP may be filtered. What looks for the largest size is a probe that may not be
fragmented and that the peer answers (RFC 8899 in spirit: packetization layer path MTU discovery).

    SEARCHING   the link's own size; if that is not answered, what an ICMP error has hinted at,
       │        then the least size, then halves between what passed and what did not
       ├──► KNOWN     after 10 minutes: search again, the path may carry more now
       │              after a minute of use: the same size again, it may carry less
       │              an ICMP error: believe it for now, and search
       └──► UNKNOWN   not even the least size was answered: stay with what is safe, try later
"""

from __future__ import annotations

from hushwire.records import dataclass

LEAST = {4: 576, 6: 1280}
"""What every path passes in one piece: by use (RFC 1122 §3.3.3), by rule (RFC 8200 §5)."""

TRIES = 3
TRY_SECONDS = 1.0
AGEING_SECONDS = 600.0
"""RFC 1191 §6.3, RFC 8201 §4: no earlier than this is a larger path MTU looked for."""

CONFIRM_SECONDS = 60.0
DEAF_SECONDS = 60.0
FINE_ENOUGH = 8
"""Octets: a search that is this near to the largest size ends."""


@dataclass(slots=True)
class _Probe:
    size: int
    tries: int
    due: float
    confirms: bool = False


class PathMtu:
    """One path to a peer. Sizes are octets of whole outer IP packets.

    `mtu` is the estimate, which the sizes of inner packets follow. `whole` is what may be sent in
    one piece: the same for IPv4, whose routers fragment; for IPv6 no more than has been proved.
    `version` is the outer header's, `link` the MTU of the device at this end; for another one
    begin anew. Times are in seconds from any fixed point.
    """

    def __init__(self, version: int, link: int, now: float) -> None:
        self.link = link
        self.least = min(LEAST[version], link)
        self._safe = link if version == 4 else self.least
        self.whole = self._safe
        self.mtu = link
        self.known = False
        self._hint = 0
        self._deaf_until = now
        self._again_at = self._confirm_at = now
        self._low, self._high = 0, link
        self._probe: _Probe | None = None
        self._search(now)

    @property
    def deadline(self) -> float:
        """When to call `timer`."""
        if self._probe is not None:
            return self._probe.due
        return min(self._again_at, self._confirm_at) if self.known else self._again_at

    @property
    def awaited(self) -> int:
        """The size whose probe is under way; 0 when none is."""
        return self._probe.size if self._probe else 0

    def timer(self, now: float, *, used: bool = True) -> int | None:
        """The size of the probe to send now, if any. `used`: has the path carried data lately?"""
        if now < self.deadline:
            return None
        if self._probe is not None:
            if self._probe.tries >= TRIES:
                self._unanswered(self._probe, now)
        elif now >= self._again_at:
            self._search(now)
        else:
            self._confirm_at = now + CONFIRM_SECONDS
            if used:
                self._probe = _Probe(self.mtu, 0, now, confirms=True)
        if self._probe is None:
            return None
        self._probe.tries += 1
        self._probe.due = now + TRY_SECONDS
        return self._probe.size

    def answered(self, size: int, now: float) -> None:
        """The probe of this size has arrived: here is its answer."""
        probe = self._probe
        if probe is None or probe.size != size:
            return
        self._probe = None
        if probe.confirms:
            return
        self._low = size
        if size == self.link and self._hint:
            # What has just passed is more than an ICMP error said: that was a lie, or is over.
            self._hint = 0
            self._deaf_until = now + DEAF_SECONDS
        self._next(now)

    def too_big(self, mtu: int, now: float) -> bool:
        """An ICMP error about a packet on this path: `mtu` would pass. False: not believed.

        It can only lower, and never below what every path passes (RFC 8201 §4): somebody who can
        forge it gains fragments until the next probe is answered, and is then not heard any more.
        """
        tried = 0 if self._probe is None or self._probe.confirms else self._probe.size
        if not self.least <= mtu < max(self.mtu, tried) or now < self._deaf_until:
            return False
        lower = mtu < self.mtu
        self.mtu = min(self.mtu, mtu)
        self.whole = min(self.whole, mtu)
        self._hint = mtu
        if mtu < tried:  # as good as no answer to the probe, and it comes sooner
            self._high = mtu
            self._next(now)
        elif lower and not tried:
            self._search(now)
        return True

    def _search(self, now: float) -> None:
        self._low, self._high = 0, self.link
        self._probe = _Probe(self.link, 0, now)

    def _unanswered(self, probe: _Probe, now: float) -> None:
        if probe.confirms:
            # What passed does not pass now. Until it is known how much does, nothing is proved.
            self.known = False
            self.whole = min(self.mtu, self._safe)
            self._search(now)
            return
        self._high = probe.size - 1
        if probe.size == self._hint:
            self._hint = 0
        self._next(now)

    def _next(self, now: float) -> None:
        if self._high < self.least:
            # Nothing is answered: the peer does not answer probes at all, or is away.
            self.known = False
            self.mtu = self.whole = min(self._safe, self._hint or self._safe)
            self._end(now)
        elif self._low and self._high - self._low < FINE_ENOUGH:
            self.known = True
            self.mtu = self.whole = self._low
            self._end(now)
        elif self._low < self._hint <= self._high:
            self._probe = _Probe(self._hint, 0, now)
        elif not self._low:
            self._probe = _Probe(self.least, 0, now)
        else:
            self._probe = _Probe((self._low + self._high + 1) // 2, 0, now)

    def _end(self, now: float) -> None:
        self._probe = None
        self._hint = 0
        self._again_at = now + AGEING_SECONDS
        self._confirm_at = now + CONFIRM_SECONDS
