"""What a capture shows of one IKE SA, and of ESP: sentences for a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypeVar

from hushwire.crypto.names import name_of
from hushwire.crypto.suites import describe
from hushwire.explain.capture import Capture, Conversation, Plain
from hushwire.explain.payloads import identity_text, notify_name
from hushwire.explain.proposals import nearest
from hushwire.explain.streams import EspStream
from hushwire.explain.trace import Attempt, MessageStep
from hushwire.sa.selectors import describe as describe_selector
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.identification import Identification
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import SecurityAssociation, Transform
from hushwire.wire.ike.payloads.ts import TrafficSelectors
from hushwire.wire.registry import ExchangeType, NotifyType, TransformType

P = TypeVar("P")

_MOST_SHOWN = 6


def of_conversation(capture: Capture, conversation: Conversation) -> list[str]:
    """One IKE SA, in the order of its life."""
    attempt = capture.attempt(conversation)
    return [
        *_proposals(conversation),
        *_restarts(conversation),
        *_nat(conversation),
        *_sealed(conversation),
        *_inside(conversation),
        *_repetitions(attempt),
        *_unanswered(attempt),
    ]


def _proposals(conversation: Conversation) -> Iterator[str]:
    left, right = str(conversation.left), str(conversation.right)
    offers = _with(conversation, SecurityAssociation, from_left=True)
    answers = _with(conversation, SecurityAssociation, from_left=False)
    if not offers:
        yield "The capture begins after IKE_SA_INIT: what was offered is not in it."
        return
    offered = [describe(p.transforms) for p in offers[-1].proposals]
    for number, text in enumerate(offered[:_MOST_SHOWN], start=1):
        yield f"{left} offered, {number} of {len(offered)}: {text}"
    if answers:
        chosen = [describe(p.transforms) for p in answers[-1].proposals]
        yield f"{right} chose {', '.join(chosen) or 'nothing'}."
        return
    errors = [n for n in _notifies(conversation, from_left=False) if n.is_error]
    if any(n.type == NotifyType.NO_PROPOSAL_CHOSEN for n in errors):
        yield (
            f"{right} takes none of them (NO_PROPOSAL_CHOSEN). What it would take is not in the "
            "capture, unless it says so itself: see its configuration."
        )
        yield from _told(errors, offered)
    for notify in errors:
        if notify.type not in (NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.INVALID_KE_PAYLOAD):
            yield f"{right} refused with {notify_name(notify.type)}."


def _told(errors: list[Notify], offered: list[str]) -> Iterator[str]:
    for notify in errors:
        try:
            told = SecurityAssociation.parse(notify.data) if notify.data else None
        except ValueError:
            told = None
        if told is not None and told.proposals:
            theirs = [describe(p.transforms) for p in told.proposals]
            yield f"It would take: {', '.join(theirs[:_MOST_SHOWN])}."
            rows = nearest(offered, theirs).differing
            if rows:
                yield f"The nearest two differ in: {', '.join(row.kind for row in rows)}."


def _restarts(conversation: Conversation) -> Iterator[str]:
    right = str(conversation.right)
    for notify in _notifies(conversation, from_left=False):
        if notify.type == NotifyType.COOKIE:
            yield f"{right} wanted to see a return address first (COOKIE, RFC 7296 §2.6)."
        if notify.type == NotifyType.INVALID_KE_PAYLOAD and len(notify.data) == 2:
            group = Transform(TransformType.KE, int.from_bytes(notify.data, "big"))
            guessed = _with(conversation, KeyExchangePayload, from_left=True)
            first_guess = (
                name_of(Transform(TransformType.KE, guessed[0].method)) if guessed else "?"
            )
            yield (
                f"{right} wanted the key exchange {name_of(group)}; the first guess was "
                f"{first_guess} (INVALID_KE_PAYLOAD)."
            )


def _nat(conversation: Conversation) -> Iterator[str]:
    """Compare the hashes with the addresses in the capture (RFC 7296 §2.23)."""
    for plain in conversation.plain:
        if first(plain.message.payloads, SecurityAssociation) is None:
            continue
        who = str(plain.sniffed.source)
        notifies = every(plain.message.payloads, Notify)
        sources = [n.data for n in notifies if n.type == NotifyType.NAT_DETECTION_SOURCE_IP]
        targets = [n.data for n in notifies if n.type == NotifyType.NAT_DETECTION_DESTINATION_IP]
        if not sources or not targets:
            yield f"{who} does no NAT detection, so no UDP encapsulation (RFC 7296 §2.23)."
            continue
        behind = _hash(plain, source=True) not in sources
        changed = _hash(plain, source=False) not in targets
        if behind:
            yield f"{who} is behind a NAT, seen from here, or asks for UDP encapsulation."
        if changed:
            yield f"{who} knows {plain.sniffed.target} by another address: there is a NAT between."


def _hash(plain: Plain, *, source: bool) -> bytes:
    found, header = plain.sniffed, plain.message.header
    address = (found.source if source else found.target).packed
    port = found.ports[0 if source else 1].to_bytes(2, "big")
    # SHA-1 is what §2.23 prescribes.
    return hashlib.sha1(header.initiator_spi + header.responder_spi + address + port).digest()


def _sealed(conversation: Conversation) -> Iterator[str]:
    both = [
        any(
            n.type == NotifyType.IKEV2_FRAGMENTATION_SUPPORTED
            for n in _notifies(conversation, from_left=from_left)
        )
        for from_left in (True, False)
    ]
    if all(both):
        yield "Both can fragment IKE messages (RFC 7383)."
    elif any(both) and _with(conversation, SecurityAssociation, from_left=False):
        yield f"Only {conversation.left if both[0] else conversation.right} can fragment messages."
    if conversation.sealed and not (conversation.opened or conversation.refused):
        yield (
            f"{conversation.sealed} messages are sealed. With --keys, a folder with Wireshark's "
            "tables, they can be read."
        )
    elif conversation.sealed:
        yield f"{conversation.opened} of {conversation.sealed} sealed messages were opened."
    if conversation.refused:
        yield f"{conversation.refused} do not open with the keys given: other keys, or forged."


def _inside(conversation: Conversation) -> Iterator[str]:
    for from_left, header, payloads in conversation.inner:
        who = str(conversation.left if from_left else conversation.right)
        for payload in payloads:
            if isinstance(payload, Notify) and payload.is_error:
                yield f"{who} says {notify_name(payload.type)}."
        if header.exchange == ExchangeType.IKE_AUTH:
            yield from _auth(who, header.response, payloads)


def _auth(who: str, response: bool, payloads: tuple[Payload, ...]) -> Iterator[str]:
    identities = [identity_text(p) for p in payloads if isinstance(p, Identification)]
    proof = first(payloads, Authentication)
    if identities:
        asked = f", and asks for {identities[1]}" if identities[1:] and not response else ""
        how = "with a proof" if proof else "without a proof"
        yield f"{who} is {identities[0]}, {how} (AUTH){asked}."
    offers = first(payloads, SecurityAssociation)
    if offers:
        texts = [describe(proposal.transforms) for proposal in offers.proposals]
        verb = "chose" if response else "offered"
        yield f"{who} {verb} for ESP: {', '.join(texts[:_MOST_SHOWN])}."
    selectors = [
        ", ".join(map(describe_selector, payload.selectors))
        for payload in payloads
        if isinstance(payload, TrafficSelectors)
    ]
    if len(selectors) == 2:
        yield f"{who} {'agrees to' if response else 'wants'} {selectors[0]} <-> {selectors[1]}."


def _repetitions(attempt: Attempt) -> Iterator[str]:
    for step in attempt.steps:
        if isinstance(step, MessageStep) and step.repeated:
            who = attempt.left if step.from_left else attempt.right
            yield (
                f"{who} sent {step.exchange} {'response' if step.response else 'request'} "
                f"{step.message_id} {1 + len(step.repeated)} times."
            )


def _unanswered(attempt: Attempt) -> Iterator[str]:
    steps = [step for step in attempt.steps if isinstance(step, MessageStep)]
    answered = {(not s.from_left, s.exchange, s.message_id) for s in steps if s.response}
    for step in steps:
        if step.response or (step.from_left, step.exchange, step.message_id) in answered:
            continue
        who, other = attempt.left, attempt.right
        if not step.from_left:
            who, other = other, who
        yield (
            f"{other} never answered {step.exchange} request {step.message_id} of {who}, "
            f"{step.octets} octets to {step.to_port}: lost, filtered, or not heard."
        )


def of_stream(stream: EspStream) -> list[str]:
    """One direction of ESP."""
    seconds = max(0.0, stream.last_at - stream.first_at)
    lines = [
        f"{stream.source} > {stream.target}, SPI 0x{stream.spi:08x}, {stream.carrier}: "
        f"{stream.packets} packets, {stream.octets} octets in {seconds:.1f} s, "
        f"numbers {stream.lowest} to {stream.highest}"
    ]
    odd = [
        f"{count} {what}"
        for count, what in (
            (stream.missing, "missing"),
            (stream.repeated, "there twice"),
            (stream.late, "late"),
        )
        if count
    ]
    if odd:
        lines.append(f"  {', '.join(odd)}")
    if stream.opened or stream.refused:
        lines.append(f"  {stream.opened} opened, {stream.refused} do not open with these keys")
    lines += [f"  {count} x {what}" for what, count in stream.inside.most_common()]
    return lines


def of_the_rest(capture: Capture) -> list[str]:
    """What was seen and not looked into."""
    seen = (
        (capture.unread, "TCP segments (RFC 9329) not read: what came before them is missing"),
        (capture.fragments, "IP fragments, not put together: what they carry is missing above"),
        (capture.left_out, "messages and packets of more SAs than are shown"),
    )
    return [f"{count} {what}." for count, what in seen if count]


def _with(conversation: Conversation, kind: type[P], *, from_left: bool) -> list[P]:
    return [
        payload
        for plain in conversation.plain
        if plain.from_left is from_left
        for payload in plain.message.payloads
        if isinstance(payload, kind)
    ]


def _notifies(conversation: Conversation, *, from_left: bool) -> list[Notify]:
    return _with(conversation, Notify, from_left=from_left)
