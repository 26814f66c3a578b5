"""Native against Python: the same packets into both engines, and the same must come out.

`python -m tests.differential.run --packets 2000000 --seed 1`, as root. Every SA pair is a random
one: cipher, ESN, mode, IP version, encapsulation, replay window, path MTU. Both engines, each in a
namespace of its own, get the same packets from their host and from the wire. What they send must
be equal octet for octet and mark for mark (where the cipher's IV is random: what it opens to), what
they deliver likewise, and the counters of packets, octets and drops by cause. The Python engine
is the reference that the other is held against.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from hushwire.crypto.cbc import CBCS
from hushwire.engines.base import Drop
from hushwire.esp.open import InboundSa
from hushwire.sa.association import ChildSa
from tests.differential.packets import Pair, Source, any_pair, flipped
from tests.differential.subjects import Outcome, Sealed, Subject, subject

Subjects = Sequence[Subject]

BATCH = 256
PER_PAIR = 512
"""Packets for each SA pair and direction."""


def differ(subjects: Subjects, rng: random.Random, number: int, packets: int) -> int:
    """One random SA pair: so many packets in each direction. Returns how many both engines had."""
    pair = any_pair(rng, number)
    source = Source(rng, pair)
    with _installed(subjects, pair):
        for begin in range(0, packets, BATCH):
            count = min(BATCH, packets - begin)
            inner = [source.from_application() for _ in range(count)]
            _same_sent(pair, subjects, inner)
            outer = [source.from_wire() for _ in range(count)]
            _same_delivered(pair, subjects, outer)
    return 2 * packets


def flip_every_bit(subjects: Subjects, rng: random.Random, number: int) -> int:
    """A genuine packet with each of its bits changed: refused by both, under the same name."""
    pair = any_pair(rng, number)
    packet = Source(rng, pair).genuine()
    changed = [(flipped(packet, bit), 0) for bit in range(len(packet) * 8)]
    with _installed(subjects, pair):
        for begin in range(0, len(changed), BATCH):
            some = changed[begin : begin + BATCH]
            drops = _same_delivered(pair, subjects, some)
            assert sum(drops.values()) == len(some), f"a changed packet was delivered: {pair}"
        delivered = _same_delivered(pair, subjects, [(packet, 0)])
        assert not delivered, "the packet itself is refused: nothing was shown"
    return len(changed)


@contextmanager
def both(wanted: tuple[str, str] = ("native", "python")) -> Generator[Subjects]:
    """The engines that are compared, running."""
    with ExitStack() as stack:
        yield [stack.enter_context(subject(name)) for name in wanted]


def _installed(subjects: Subjects, pair: Pair) -> ExitStack:
    stack = ExitStack()
    spi = pair.of_engine.inbound_spi
    for one in subjects:
        one.engine.install(pair.of_engine)
        stack.callback(one.engine.remove, spi)
        if pair.mtu:
            one.engine.set_path_mtu(spi, pair.mtu, pair.mtu)
    return stack


def _same_sent(pair: Pair, subjects: Subjects, packets: list[bytes]) -> None:
    outcomes = [one.from_application(packets, pair.of_engine, pair.outer) for one in subjects]
    _same(pair, *outcomes)
    mine, theirs = (outcome.sealed for outcome in outcomes)
    if pair.of_engine.suite.cipher in CBCS:  # the IV is a random one
        mine, theirs = (_opened(pair.of_peer, sealed) for sealed in (mine, theirs))
    assert mine == theirs, f"sealed differently: {_first(mine, theirs)}: {pair}"


def _same_delivered(
    pair: Pair, subjects: Subjects, packets: list[tuple[bytes, int]]
) -> dict[Drop, int]:
    outcomes = [one.from_wire(packets, pair.of_engine, pair.outer) for one in subjects]
    _same(pair, *outcomes)
    mine, theirs = (outcome.delivered for outcome in outcomes)
    assert mine == theirs, f"delivered differently: {_first(mine, theirs)}: {pair}"
    return outcomes[0].drops


def _same(pair: Pair, native: Outcome, python: Outcome) -> None:
    assert native.drops == python.drops, f"{native.drops}, not {python.drops}: {pair}"
    assert native.counted == python.counted, f"counted differently: {pair}"


def _first(mine: Sequence[object], theirs: Sequence[object]) -> str:
    """The first two that differ."""
    pairs = enumerate(zip(mine, theirs, strict=True))
    number, (ours, reference) = next((at, both) for at, both in pairs if both[0] != both[1])
    return f"number {number}, {ours!r} and not {reference!r}"


def _opened(child: ChildSa, sealed: list[Sealed]) -> list[Sealed]:
    """What is in them instead, so far as this peer opens them, with what is not sealed."""
    receiver = InboundSa(child)
    return [
        (front + esp[:8], b"%d|%b|%d" % (len(esp), *receiver.open_payload(esp)), marks)
        for front, esp, marks in sealed
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--packets", type=int, default=2_000_000, help="in both directions together"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    began = time.monotonic()
    done = number = flips = told = 0
    with both() as subjects:
        while done < arguments.packets:
            done += differ(subjects, rng, number, PER_PAIR)
            number += 1
            if number % 8 == 0:
                flips += flip_every_bit(subjects, rng, number)
                number += 1
            if done - told >= 50_000:
                told = done
                seconds = time.monotonic() - began
                print(f"{done:>9} packets, {number} SA pairs, {seconds:.0f} s", flush=True)
    print(f"{done} packets and {flips} changed bits: both engines did the same with each of them.")


if __name__ == "__main__":
    main()
