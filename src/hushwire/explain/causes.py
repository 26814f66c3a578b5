"""Why an attempt ended as it did, in full: the tables, and the lines to change on each side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import singledispatch
from textwrap import wrap
from typing import Any

from hushwire.explain import outcome as o
from hushwire.explain.proposals import Comparison, alternatives, nearest
from hushwire.explain.ranges import in_common
from hushwire.explain.reach import reach
from hushwire.explain.sentences import tell
from hushwire.explain.trace import Attempt, MessageStep
from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where our side of it is configured: `file`, and the peer's name in it.

    `lines` has the line of each key under the peer, and of [peer.NAME] itself as "".
    """

    file: str
    peer: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def of(self, *keys: str) -> str:
        """The lines that have these keys; where none has, they go under the peer's own."""
        numbers = [str(self.lines[key]) for key in keys if key in self.lines]
        where = f"[peer.{self.peer}]"
        if numbers:
            s = "s" if numbers[1:] else ""
            return f"here, in {self.file}, line{s} {' and '.join(numbers)}, under {where}:"
        if "" in self.lines:
            where += f" (line {self.lines['']})"
        return f"here, in {self.file}, under {where}:"


_WIDTH = 100
_WRAPPED: dict[str, Any] = {"subsequent_indent": "    ", "break_on_hyphens": False}
_STRONGSWAN = "there, if it is strongSwan, in swanctl.conf,"
_HUSHWIRE = "there, if it is Hushwire, in its file, under the [peer] that we are:"
_SETTING = {"ike": ("proposals", "in the connection:"), "esp": ("esp_proposals", "in the child:")}


def why(attempt: Attempt, place: Place) -> list[str]:
    """Lines for a person: what happened, why, what to do. None while nothing has come of it."""
    if attempt.outcome is None:
        return []
    lines = _why(attempt.outcome, attempt, place)
    return [piece for line in lines for piece in wrap(line, _WIDTH, **_WRAPPED) or [""]]


@singledispatch
def _why(event: o.Event, _attempt: Attempt, _place: Place) -> Iterator[str]:
    """Whatever has no more to it than its sentence."""
    yield from _told(event)


@_why.register
def _(event: o.NoProposal, _attempt: Attempt, place: Place) -> Iterator[str]:
    if event.theirs and event.ours:
        yield from _compared(event, place)
    else:
        yield from _untold(event, place)
    if event.transport:
        yield '  Or the peer will not do transport mode: set it there, or mode = "tunnel" here.'


def _compared(event: o.NoProposal, place: Place) -> Iterator[str]:
    found, key = nearest(event.ours, event.theirs), event.protocol.lower()
    yield f"No {event.protocol} proposal in common."
    if event.asked:
        yield "The peer does not say what it would take. Shown all that Hushwire can do, it chose:"
    yield ""
    yield from _table(found, "they offer" if event.refused_by_us else "they accept")
    yield ""
    if len(event.ours) > 1 or len(event.theirs) > 1:
        yield (
            f"  These are the nearest: number {found.ours_number} of our {len(event.ours)}, "
            f"number {found.theirs_number} of their {len(event.theirs)}."
        )
    kinds = [row.kind for row in found.differing]
    what = " and ".join(kinds) or "way in which they are combined"
    differ = "differ" if len(kinds) > 1 else "differs"
    yield f"  The {what} {differ}. Change one side, either will do:"
    setting, where = _SETTING[key]
    if found.change_here:
        yield f"    {place.of(key)}"
        yield f'        {key} = ["{found.change_here}"]'
    for reason in found.unable:
        yield f"    not here: {reason}."
    yield from _there(
        where, f"{setting} = {found.change_there}", f'{key} = ["{found.change_there}"]'
    )


def _untold(event: o.NoProposal, place: Place) -> Iterator[str]:
    key = event.protocol.lower()
    setting, where = _SETTING[key]
    yield (
        f"No {event.protocol} proposal in common. The peer answers NO_PROPOSAL_CHOSEN and, as the "
        "RFC has it, no more."
    )
    if event.asked:
        yield "It was then shown all that Hushwire can do, and takes nothing of it."
    yield ""
    for number, text in enumerate(event.ours, start=1):
        yield f"    {'we offered' if number == 1 else '':12}{text}"
    yield "    they accept something else: strongSwan logs it as “configured proposals”"
    yield ""
    if not event.ours:
        return
    yield f"  What it has makes the line to have {place.of(key)}"
    yield f'        {key} = ["…"]'
    yield f"  or ours goes {_STRONGSWAN} {where}"
    yield f"        {setting} = {event.ours[0]}"
    if event.asked:
        return
    yield "  If nobody can look there, these are worth trying here, one at a time:"
    for kind, others, changed in alternatives(event.ours[0]):
        more = f"   (or {', '.join(others[1:])})" if others[1:] else ""
        yield f'    {kind:14}{key} = ["{changed}"]{more}'
    yield f"  Without a line {key} = … everything is offered that Hushwire can do."


def _table(found: Comparison, theirs: str) -> Iterator[str]:
    cells = [("", "we accept", theirs, "")]
    for row in found.rows:
        verdict = "" if row.common else "◄ differs"
        cells.append((row.kind, " ".join(row.ours) or "-", " ".join(row.theirs) or "-", verdict))
    yield from _columns(cells)


@_why.register
def _(event: o.SelectorsUnacceptable, _attempt: Attempt, place: Place) -> Iterator[str]:
    yield "The networks of the two sides do not overlap (TS_UNACCEPTABLE)."
    yield ""
    ours, theirs = (event.our_local, event.our_remote), (event.their_remote, event.their_local)
    cells = [
        ("", "we carry", "they ask for" if event.their_local else "they say no more", "common")
    ]
    for what, mine, yours in zip(("our side", "their side"), ours, theirs, strict=True):
        common = in_common(mine, yours) if yours else "?"
        cells.append((what, ", ".join(mine), ", ".join(yours) or "?", common or "◄ nothing"))
    yield from _columns(cells)
    yield ""
    yield "  Each side's network has to meet what the other expects of it. Change one side:"
    yield f"    {place.of('networks', 'local_networks')}"
    remote, local = event.their_local or event.our_remote, event.their_remote or event.our_local
    if event.their_local:
        yield f"        networks = {_toml(remote)}"
        yield f"        local_networks = {_toml(local)}"
    else:
        yield "        networks = […]          what the peer has as its own (local_ts)"
        yield "        local_networks = […]    what it has as ours (remote_ts)"
    yield from _there(
        "in the child:",
        f"local_ts = {','.join(event.our_remote)}\nremote_ts = {','.join(event.our_local)}",
        f"networks = {_toml(event.our_local)}\nlocal_networks = {_toml(event.our_remote)}",
    )
    if event.transport:
        yield '  Or the peer will not do transport mode: set it there, or mode = "tunnel" here.'


@_why.register
def _(event: o.PeerSilent, attempt: Attempt, _place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from reach(attempt, event.tcp)


@_why.register
def _(event: o.NoConnection, attempt: Attempt, _place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from reach(attempt, event.why)


@_why.register
def _(event: o.NotAuthenticated, attempt: Attempt, _place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from _what_was_said(attempt)


@_why.register
def _(event: o.PeerNotAuthenticated, attempt: Attempt, place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from _what_was_said(attempt)
    yield "  The check that failed: the peer's AUTH against what our file has for it."
    key = _THEIRS.get(event.method, "its credential")
    yield f"    {place.of(key)} {key}"
    yield f"    {_STRONGSWAN} its local {{ id, auth }} and {_SECRET.get(event.method, 'key')}"


@_why.register
def _(event: o.WrongIdentity, attempt: Attempt, place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from _what_was_said(attempt)
    yield "  The check that failed: the identity (IDr) that the peer gave, against ours for it."
    yield f"    {place.of('id')}"
    yield f'        id = "{event.got}"'
    yield from _there(
        "in the connection:",
        f"local {{ id = {event.expected} }}",
        f'local_id = "{event.expected}"',
    )


@_why.register
def _(event: o.RefusedUs, attempt: Attempt, place: Place) -> Iterator[str]:
    yield from _told(event)
    yield from _what_was_said(attempt)
    yield "  The check that failed is the peer's: who we are, or our proof. It has to have us so:"
    secret = _SECRET.get(event.method, "our key")
    yield from _there(
        "in the connection:",
        f"remote {{ id = {event.our_identity} }}   and {secret}",
        f'id = "{event.our_identity}"   and {_THEIRS.get(event.method, "our key")} for us',
    )
    yield f"    or {place.of('local_id')} local_id, and our {_OURS.get(event.method, 'key')}"


def _told(event: o.Event) -> list[str]:
    return tell(event).removeprefix(f"{event.peer}: ").splitlines()


# Which key of a file has what the other side's proof is held against, and what ours is made with.
_THEIRS = {"shared secret": "psk_file", "public key": "public_key", "certificate": "ca_file"}
_OURS = {
    "shared secret": "psk_file",
    "public key": "private_key_file",
    "certificate": "cert_file and private_key_file",
}
_SECRET = {
    "shared secret": "secrets { ike-1 { secret = … } }",
    "public key": "pubkeys = …",
    "certificate": "certs = …, cacerts = …",
}


def _what_was_said(attempt: Attempt) -> Iterator[str]:
    """Identities, certificates and proofs of IKE_AUTH, and what was answered."""
    for step in attempt.steps:
        if isinstance(step, MessageStep) and step.exchange == "IKE_AUTH":
            who = attempt.left if step.from_left else attempt.right
            told = [
                word
                for word in step.words
                if word.split(" ")[0] in ("IDi", "IDr", "CERT", "AUTH") or _is_error(word)
            ]
            if told:
                yield f"    {who} said: {', '.join(told)}"


def _is_error(word: str) -> bool:
    return word.startswith("N(") and "FAILED" in word


def _there(where: str, strongswan: str, hushwire: str) -> Iterator[str]:
    """The lines to have at the peer, whichever of the two it is."""
    for head, text in ((f"{_STRONGSWAN} {where}", strongswan), (_HUSHWIRE, hushwire)):
        yield f"    {head}"
        yield from (f"        {line}" for line in text.splitlines())


def _columns(cells: list[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    for row in cells:
        line = "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"    {line}".rstrip()


def _toml(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
