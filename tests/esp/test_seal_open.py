from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.esp.drops import Drop, EspDropError
from hushwire.esp.open import InboundSa
from hushwire.esp.padding import pad, unpad
from hushwire.esp.seal import OutboundSa
from hushwire.wire.esp import parse_header
from tests.esp.packets import inner, seal_raw
from tests.sa.pairs import pair

EVERY_CIPHER = pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
LAST_32 = (1 << 32) - 1
LAST_64 = (1 << 64) - 1


def refused(action: Callable[[bytes], object], octets: bytes) -> Drop:
    with pytest.raises(EspDropError) as caught:
        action(octets)
    return caught.value.drop


@EVERY_CIPHER
@pytest.mark.parametrize("esn", [False, True])
def test_what_is_sealed_opens_to_the_same_for_every_size(cipher: Cipher, esn: bool) -> None:
    alice, bob = pair(cipher, esn=esn)
    outbound, inbound = OutboundSa(alice), InboundSa(bob)
    for version, least in ((4, 20), (6, 40)):
        for octets in range(least, 1501):
            packet = inner(octets, version)
            sealed = outbound.seal(packet)
            assert len(sealed) % 4 == 0
            opened = inbound.open(sealed)
            assert opened.inner == packet
            assert opened.next_header == (4 if version == 4 else 41)


@EVERY_CIPHER
@pytest.mark.parametrize("esn", [False, True])
def test_every_change_of_one_octet_is_refused_and_changes_nothing(
    cipher: Cipher, esn: bool
) -> None:
    alice, bob = pair(cipher, esn=esn)
    sealed = OutboundSa(alice, sent=1000).seal(inner(48))
    inbound = InboundSa(bob)
    for position, change in itertools.product(range(len(sealed)), range(1, 256)):
        mutated = bytearray(sealed)
        mutated[position] ^= change
        expected = Drop.UNKNOWN_SPI if position < 4 else Drop.BAD_ICV
        assert refused(inbound.open, bytes(mutated)) is expected, position
    assert inbound.window.top == 0
    assert inbound.open(sealed).inner == inner(48)


def test_every_truncation_is_refused() -> None:
    alice, bob = pair()
    sealed = OutboundSa(alice).seal(inner(40))
    inbound = InboundSa(bob)
    for length in range(len(sealed)):
        # 8 header, 8 IV, 4 the least plaintext, 16 ICV.
        whole = length >= 36 and length % 4 == 0
        expected = Drop.BAD_ICV if whole else Drop.TRUNCATED
        assert refused(inbound.open, sealed[:length]) is expected, length
    assert refused(inbound.open, sealed + b"\0") is Drop.TRUNCATED
    assert refused(inbound.open, sealed + bytes(4)) is Drop.BAD_ICV


@pytest.mark.parametrize(
    ("esn", "too_late"),
    # Appendix A2.2: with ESN, a number below the window is taken for one of the next subspace.
    [(False, Drop.REPLAY), (True, Drop.BAD_ICV)],
)
def test_a_packet_is_taken_once_and_in_any_order_inside_the_window(
    esn: bool, too_late: Drop
) -> None:
    alice, bob = pair(esn=esn)
    outbound, inbound = OutboundSa(alice), InboundSa(replace(bob, replay_window=32))
    packets = [outbound.seal(inner(20)) for _ in range(40)]
    for packet in (packets[3], packets[1], packets[39]):
        inbound.open(packet)
        assert refused(inbound.open, packet) is Drop.REPLAY
    assert refused(inbound.open, packets[7]) is too_late
    inbound.open(packets[8])


def test_another_key_is_refused() -> None:
    alice, bob = pair()
    other = InboundSa(replace(bob, inbound_key=bytes(len(bob.inbound_key))))
    assert refused(other.open, OutboundSa(alice).seal(inner(20))) is Drop.BAD_ICV


def test_sequence_numbers_begin_at_one_and_the_iv_follows_them() -> None:
    outbound = OutboundSa(pair()[0])
    for expected in (1, 2, 3):
        sealed = outbound.seal(inner(20))
        assert parse_header(sealed).sequence == expected
        assert int.from_bytes(sealed[8:16], "big") == expected


@pytest.mark.parametrize(("esn", "last"), [(False, LAST_32), (True, LAST_64)])
def test_the_counter_never_cycles(esn: bool, last: int) -> None:
    alice, bob = pair(esn=esn)
    outbound, inbound = OutboundSa(alice, sent=last - 1), InboundSa(bob)
    inbound.window.commit(last - 1)
    assert inbound.open(outbound.seal(inner(20))).inner == inner(20)
    for _ in range(3):
        assert refused(outbound.seal, inner(20)) is Drop.SEQUENCE_EXHAUSTED
    assert outbound.remaining == 0


def test_the_end_of_the_sequence_numbers_is_told_in_time() -> None:
    alice, _ = pair(esn=False)
    assert not OutboundSa(alice).near_end
    assert not OutboundSa(alice, sent=LAST_32 - (1 << 28)).near_end
    assert OutboundSa(alice, sent=LAST_32 - (1 << 28) + 2).near_end


def test_with_esn_the_high_bits_carry_over_and_old_packets_still_open() -> None:
    alice, bob = pair(esn=True)
    outbound, inbound = OutboundSa(alice, sent=LAST_32 - 5), InboundSa(bob)
    inbound.window.commit(LAST_32 - 5)
    packets = [outbound.seal(inner(60)) for _ in range(10)]
    assert parse_header(packets[5]).sequence == 0
    for packet in reversed(packets):
        assert inbound.open(packet).inner == inner(60)
    assert inbound.window.top == LAST_32 + 5


def test_without_esn_the_high_bits_are_not_authenticated_and_with_esn_they_are() -> None:
    with_esn, _ = pair(esn=True)
    _, without = pair(esn=False)
    sealed = OutboundSa(with_esn).seal(inner(20))
    assert refused(InboundSa(without).open, sealed) is Drop.BAD_ICV


def test_only_ip_is_sealed() -> None:
    outbound = OutboundSa(pair()[0])
    for garbage in (b"", b"\x00" * 20, b"\x55" * 20):
        assert refused(outbound.seal, garbage) is Drop.BAD_INNER
    assert outbound.remaining == LAST_64, "a refused packet takes no sequence number"


def test_padding_is_counted_from_one_and_every_other_is_refused() -> None:
    for octets in range(9):
        padded = pad(bytes(octets), 4, 4)
        assert len(padded) % 4 == 0
        assert padded[-2] == len(padded) - octets - 2 < 4
        assert unpad(padded) == (bytes(octets), 4)
    assert unpad(bytes(range(1, 256)) + b"\xff\x04") == (b"", 4)
    assert refused(unpad, b"\x01\x02\x04\x03\x04") is Drop.BAD_PADDING
    assert refused(unpad, b"\x00\x01\x02\x04") is Drop.BAD_PADDING
    assert refused(unpad, b"\x01\x02\x03\x04") is Drop.BAD_PADDING
    assert refused(unpad, b"\x04") is Drop.TRUNCATED


V4 = inner(20)
V6 = inner(40, 6)


@pytest.mark.parametrize(
    ("payload", "next_header", "expected"),
    [
        (b"anything at all", 59, Drop.DUMMY),
        (b"", 59, Drop.DUMMY),
        (V4, 41, Drop.BAD_NEXT_HEADER),
        (V6, 4, Drop.BAD_NEXT_HEADER),
        (V4, 6, Drop.BAD_NEXT_HEADER),
        (b"", 4, Drop.BAD_NEXT_HEADER),
        (V4[:19], 4, Drop.BAD_INNER),
        (V6[:39], 41, Drop.BAD_INNER),
        (inner(60)[:59], 4, Drop.BAD_INNER),
        (inner(60, 6)[:59], 41, Drop.BAD_INNER),
        (b"\x44" + V4[1:], 4, Drop.BAD_INNER),
        (b"\x4f" + V4[1:], 4, Drop.BAD_INNER),
        (V4[:2] + b"\x00\x10" + V4[4:], 4, Drop.BAD_INNER),
        (bytes(IP(src="10.0.1.3", dst="10.0.1.2") / ICMP()), 4, Drop.SELECTOR_MISMATCH_IN),
        (bytes(IP(src="10.0.1.1", dst="10.0.1.3") / ICMP()), 4, Drop.SELECTOR_MISMATCH_IN),
        (bytes(IP(src="10.0.1.2", dst="10.0.1.1") / ICMP()), 4, Drop.SELECTOR_MISMATCH_IN),
        (bytes(IPv6(src="fd00::3", dst="fd00::2") / UDP()), 41, Drop.SELECTOR_MISMATCH_IN),
        (bytes(IPv6(src="fd00::1", dst="fd00::3") / TCP()), 41, Drop.SELECTOR_MISMATCH_IN),
    ],
)
def test_an_authentic_packet_must_also_be_what_the_sa_carries(
    payload: bytes, next_header: int, expected: Drop
) -> None:
    alice, bob = pair()
    inbound = InboundSa(bob)
    packet = seal_raw(alice, 1, pad(payload, next_header, 4))
    assert refused(inbound.open, packet) is expected
    assert refused(inbound.open, packet) is Drop.REPLAY, "authentic, so it was counted"


def test_wrong_padding_in_an_authentic_packet_is_refused() -> None:
    alice, bob = pair()
    for trailer in (b"\x00\x00\x02\x04", b"\x02\x01\x02\x04", b"\x01\x02\xff\x04"):
        packet = seal_raw(alice, 1, inner(24) + trailer)
        assert refused(InboundSa(bob).open, packet) is Drop.BAD_PADDING


@pytest.mark.parametrize("version", [4, 6])
def test_padding_for_traffic_flow_confidentiality_is_cut_off(version: int) -> None:
    alice, bob = pair()
    packet = inner(61, version)
    tfc = pad(packet + bytes(700), 4 if version == 4 else 41, 4)
    assert InboundSa(bob).open(seal_raw(alice, 1, tfc)).inner == packet


def test_longer_padding_than_needed_is_accepted() -> None:
    alice, bob = pair()
    packet = inner(22)
    plaintext = packet + bytes(range(1, 205)) + bytes((204, 4))
    assert InboundSa(bob).open(seal_raw(alice, 1, plaintext)).inner == packet


def test_every_cause_has_one_name_and_one_line_for_people() -> None:
    assert len({drop.value for drop in Drop}) == len({drop.meaning for drop in Drop}) == len(Drop)
    for drop in Drop:
        assert drop == drop.name.lower()
        assert Drop(drop.value) is drop
        assert "\n" not in drop.meaning
        assert len(drop.meaning) > 20
