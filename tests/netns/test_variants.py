"""Every mode in every encapsulation, IPv4 and IPv6 inside and outside: what comes through it.

And what eve's capture of it shows and does not show, read by other code than ours. In transport
mode with plain ESP a packet has but one header, so inside and outside are the same family there.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Frame, Kind, holding, read, tally
from hushwire.lab.topology import ALICE, BOB, Topology
from tests.netns.test_transport import own_address, protocol_of, real_address
from tests.netns.test_transport import write as write_transport
from tests.netns.traffic import (
    HOUSEKEEPING,
    MARKER,
    send_ten_megabytes,
    send_udp_of_every_size,
)
from tests.netns.tunnels import Side, both_up, ping, sides

_PROTOCOL = {"esp": 50, "udp": 17, "tcp": 6}


@dataclass(frozen=True)
class Variant:
    """One row of the table; `inner` are the families of what applications send."""

    mode: str
    encap: str
    outer: int
    inner: tuple[int, ...]

    def __str__(self) -> str:
        inner = "+".join(map(str, self.inner))
        return f"{self.mode}-{self.encap}-IPv{inner} in IPv{self.outer}"


VARIANTS = [
    *(Variant("tunnel", encap, outer, (4, 6)) for encap in _PROTOCOL for outer in (4, 6)),
    *(
        Variant("transport", encap, outer, (inner,))
        for encap in _PROTOCOL
        for outer in (4, 6)
        for inner in (4, 6)
        if encap != "esp" or inner == outer
    ),
]


def _write(side: Side, variant: Variant) -> None:
    endpoint = str(real_address(side.other, variant.outer))
    start = "up" if side.me is ALICE else "wait"
    if variant.mode == "tunnel":
        side.write(encap=variant.encap, endpoint=endpoint, start=start)
    else:
        (inner,) = variant.inner
        write_transport(side, "own", inner, encap=variant.encap, endpoint=endpoint, start=start)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_all_that_is_sent_arrives_and_eve_sees_what_the_variant_shows(
    topology: Topology, variant: Variant
) -> None:
    alice, bob = sides(topology)
    _write(alice, variant)
    _write(bob, variant)
    recorder = Recorder(topology)
    both_up(alice, bob, at_once=False)
    tunnel = alice.tunnel()
    assert (tunnel["mode"], tunnel["encapsulation"]) == (variant.mode, variant.encap)

    for family in variant.inner:
        there, here = own_address(BOB, family), own_address(ALICE, family)
        ping(topology, "alice", there, "-I", str(here), "-p", MARKER[:16].hex())
        ping(topology, "bob", here, "-s", "9000", "-p", MARKER[:16].hex())
        send_ten_megabytes(topology, str(there))
        send_udp_of_every_size(topology, str(there))
    assert alice.drops("reassembly") == bob.drops("reassembly") == 0
    assert recorder.stop() == 0

    frames = read(recorder.file)
    kind = Kind.TCP if variant.encap == "tcp" else Kind.ESP
    sealed = [frame for frame in frames if frame.kind is kind]
    assert len(sealed) > len(variant.inner) * 10_000_000 // 65_536
    assert {seen for seen, count in tally(frames).items() if count} <= HOUSEKEEPING | {kind}
    assert not holding(frames, MARKER[:16])
    assert {protocol_of(frame) for frame in sealed} == {_PROTOCOL[variant.encap]}
    assert _ends(sealed) == _expected_ends(variant)
    if not _own_header(variant):
        for family in variant.inner:
            both = own_address(ALICE, family).packed, own_address(BOB, family).packed
            assert not holding(frames, both[0] + both[1])
            assert not holding(frames, both[1] + both[0])


def _own_header(variant: Variant) -> bool:
    """Transport mode in plain ESP is the one that shows who talks inside: RFC 4303 §3.1.1."""
    return (variant.mode, variant.encap) == ("transport", "esp")


def _ends(frames: list[Frame]) -> set[tuple[str, str]]:
    return {(frame.source, frame.destination) for frame in frames}


def _expected_ends(variant: Variant) -> set[tuple[str, str]]:
    address = own_address if _own_header(variant) else real_address
    a, b = (str(address(resident, variant.outer)) for resident in (ALICE, BOB))
    return {(a, b), (b, a)}
