"""How often something may happen: token buckets, of one or of many, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict


class Bucket:
    """Lets `rate` through a second on average, and `burst` at once. Times in seconds."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def ready(self, now: float) -> bool:
        """Would `take` succeed?"""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= 1

    def take(self, now: float) -> bool:
        """One token, if there is one."""
        if not self.ready(now):
            return False
        self._tokens -= 1
        return True


class Buckets:
    """One bucket for each key, for the `most` keys that were last asked about."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._kept: OrderedDict[bytes, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: bytes, now: float) -> bool:
        """One token of this key's, if there is one."""
        bucket = self._kept.get(key)
        if bucket is None:
            bucket = self._kept[key] = Bucket(self._rate, self._burst, now)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return bucket.take(now)
