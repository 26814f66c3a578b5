"""Every message in every state: one table of what comes of it (RFC 7296 §2, states.py)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from hushwire.ike.effects import Send
from hushwire.ike.proposal import offer
from hushwire.sa.association import Path
from hushwire.sa.selectors import from_network
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Message, Payload
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.ts import TsInitiator, TsResponder
from hushwire.wire.registry import ExchangeType, KeyExchangeId, NotifyType, ProtocolId
from tests.sim.network import ESP, IKE, NETWORKS, Host, esp, ike
from tests.sim.stages import Scene, Stage, session_of
from tests.wire import samples

AUTH, CREATE, INFO = (
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)
INTERMEDIATE, FOLLOWUP = ExchangeType.IKE_INTERMEDIATE, ExchangeType.IKE_FOLLOWUP_KE
HYBRID: dict[str, Any] = {"ike_proposals": ike("aes256gcm16-prfsha384-x25519-ke1_mlkem768")}
REQUEST, RESPONSE = False, True

IKE_WISH = offer(ike(*IKE), ProtocolId.IKE, b"new IKE!")  # type: ignore[arg-type]
IKE_KEY = KeyExchangePayload(KeyExchangeId.X25519, bytes([9]) + bytes(31))
LOCAL, REMOTE = ((from_network(ip_network(NETWORKS[name])),) for name in ("alice", "bob"))

# The states, in the columns of the table: when, and whose.
STATES: dict[str, tuple[Stage, str]] = {
    "InitSent": (Stage.ANSWERED, "alice"),
    "IntermediateSent": (Stage.PROVING, "alice"),
    "AuthSent": (Stage.PROVING, "alice"),
    "HalfOpen": (Stage.PROVING, "bob"),
    "Established": (Stage.UP, "bob"),
    "Closing": (Stage.CLOSING, "alice"),
    "Closed": (Stage.CLOSED, "bob"),
    "Replaced": (Stage.REKEYING, "bob"),
}


def header(scene: Scene, host: Host, exchange: int, response: bool) -> Header:
    """Of a message to this host, with the ID that it expects."""
    window = session_of(host).link.window
    message_id = max(window.next_id - 1, 0) if response else window._expected_id
    initiator = host is scene.bob
    return scene.inside.header(exchange, message_id, initiator=initiator, response=response)


def sealed(exchange: int, response: bool, *payloads: Payload) -> Callable[[Scene, Host], bytes]:
    """A genuine message."""
    return lambda scene, host: scene.inside.seal(header(scene, host, exchange, response), payloads)


def said(number: int) -> Callable[[Scene, Host], bytes]:
    """A message of the connection itself, octet for octet."""
    return lambda scene, _host: scene.messages[number][0]


def genuine_auth_request(scene: Scene, host: Host) -> bytes:
    return said(2)(scene, host) if host is scene.bob else sealed(AUTH, REQUEST)(scene, host)


def genuine_response(exchange: int) -> Callable[[Scene, Host], bytes]:
    """Bob's answer, if he has given one: made of his own effects, as it was held back."""

    def made(scene: Scene, host: Host) -> bytes:
        if host is scene.alice and len(scene.messages) == 3:
            data, path = scene.messages[2]
            if Message.parse(data).header.exchange == exchange:
                scene.release()
                answers = scene.bob.endpoint.datagram(data, path, scene.network.now)
                return next(effect.data for effect in answers if isinstance(effect, Send))
        return sealed(exchange, RESPONSE)(scene, host)

    return made


def others_spi(scene: Scene, host: Host) -> bytes:
    """By which the other host receives, if it has a CHILD_SA."""
    other = scene.bob if host is scene.alice else scene.alice
    return next((spi.to_bytes(4, "big") for spi in other.sas), b"none")


def delete_child(scene: Scene, host: Host) -> bytes:
    gone = Delete(ProtocolId.ESP, (others_spi(scene, host),))
    return sealed(INFO, REQUEST, gone)(scene, host)


def rekeying(spi: bytes) -> tuple[Payload, ...]:
    """The payloads of a request to rekey the CHILD_SA that its sender receives by this SPI."""
    old = Notify(NotifyType.REKEY_SA, protocol=ProtocolId.ESP, spi=spi)
    wish = offer(esp(*ESP), ProtocolId.ESP, b"new!")  # type: ignore[arg-type]
    ends = TsInitiator(LOCAL), TsResponder(REMOTE)
    return old, wish, samples.NONCE, *ends


def rekey_child(scene: Scene, host: Host) -> bytes:
    return sealed(CREATE, REQUEST, *rekeying(others_spi(scene, host)))(scene, host)


def critical(response: bool) -> Callable[[Scene, Host], bytes]:
    """A payload of the unknown type 200 with the critical bit, inside SK."""
    return lambda scene, host: scene.inside.seal_chain(
        header(scene, host, INFO, response), 200, bytes([0, 0x80, 0, 4])
    )


# A cell: what is counted as dropped and whether something is answered, then the state afterwards.
# "=" is the same state, "-" neither dropped nor answered. The columns are STATES.
Cells = tuple[str, str, str, str, str, str, str, str]

ANSWERED: Cells = (
    "unexpected =",
    "unexpected =",
    "unexpected =",
    "unexpected =",
    "answers =",
    "answers =",
    "unexpected =",
    "answers =",
)
"""Wherever the peer is proved and there is still an IKE SA, and nothing comes of it."""
ENDS: Cells = (
    "unexpected =",
    "unexpected =",
    "unexpected =",
    "unexpected =",
    "answers Closed",
    "answers Closed",
    "unexpected =",
    "answers Closed",
)
"""The same, and it ends the IKE SA."""
NOT_ASKED_FOR: Cells = (
    "unexpected =",
    "unexpected =",
    "unexpected =",
    "outside_window =",
    "outside_window =",
    "unexpected =",
    "outside_window =",
    "outside_window =",
)
"""A response to what nobody has asked."""

MESSAGES: dict[str, tuple[Callable[[Scene, Host], bytes], Cells]] = {
    "the IKE_SA_INIT request again": (
        said(0),  # in alice's states it is her own, reflected
        (
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "answers =",
            "outside_window =",
            "unexpected =",
            "outside_window =",
            "outside_window =",
        ),
    ),
    "the IKE_SA_INIT response": (
        said(1),  # in bob's states it is his own, reflected
        (
            "answers AuthSent",
            "unexpected =",
            "unexpected =",
            "unknown_spi =",
            "unknown_spi =",
            "unexpected =",
            "unknown_spi =",
            "unknown_spi =",
        ),
    ),
    "the IKE_AUTH request": (
        genuine_auth_request,
        (
            "unexpected =",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "answers Established",
            "answers =",  # the same octets: repeated
            "malformed+answers =",
            "outside_window =",
            "outside_window =",
        ),
    ),
    "the IKE_AUTH response": (
        genuine_response(AUTH),
        (
            "unexpected =",
            "malformed+answers Closing",
            "- Established",
            "outside_window =",
            "outside_window =",
            "malformed Closed",  # it came from the peer, which is what was waited for
            "outside_window =",
            "outside_window =",
        ),
    ),
    "an IKE_INTERMEDIATE request": (
        sealed(INTERMEDIATE, REQUEST, IKE_KEY),
        (
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers =",
            "unexpected =",
            "malformed+answers =",
        ),
    ),
    "the IKE_INTERMEDIATE response": (
        genuine_response(INTERMEDIATE),
        (
            "unexpected =",
            "answers AuthSent",
            "malformed+answers Closing",
            "outside_window =",
            "outside_window =",
            "malformed Closed",
            "outside_window =",
            "outside_window =",
        ),
    ),
    "a CREATE_CHILD_SA request": (
        sealed(CREATE, REQUEST, samples.CHILD_SA, samples.NONCE, samples.TS_I, samples.TS_R),
        ANSWERED,  # TS_UNACCEPTABLE
    ),
    "a request to rekey the CHILD_SA": (
        rekey_child,
        ANSWERED,
    ),
    "a request to rekey a CHILD_SA that is not there": (
        sealed(CREATE, REQUEST, *rekeying(b"none")),
        ANSWERED,
    ),
    "a request to rekey the IKE SA": (
        sealed(CREATE, REQUEST, IKE_WISH, samples.NONCE, IKE_KEY),
        (
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "answers Replaced",
            "answers =",
            "unexpected =",
            "answers =",
        ),
    ),
    "a CREATE_CHILD_SA request without SA and Nonce": (
        sealed(CREATE, REQUEST),
        (
            "unexpected =",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers =",
            "unexpected =",
            "malformed+answers =",
        ),
    ),
    "a CREATE_CHILD_SA response": (
        sealed(CREATE, RESPONSE, Notify(NotifyType.NO_ADDITIONAL_SAS)),
        NOT_ASKED_FOR,
    ),
    "an IKE_FOLLOWUP_KE request that belongs to nothing": (
        sealed(FOLLOWUP, REQUEST, IKE_KEY, Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, b"link")),
        ANSWERED,
    ),
    "an IKE_FOLLOWUP_KE response": (
        sealed(FOLLOWUP, RESPONSE, Notify(NotifyType.STATE_NOT_FOUND)),
        NOT_ASKED_FOR,
    ),
    "an empty INFORMATIONAL request": (
        sealed(INFO, REQUEST),
        ANSWERED,
    ),
    "an empty INFORMATIONAL response": (
        sealed(INFO, RESPONSE),
        (
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "outside_window =",
            "outside_window =",
            "- Closed",
            "outside_window =",
            "outside_window =",
        ),
    ),
    "Delete of the IKE SA": (
        sealed(INFO, REQUEST, Delete(ProtocolId.IKE, ())),
        ENDS,
    ),
    "Delete of the CHILD_SA": (
        delete_child,
        (
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "unexpected =",
            "answers Closing",
            "answers =",
            "unexpected =",
            "answers =",
        ),
    ),
    "Delete of another CHILD_SA": (
        sealed(INFO, REQUEST, Delete(ProtocolId.ESP, (b"none",))),
        ANSWERED,
    ),
    "AUTHENTICATION_FAILED told late": (
        sealed(INFO, REQUEST, Notify(NotifyType.AUTHENTICATION_FAILED)),
        ENDS,
    ),
    "INVALID_SELECTORS, about one packet": (
        sealed(INFO, REQUEST, Notify(NotifyType.INVALID_SELECTORS)),
        ANSWERED,
    ),
    "an unknown error": (
        sealed(INFO, REQUEST, Notify(8000)),
        ANSWERED,
    ),
    "a critical payload in a request": (
        critical(REQUEST),
        (
            "unexpected =",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers Closed",
            "malformed+answers =",  # §2.5: the message is rejected, the IKE SA stands
            "malformed+answers =",
            "unexpected =",
            "malformed+answers =",
        ),
    ),
    "a critical payload in a response": (
        critical(RESPONSE),
        (
            "unexpected =",
            "malformed+answers Closing",
            "malformed+answers Closing",  # §2.21: no error, but a Delete
            "outside_window =",
            "outside_window =",
            "malformed Closed",
            "outside_window =",
            "outside_window =",
        ),
    ),
}


def outcome(message: str, state: str) -> str:
    stage, name = STATES[state]
    scene = Scene(stage, **(HYBRID if state == "IntermediateSent" else {}))
    host = scene.alice if name == "alice" else scene.bob
    session = session_of(host)
    assert type(session.state).__name__ == state
    data = MESSAGES[message][0](scene, host)
    before = dict(host.endpoint.drops)
    path = scene.path_to(host)
    if data[18] == ExchangeType.IKE_SA_INIT:  # it came to port 500, before both floated
        path = Path(path.local._replace(port=500), path.remote._replace(port=500))
    effects = host.endpoint.datagram(data, path, scene.network.now)
    dropped = [str(d) for d, count in host.endpoint.drops.items() if count > before[d]]
    sent = any(isinstance(effect, Send) for effect in effects)
    after = type(session.state).__name__
    what = [*dropped, *(["answers"] if sent else [])] or ["-"]
    return f"{'+'.join(what)} {'=' if after == state else after}"


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("state", STATES)
def test_every_message_has_its_result_in_every_state(message: str, state: str) -> None:
    expected = dict(zip(STATES, MESSAGES[message][1], strict=True))
    assert outcome(message, state) == expected[state]
