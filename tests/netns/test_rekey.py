"""New keys under traffic: not one packet is lost, whoever begins and whatever is rekeyed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hushwire.lab.network import Program
from hushwire.lab.topology import ALICE, BOB, TUNNEL, Topology
from tests.netns.tunnels import Side, both_up, interrupt, sides
from tests.netns.waiting import wait_until


@contextmanager
def traffic(topology: Topology) -> Iterator[None]:
    """Pings both ways all the time, every one of which has to be answered."""
    pairs = (("alice", BOB), ("bob", ALICE))
    pings = [
        topology.start(host, ["ping", "-i", "0.003", "-W", "5", str(to.tunnel.ip)])
        for host, to in pairs
    ]
    yield
    for ping in pings:
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+)", interrupt(ping))}
        # The last ones may still have been on their way when Ctrl-C came.
        assert answered == set(range(1, max(answered) + 1))
        assert len(answered) > 100


def rekeys(topology: Topology, host: str, *options: str) -> Program:
    return topology.start(host, ["hushwire", "rekey", TUNNEL, *options])


def spis(side: Side) -> tuple[str, str, str]:
    tunnel = side.tunnel()
    return tunnel["ike_spi"], tunnel["spi_in"], tunnel["spi_out"]


def test_no_packet_is_lost_when_keys_are_renewed(topology: Topology) -> None:
    alice, bob = sides(topology)
    programs = both_up(alice, bob, at_once=False)
    first = spis(alice)
    with traffic(topology):
        for options in ((), ("--ike",)):
            for host in ("alice", "bob"):
                assert "new keys" in rekeys(topology, host, *options).finish()
            at_once = [rekeys(topology, host, *options) for host in ("alice", "bob")]
            for program in at_once:
                assert "new keys" in program.finish()
                assert program.returncode == 0
    last = spis(alice)
    assert not set(first) & set(last)
    ike, inbound, outbound = spis(bob)
    assert last == (ike, outbound, inbound)
    # What is replaced does not stay.
    wait_until(
        lambda: alice.tunnel()["child_sas"] == bob.tunnel()["child_sas"] == 1, "end of the old SAs"
    )
    (ours,), (theirs,) = alice.tunnel()["sas"], bob.tunnel()["sas"]
    assert (ours["spi_in"], ours["spi_out"]) == (theirs["spi_out"], theirs["spi_in"])
    assert ours["packets_in"] == theirs["packets_out"]
    for side in (alice, bob):
        assert side.drops("unknown_spi") == 0
        assert side.drops("no_sa") == side.drops("selector_mismatch_out")
    for program in programs:
        interrupt(program)


def test_keys_are_renewed_after_so_many_packets(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(rekey_packets="200")
    programs = both_up(alice, bob, at_once=False)
    before = spis(alice)
    with traffic(topology):
        programs[0].wait_for_line("new keys for the CHILD_SA, aes")
        programs[1].wait_for_line("new keys for the CHILD_SA, as the peer wished")
    after = spis(alice)
    assert after[0] == before[0]
    assert after[1] != before[1]
    shown = topology.run("alice", ["hushwire", "status"]).stdout
    assert re.search(r"keys +ESP \d+ s old, new ones in 5\d min", shown)
    assert re.search(r"; IKE \d+ s old, new ones in 3 h", shown)
    for program in programs:
        interrupt(program)


def test_a_new_ike_sa_takes_the_place_of_the_old_one_without_loss(topology: Topology) -> None:
    """Reauthentication: make before break (RFC 7296 §2.8.3)."""
    alice, bob = sides(topology)
    alice.write(reauth_after="2s")
    bob.write(start="wait")  # no two that cross, of which one is closed
    programs = both_up(alice, bob, at_once=False)
    before = spis(alice)
    with traffic(topology):
        programs[0].wait_for_line("tunnel up")
        wait_until(lambda: before[0] != spis(alice)[0] == spis(bob)[0], "new IKE SA")
    for program in programs:
        assert "closed" not in program.output
    for program in programs:
        interrupt(program)
