"""Events on their way from the packet thread to whoever calls the engine."""

from __future__ import annotations

import os
import threading
from collections import deque

from hushwire.engines.base import EVENTS_WAITING, Event


class EventQueue:
    """A bounded queue with a descriptor that is readable while something waits."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._lock = threading.Lock()
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def offer(self, event: Event) -> bool:
        """Add an event that a stranger can cause. False when too many wait: it is lost."""
        with self._lock:
            if len(self._waiting) >= EVENTS_WAITING:
                return False
            self._add(event)
            return True

    def put(self, event: Event) -> None:
        """Add an event that must not be lost, of which there are few."""
        with self._lock:
            self._add(event)

    def take(self) -> list[Event]:
        """All that waits."""
        with self._lock:
            events = list(self._waiting)
            if events:
                self._waiting.clear()
                os.eventfd_read(self.fd)
            return events

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
            os.close(self.fd)

    def _add(self, event: Event) -> None:
        if not self._waiting:
            os.eventfd_write(self.fd, 1)
        self._waiting.append(event)
