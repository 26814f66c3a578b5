from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR

from hushwire.wire.dns import AAAA, A, build_query, parse_answer
from hushwire.wire.errors import WireError

QUERY = build_query(4711, "bob.example", A)


def response(*answers: DNSRR, name: str = "bob.example", **fields: int) -> bytes:
    """As scapy writes it, compressed as servers do."""
    packet = DNS(**{"id": 4711, "qr": 1, "rd": 1, "qd": DNSQR(qname=name), **fields})
    if answers:
        packet.an = list(answers)
    return bytes(packet.compress())


def test_a_question_is_what_scapy_reads() -> None:
    read = DNS(build_query(4711, "bob.example.", AAAA))
    assert (read.id, read.rd, read.qdcount) == (4711, 1, 1)
    question = read.qd[0] if isinstance(read.qd, list) else read.qd
    assert (question.qname, question.qtype, question.qclass) == (b"bob.example.", 28, 1)


def test_every_address_is_found_also_behind_an_alias() -> None:
    answers = [
        DNSRR(rrname="bob.example", type="CNAME", rdata="host.example"),
        DNSRR(rrname="host.example", type="A", rdata="192.0.2.7"),
        DNSRR(rrname="host.example", type="AAAA", rdata="2001:db8::7"),
    ]
    found = [IPv4Address("192.0.2.7"), IPv6Address("2001:db8::7")]
    assert parse_answer(QUERY, response(*answers)) == found


def test_a_name_without_an_address_has_none() -> None:
    assert parse_answer(QUERY, response()) == []
    assert parse_answer(QUERY, response(rcode=3)) == []


@pytest.mark.parametrize(
    "data",
    [
        response(id=4712),
        response(qr=0),
        response(name="eve.example"),
        response(DNSRR(rrname="bob.example", rdata="192.0.2.7"))[:-1],
        b"",
    ],
    ids=["other id", "a question", "other name", "cut off", "nothing"],
)
def test_what_is_no_response_to_it_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_answer(QUERY, data)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".example"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        build_query(1, name, A)


@given(st.binary(max_size=300))
def test_octets_of_any_kind_are_read_or_refused(junk: bytes) -> None:
    head = response(DNSRR(rrname="bob.example", rdata="192.0.2.7"))[: len(QUERY)]
    for data in (junk, head + junk):
        with suppress(WireError):
            parse_answer(QUERY, data)
