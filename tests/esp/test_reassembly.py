"""Fragments in every order and number; and those that never become a datagram, in bounded memory.

That the right ones become the right datagram is in tests/wire/test_fragments.py.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.packet import Raw

from hushwire.esp.reassembly import Reassembly

DATA = bytes(range(240))


def part(start: int, end: int, *, more: bool = True, identification: int = 1) -> bytes:
    """Octets `start` to `end` of a datagram of 240; multiples of 8, but for the last end."""
    front = IP(src="10.0.1.1", dst="10.0.1.2", id=identification, proto=253, frag=start // 8)
    front.flags = "MF" if more else 0
    return bytes(front / Raw(DATA[start:end]))


WHOLE = (part(0, 80), part(80, 160), part(160, 240, more=False))


def test_a_packet_that_is_no_fragment_is_whole_at_once() -> None:
    packet = bytes(IP(proto=253) / Raw(DATA))
    whole = Reassembly().add(packet, 0.0)
    assert whole == (packet, len(packet), 0)


@given(st.permutations(range(3)), st.lists(st.integers(0, 2), max_size=3))
def test_the_same_part_twice_does_no_harm(order: list[int], again: list[int]) -> None:
    reassembly = Reassembly()
    for index in (order[0], order[1], *(n for n in again if n != order[2])):
        assert reassembly.add(WHOLE[index], 0.0) is None
    whole = reassembly.add(WHOLE[order[2]], 0.0)
    assert whole is not None
    assert whole.packet[20:] == DATA
    assert (len(reassembly), reassembly.lost) == (0, 0)


def test_overlapping_parts_end_the_datagram_and_its_other_parts_too() -> None:
    for wrong in (
        (part(80, 160), part(72, 88)),
        (part(72, 88), part(80, 160)),
        (part(0, 240, more=True), part(80, 160)),
        (part(160, 240, more=False), part(80, 160, more=False)),
        (part(160, 240), part(80, 160, more=False)),
        (part(80, 160, more=False), part(160, 240)),
    ):
        reassembly = Reassembly()
        for piece in (*wrong, *WHOLE):
            assert reassembly.add(piece, 0.0) is None
        assert reassembly.lost == 1


def test_datagrams_with_another_identification_are_others() -> None:
    reassembly = Reassembly()
    assert reassembly.add(part(0, 80), 0.0) is None
    assert reassembly.add(part(80, 240, more=False, identification=2), 0.0) is None
    assert len(reassembly) == 2


def test_what_does_not_become_whole_in_time_is_given_up() -> None:
    reassembly = Reassembly(seconds=30)
    reassembly.add(WHOLE[0], 0.0)
    reassembly.add(WHOLE[1], 29.0)
    reassembly.add(part(0, 80, identification=2), 30.0)
    assert (len(reassembly), reassembly.lost) == (1, 1)
    assert reassembly.add(WHOLE[2], 30.0) is None


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    reassembly = Reassembly(most_octets=2000)
    for identification in range(1000):
        reassembly.add(part(0, 80, identification=identification), 0.0)
        reassembly.add(part(0, 88, identification=identification), 0.0)  # spoilt at once
        assert len(reassembly) < 2000 // 128 + 2
    reassembly.add(part(0, 80, identification=7777), 0.0)
    newest = reassembly.add(part(80, 240, more=False, identification=7777), 0.0)
    assert newest is not None
    assert reassembly.lost == 1000


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans()), max_size=40))
def test_whatever_comes_only_the_right_octets_come_out(parts: list[tuple[int, int, bool]]) -> None:
    reassembly = Reassembly(most_octets=5000)
    for start, length, more in parts:
        end = min(240, (start + length) * 8)
        whole = reassembly.add(part(min(start * 8, end), end, more=more), 0.0)
        if whole is not None:
            assert DATA.startswith(whole.packet[20:])
