"""What octets alone tell is the same as what a whole parse tells, or less."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.knock import COOKIE_OCTETS, build_demand, glance, parse_knock
from hushwire.wire.ike.message import Message, build_plain, every, first
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType
from tests.wire import samples
from tests.wire.mutations import mutants, with_true_length


def agree(data: bytes) -> None:
    """Where the message can be parsed, both say the same."""
    try:
        message = Message.parse(data)
    except WireError:
        return
    seen = glance(data)
    assert seen is not None
    header = message.header
    assert seen.initiator_spi == header.initiator_spi
    own = header.responder_spi if header.initiator else header.initiator_spi
    assert seen.own_spi == own
    first_request = header.exchange == ExchangeType.IKE_SA_INIT and not header.response
    assert seen.asks == first_request
    if not first_request or message.encrypted is not None:
        return
    nonces = every(message.payloads, Nonce)
    if len(nonces) == 1:
        cookies = [n for n in every(message.payloads, Notify) if n.type == NotifyType.COOKIE]
        knock = parse_knock(data)
        assert knock.nonce == nonces[0].data
        if not cookies:
            assert not knock.cookie
        elif len(cookies) == 1 and cookies[0].protocol == 0:
            assert knock.cookie == cookies[0].data


@pytest.mark.parametrize("data", samples.MESSAGES)
def test_they_agree_about_whole_conversations(data: bytes) -> None:
    agree(data)


@given(st.sampled_from(samples.MESSAGES).flatmap(mutants))
def test_they_agree_about_whatever_can_be_parsed(data: bytes) -> None:
    for octets in (data, with_true_length(data)):
        agree(octets)
        if len(octets) >= 28:
            with suppress(WireError):
                parse_knock(octets)


def test_a_demand_is_a_message_with_a_cookie() -> None:
    cookie = bytes(range(COOKIE_OCTETS))
    data = build_demand(samples.INITIATOR_SPI, cookie)
    header = Header(
        samples.INITIATOR_SPI, bytes(8), ExchangeType.IKE_SA_INIT, 0,
        initiator=False, response=True,
    )  # fmt: skip
    assert data == build_plain(header, (Notify(NotifyType.COOKIE, cookie),))
    assert first(Message.parse(data).payloads, Notify) == Notify(NotifyType.COOKIE, cookie)


@pytest.mark.parametrize(
    "tail",
    [b"", b"\0", bytes([0, 0, 0, 3]), bytes([0, 0, 0, 200]), bytes([40, 0, 0, 4]) * 200],
)
def test_a_chain_that_breaks_has_no_nonce(tail: bytes) -> None:
    head = samples.header(ExchangeType.IKE_SA_INIT).build()
    data = with_true_length(head[:16] + b"\x28" + head[17:] + tail)
    with pytest.raises(WireError):
        parse_knock(data)
