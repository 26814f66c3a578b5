"""Silence: what was tried, what the network said about it, and which ports seem filtered."""

from __future__ import annotations

from collections.abc import Iterator

from hushwire.explain.trace import Attempt, IcmpError, MessageStep, Remark

_NATT_PORT = 4500
_MEANING = {
    "port unreachable": "the host is there, and nobody listens: is an IKE daemon running?",
    "prohibited": "a firewall refuses it, and says so",
    "host unreachable": "the last router finds no such host: is it up, is the address right?",
    "network unreachable": "no router knows the way: is the address right?",
    "time exceeded": "it went in circles: the routes on the way are wrong",
}


def reach(attempt: Attempt, tcp: str) -> Iterator[str]:
    """Lines for a person; `tcp` is what came of TCP, "" if it was not tried."""
    sent = [s for s in attempt.steps if isinstance(s, MessageStep) and s.from_left]
    heard = [s for s in attempt.steps if isinstance(s, MessageStep) and not s.from_left]
    errors = [s for s in attempt.steps if isinstance(s, IcmpError)]
    yield "  Tried:"
    for step in sent:
        if not _answered(step, heard):
            times = [step.at, *step.repeated]
            yield (
                f"    {len(times)} x {step.exchange} of {step.octets} octets to "
                f"{step.to_port}, from {times[0]:.1f} to {times[-1]:.1f} s"
            )
    if tcp:
        yield f"    TCP: {tcp}"
    for remark in attempt.steps:
        if isinstance(remark, Remark):
            yield f"    {remark.text}"
    yield "  ICMP said:"
    for error in errors:
        yield f"    {error.sender}: {error.kind} (UDP port {error.port}): {_meaning(error.kind)}"
    if not errors:
        yield "    nothing"
    yield "  So:"
    out, back = ([step for step in steps if not step.tcp] for steps in (sent, heard))
    for port in (500, _NATT_PORT):
        yield f"    UDP {port}: {_verdict(port, out, back, errors)}"


def _answered(step: MessageStep, heard: list[MessageStep]) -> bool:
    same = (step.exchange, step.message_id, True)
    return any((h.exchange, h.message_id, h.response) == same and not h.ignored for h in heard)


def _meaning(kind: str) -> str:
    return _MEANING.get(kind, "it did not arrive")


def _verdict(
    port: int, sent: list[MessageStep], heard: list[MessageStep], errors: list[IcmpError]
) -> str:
    tried = [step for step in sent if step.ports[1] == port]
    if any(step.ports[0] == port for step in heard):
        lost = [step for step in tried if not _answered(step, heard)]
        if not lost:
            return "open, it was answered there"
        return (
            f"open, it was answered there; then {lost[0].octets} octets were not: large packets "
            "may be lost, or the peer has given us up"
        )
    if not tried:
        return "not tried"
    kinds = {error.kind for error in errors if error.port == port}
    if "port unreachable" in kinds:
        return "not filtered, and nobody listens"
    if "prohibited" in kinds:
        return "filtered, by a firewall that says so"
    if kinds:
        return "not known: nothing gets as far as the host"
    if port == _NATT_PORT and heard:
        return "filtered, it seems: the same host answered on UDP 500"
    return "filtered, it seems, or the host is down: no answer, and no ICMP error either"
