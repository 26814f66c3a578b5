"""What is said: sentences, a live line in a terminal, JSON for scripts."""

from __future__ import annotations

import io
import json
from typing import Any

from hushwire.classroom.report import Report
from hushwire.classroom.statistics import address, line, troubles


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def facts(**changes: int) -> dict[str, Any]:
    nothing = {"messages": 0, "octets": 0}
    names = ("xored", "held", "lost", "unreadable", "malformed", "group", "failed", "full")
    outcomes = {each: {name: dict(nothing) for name in names} for each in ("egress", "ingress")}
    for name, number in changes.items():
        direction, outcome = name.split("_")
        outcomes[direction][outcome] = {"messages": number, "octets": number * 10}
    return {
        "egress": outcomes["egress"]["xored"],
        "ingress": outcomes["ingress"]["xored"],
        "outcomes": outcomes,
        "held": {"waiting": 0, "sent": 0, "given_up": 0},
    }


def test_the_line_counts_messages_and_octets() -> None:
    assert line(facts(egress_xored=1, ingress_xored=2)) == (
        "sent 1 message of 10 octets, received 2 messages of 20 octets"
    )
    waiting = facts()
    waiting["held"] = {"waiting": 3, "sent": 0, "given_up": 1}
    assert line(waiting).endswith("; 3 waiting for a key; 1 given up")


def test_every_trouble_has_a_sentence() -> None:
    assert troubles(facts(egress_xored=5, egress_held=5)) == []
    for name in ("egress_lost", "egress_full", "ingress_unreadable", "ingress_malformed"):
        (sentence,) = troubles(facts(**{name: 2}))
        assert "2 messages of 20 octets" in sentence


def test_in_a_terminal_the_live_line_stays_below() -> None:
    out = Terminal()
    report = Report("eth0", as_json=False, out=out)
    report.statistics(facts(), final=False)
    report.say("agreed", "key exchange.", "192.0.2.2")
    report.statistics(facts(egress_xored=1), final=True)
    live = "eth0: sent 0 messages of 0 octets, received 0 messages of 0 octets"
    clear = "\r\x1b[2K"
    assert out.getvalue() == (
        f"{clear}{live}{clear}192.0.2.2: key exchange.\n{live}"
        f"{clear}eth0: sent 1 message of 10 octets, received 0 messages of 0 octets.\n"
    )


def test_elsewhere_there_is_no_live_line() -> None:
    out = io.StringIO()
    report = Report("eth0", as_json=False, out=out)
    report.statistics(facts(), final=False)
    assert out.getvalue() == ""


def test_for_scripts_every_line_is_an_object() -> None:
    out = io.StringIO()
    report = Report("eth0", as_json=True, out=out)
    report.say("agreed", "a sentence", secret=3)
    report.trace("hushwire alice egress")
    report.statistics(facts(), final=True)
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    assert lines[0] == {"event": "agreed", "secret": 3}
    assert lines[1] == {"event": "trace", "line": "hushwire alice egress"}
    assert lines[2]["event"] == "statistics"
    assert lines[2]["final"] is True


def test_addresses_are_written_as_people_write_them() -> None:
    assert address(bytes(10) + b"\xff\xff\xc0\x00\x02\x01") == "192.0.2.1"
    assert address(b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01") == "2001:db8::1"
