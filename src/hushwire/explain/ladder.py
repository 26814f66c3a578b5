"""An attempt drawn as a ladder: who said what, when, and where it was decided."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from textwrap import wrap

from hushwire.explain.outcome import Event
from hushwire.explain.sentences import tell
from hushwire.explain.trace import Attempt, Decision, IcmpError, MessageStep, Remark

_RUNG = 34
_WIDTH = 100
_MARGIN = 10
_BEHIND = _MARGIN + _RUNG + 4
_NO_BREAK = "\N{NO-BREAK SPACE}"


def ladder(attempt: Attempt) -> list[str]:
    """Lines of at most a hundred characters."""
    left, right = attempt.left[: _RUNG // 2], attempt.right[: _RUNG // 2]
    head = f"{'seconds':>8}  {left}{right.rjust(_RUNG + 2 - len(left))}"
    rungs: list[tuple[float, list[str]]] = []
    for number, step in enumerate(attempt.steps):
        if number == len(attempt.steps) // 2 and attempt.left_out:
            left_out = f"{'':{_MARGIN}}… {attempt.left_out} steps are not kept …"
            rungs.append((step.at, [left_out]))
        match step:
            case MessageStep():
                rungs += _message(step)
            case Decision(at, event):
                rungs.append((at, list(_note(at, headline(event)))))
            case IcmpError(at, sender, kind, port):
                text = f"ICMP from {sender}: {kind} (UDP port {port})"
                rungs.append((at, list(_note(at, text))))
            case Remark(at, text):
                rungs.append((at, list(_note(at, text))))
    rungs.sort(key=itemgetter(0))  # what was repeated goes where it belongs
    return [head, *(line for _, lines in rungs for line in lines)]


def headline(event: Event) -> str:
    """The first sentence about it, without the peer's name."""
    return tell(event).splitlines()[0].removeprefix(f"{event.peer}: ")


def _message(step: MessageStep) -> Iterator[tuple[float, list[str]]]:
    kind = "response" if step.response else "request"
    label = f"{step.exchange} {kind} {step.message_id}"
    said = f"{step.octets} octets"
    if step.datagrams > 1:
        said += f" in {step.datagrams} fragments"
    port = step.ports[1 if step.from_left else 0]
    if step.tcp:
        said += f", TCP port {port}"
    elif port not in (500, 0):
        said += f", port {port}"
    said += ": " + ", ".join(word.replace(" ", _NO_BREAK) for word in step.words)
    if step.ignored:
        said += f" (not taken: {step.ignored})"
    yield step.at, list(_rung(step.at, label, said, to_right=step.from_left))
    for at in step.repeated:
        yield at, list(_rung(at, "the same again", "", to_right=step.from_left))


def _rung(at: float, label: str, said: str, *, to_right: bool) -> Iterator[str]:
    dashes = "─" * max(1, _RUNG - len(label) - 4)
    arrow = f"├─ {label} {dashes}►│" if to_right else f"│◄{dashes} {label} ─┤"
    lines = wrap(said, _WIDTH - _BEHIND, break_on_hyphens=False) or [""]
    texts = [line.replace(_NO_BREAK, " ") for line in lines]
    yield f"{at:8.3f}  {arrow}  {texts[0]}".rstrip()
    for text in texts[1:]:
        yield f"{'':{_MARGIN}}│{'':{_RUNG}}│  {text}"


def _note(at: float, text: str) -> Iterator[str]:
    texts = wrap(text, _WIDTH - _MARGIN - 2)
    yield f"{at:8.3f}  ● {texts[0] if texts else ''}"
    for more in texts[1:]:
        yield f"{'':{_MARGIN}}  {more}"
