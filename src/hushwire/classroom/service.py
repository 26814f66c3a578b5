"""`hushwire classroom`: programs on one interface, and what user space does for them.

HELD        keep the frame; knock while nobody answers; give up after a while
AGREED      send what is held, in order, and let later messages go by themselves
UNREADABLE  knock at the sender: it has a key that we do not have
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

from hushwire.classroom import statistics
from hushwire.classroom.frames import Frame
from hushwire.classroom.held import PATIENCE_SECONDS, Held, Pair, count
from hushwire.classroom.programs import (
    MARK_KNOCK,
    MARK_RESEND,
    Agreed,
    HeldFrame,
    Programs,
    Unreadable,
)
from hushwire.classroom.report import Report
from hushwire.classroom.statistics import address, plural
from hushwire.records import dataclass
from hushwire.system import clsact, tracing
from hushwire.system import interface as system
from hushwire.system.errors import SystemFailureError
from hushwire.system.tracing import TracePipe

_STATISTICS_SECONDS = 1.0
_LOSSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was asked for.

    `hook`: "tcx", "clsact", or "" for what the kernel has. `patience`: seconds for which a message
    waits for an answer to the key exchange.
    """

    interface: str
    port: int
    label: str
    trace: bool = False
    hook: str = ""
    patience: float = PATIENCE_SECONDS


class OccupiedError(SystemFailureError):
    """The interface has its programs already."""


class Service:
    """Runs until SIGINT or SIGTERM. One thread, one selector."""

    def __init__(self, lesson: Lesson, report: Report) -> None:
        self._lesson = lesson
        self._report = report
        self._held = Held(lesson.patience)
        self._agreed: set[Pair] = set()
        self._silent: set[Pair] = set()
        self._unreadable: dict[Pair, float] = {}
        self._done: Counter[Pair] = Counter()
        self._sent = self._given_up = 0
        self._shown: dict[str, Any] = {}
        self._show_at = 0.0

    def run(self) -> None:
        """Raises `OccupiedError`, `SystemFailureError` and `NotPermittedError`.

        Nothing stays attached.
        """
        name = self._lesson.interface
        with ExitStack() as stack:
            index = system.index_of(name)
            stack.enter_context(_only_one(name))
            ended = stack.enter_context(_Ended())
            news = stack.enter_context(system.link_news())
            self._programs = Programs(self._lesson.label, self._lesson.port)
            self._knocks = stack.enter_context(system.frame_socket(name, MARK_KNOCK))
            self._resends = stack.enter_context(system.frame_socket(name, MARK_RESEND))
            trace = (
                stack.enter_context(TracePipe(self._lesson.label)) if self._lesson.trace else None
            )
            stack.callback(self._detach, index)
            self._programs.attach(name, index, hook=self._lesson.hook)
            self._begin()
            self._loop(ended, news, trace, index)
            self._look()
            if trace is not None:
                self._follow(trace)
            self._report.statistics(self._facts(), final=True)

    def _begin(self) -> None:
        lesson, attached = self._lesson, self._programs.attached
        if not self._report.as_json:
            self._report.say(
                "warning",
                "a lesson, not protection: with p = 23 there are 22 secrets to try, and XOR with "
                "one octet hides nothing.",
            )
        self._report.say(
            "ready",
            f"eBPF at ingress and egress ({attached}), UDP port {lesson.port}. Ctrl-C ends it.",
            interface=lesson.interface,
            port=lesson.port,
            label=lesson.label,
            attached=attached,
        )

    def _loop(
        self, ended: _Ended, news: socket.socket, trace: TracePipe | None, index: int
    ) -> None:
        with selectors.DefaultSelector() as selector:
            for source in (ended, news, self._programs, trace):
                if source is not None:
                    selector.register(source, selectors.EVENT_READ, source)
            while True:
                ready = {key.data for key, _ in selector.select(self._timeout())}
                if news in ready:
                    system.drain(news)
                if system.name_of(index) is None:
                    self._report.statistics(self._facts(), final=True)
                    raise SystemFailureError(
                        f"interface {self._lesson.interface}",
                        "it has vanished, and the programs with it",
                        "When it is back, start again.",
                    )
                if trace in ready and trace is not None:
                    self._follow(trace)
                self._look()
                if ended in ready:
                    return
                self._show()

    def _timeout(self) -> float:
        due = [self._show_at, self._held.next_time() or float("inf")]
        return max(0.0, min(due) - time.monotonic())

    def _look(self) -> None:
        """All that there is to do now."""
        now = time.monotonic()
        # While something is sent, later messages queue up behind it: until there are none.
        while events := self._programs.events():
            for event in events:
                match event:
                    case HeldFrame():
                        self._hold(event, now)
                    case Agreed():
                        self._agree(event)
                    case Unreadable():
                        self._ask(event, now)
            self._flush()
        self._patience(now)

    def _hold(self, event: HeldFrame, now: float) -> None:
        if not self._held.add(event.pair, event.frame, offered=event.offered, now=now):
            self._given_up += count([event.frame])
            self._dispose(event.pair, 1)

    def _dispose(self, pair: Pair, frames: int) -> None:
        self._done[pair] += frames
        self._programs.done(pair, self._done[pair])

    def _agree(self, event: Agreed) -> None:
        self._agreed.add(event.pair)
        self._silent.discard(event.pair)
        anew = "it has begun anew; " if event.again else ""
        self._report.say(
            "agreed",
            f"{anew}key exchange: our public value is {event.our_public}, theirs is "
            f"{event.their_public}, the secret is {event.secret}.",
            address(event.pair.remote),
            local=address(event.pair.local),
            remote=address(event.pair.remote),
            our_public=event.our_public,
            their_public=event.their_public,
            secret=event.secret,
            restarted=event.again,
        )

    def _ask(self, event: Unreadable, now: float) -> None:
        self._knock(event.frame, back=True)
        last = self._unreadable.get(event.pair)
        self._unreadable[event.pair] = now
        if last is None or last + _LOSSY_SECONDS <= now:
            self._report.say(
                "unreadable",
                "it sends what cannot be read, because there is no key for it here; dropped, and "
                "asked for a new key exchange.",
                address(event.pair.remote),
                remote=address(event.pair.remote),
            )

    def _flush(self) -> None:
        for pair in self._held.pairs():
            if pair not in self._agreed:
                continue
            frames = self._held.take(pair)
            sent = count(frame for frame in frames if self._resend(frame))
            self._sent += sent
            self._given_up += count(frames) - sent
            self._dispose(pair, len(frames))
            self._report.say(
                "sent_held",
                f"{plural(sent)} waited for the key exchange and went out now.",
                address(pair.remote),
                remote=address(pair.remote),
                messages=sent,
            )

    def _resend(self, frame: Frame) -> bool:
        try:
            for octets in frame.ready():
                self._resends.send(octets)
        except OSError:  # the interface is down, or its queue full: as any UDP message is lost
            return False
        return True

    def _knock(self, frame: Frame, *, back: bool = False) -> None:
        try:
            self._knocks.send(frame.knock(back=back))
        except OSError:
            return  # the next one may get through

    def _patience(self, now: float) -> None:
        if self._held.pairs():
            # If the ring buffer was full, the news of an agreement is lost; the map knows it.
            self._agreed |= {peer.pair for peer in self._programs.peers() if peer.secret}
            self._flush()
        for pair, frame in self._held.knocks(now).items():
            del pair
            self._knock(frame)
        for pair, frames in self._held.expire(now).items():
            self._given_up += count(frames)
            self._dispose(pair, len(frames))
            if pair not in self._silent:
                self._silent.add(pair)
                self._report.say(
                    "given_up",
                    f"no answer to the key exchange in {self._lesson.patience:g} seconds; "
                    f"{plural(count(frames))} given up. Does `hushwire classroom` run there, on "
                    f"the same port, {self._lesson.port}?",
                    address(pair.remote),
                    remote=address(pair.remote),
                    messages=count(frames),
                )

    def _follow(self, trace: TracePipe) -> None:
        for line in trace.lines():
            self._report.trace(line)

    def _show(self) -> None:
        now = time.monotonic()
        if now < self._show_at:
            return
        self._show_at = now + _STATISTICS_SECONDS
        facts = self._facts()
        if facts != self._shown:
            self._shown = facts
            self._report.statistics(facts, final=False)

    def _facts(self) -> dict[str, Any]:
        held = {
            "waiting": self._held.messages,
            "sent": self._sent,
            "given_up": self._given_up,
        }
        place = {"interface": self._lesson.interface, "port": self._lesson.port}
        return {**place, **statistics.facts(self._programs), "held": held}

    def _detach(self, index: int) -> None:
        if system.name_of(index) is not None:
            self._programs.close()


def clean(name: str) -> None:
    """Remove what a process that was killed has left: tc filters, and buffers for trace lines.

    Raises `SystemFailureError`, and `OccupiedError` when one runs there.
    """
    index = system.index_of(name)
    with _only_one(name):
        clsact.remove(name, index)
        tracing.remove_leftovers()


def _only_one(name: str) -> socket.socket:
    claim = system.claim(clsact.claim_of(name))
    if claim is None:
        raise OccupiedError(
            f"interface {name}",
            "another `hushwire classroom` runs on it",
            "One is enough; end the other one first (Ctrl-C).",
        )
    return claim


class _Ended:
    """Readable after SIGINT or SIGTERM, as long as this context lasts."""

    def __enter__(self) -> _Ended:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write)
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._before = {each: signal.signal(each, lambda *_: None) for each in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        return self._read
