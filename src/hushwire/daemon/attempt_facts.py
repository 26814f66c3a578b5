"""What is known of an attempt to connect, as plain JSON values for `hushwire explain`."""

from __future__ import annotations

from dataclasses import asdict

from hushwire.config.model import Config
from hushwire.explain.causes import Place, why
from hushwire.explain.ladder import headline, ladder
from hushwire.explain.outcome import Event, Failure
from hushwire.explain.trace import Attempt, Decision, Step

Facts = dict[str, object]


def attempt_facts(attempt: Attempt, config: Config, since: float) -> Facts:
    """One attempt; `since` is what the clock of day showed when `began` was 0."""
    # `hushwire quick` has no file, and no words for what a file can say.
    file = str(config.path) if config.lines else "a file for hushwire run"
    place = Place(file, attempt.peer or "…", config.lines.get(attempt.peer, {}))
    return {
        "peer": attempt.peer,
        "address": attempt.right_address,
        "role": "initiator" if attempt.initiator else "responder",
        "began": round(attempt.began + since, 3),
        "outcome": None if attempt.outcome is None else _event_facts(attempt.outcome),
        "steps": [_step_facts(step) for step in attempt.steps],
        "left_out": attempt.left_out,
        "ladder": ladder(attempt),
        "why": why(attempt, place),
    }


def _step_facts(step: Step) -> Facts:
    kind = type(step).__name__
    if isinstance(step, Decision):
        return {"step": kind, "at": step.at, **_event_facts(step.event)}
    return {"step": kind, **asdict(step)}


def _event_facts(event: Event) -> Facts:
    facts: Facts = {"event": type(event).__name__, **asdict(event), "sentence": headline(event)}
    if isinstance(event, Failure):
        facts["cause"] = event.cause.value
    return facts
