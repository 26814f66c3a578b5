"""The key exchange packet and the cipher, as Python has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hushwire.classroom.exchange import MAGIC, OCTETS, Exchange, Kind, parse, xor

U32 = st.integers(0, 2**32 - 1)


OCTET = st.integers(0, 255)
EXCHANGES = st.builds(Exchange, st.sampled_from(Kind), U32, U32, U32, OCTET, OCTET)


@given(EXCHANGES)
def test_what_is_written_is_read(exchange: Exchange) -> None:
    assert len(exchange.payload()) == OCTETS == 32
    assert parse(exchange.payload()) == exchange


@given(st.binary(max_size=64))
def test_anything_else_is_none(octets: bytes) -> None:
    found = parse(octets)
    assert (found is not None) == (
        len(octets) == OCTETS and octets[:17] == MAGIC + b"\x01" and octets[17] in (1, 2)
    )


def test_the_layout_is_the_one_written_down() -> None:
    octets = Exchange(Kind.ANSWER, 8, 0x01020304, 0x05060708).payload()
    assert octets == b"HUSHWIRE-LESSON!\x01\x02\x17\x05\0\0\0\x08\x01\x02\x03\x04\x05\x06\x07\x08"


def test_other_versions_and_kinds_are_none() -> None:
    octets = Exchange(Kind.OFFER, 8, 1).payload()
    assert parse(octets[:16] + b"\x02" + octets[17:]) is None
    assert parse(octets[:17] + b"\x03" + octets[18:]) is None
    assert parse(octets + b"\0") is None


@given(st.binary(max_size=200), st.integers(1, 22))
def test_xor_twice_is_nothing(payload: bytes, secret: int) -> None:
    assert xor(xor(payload, secret), secret) == payload
    assert len(xor(payload, secret)) == len(payload)
