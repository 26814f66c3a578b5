"""`hushwire run` as its user meets it: what it says, its exit codes, what it leaves behind."""

from __future__ import annotations

import json
import signal

import pytest

from hushwire.lab.eve import Recorder
from hushwire.lab.reader import Kind, read, tally
from hushwire.lab.topology import BOB, TUNNEL, WIRE, Topology
from tests.netns.tunnels import both_up, devices, ends, interrupt, ping, sides
from tests.netns.waiting import wait_until


def test_it_tells_what_happens_in_sentences(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.write(start="wait")
    programs = both_up(alice, bob)
    said = programs[0].output
    assert f"{TUNNEL}: 10.0.1.1/24, fd00:1::1/64, MTU " in said
    assert "Listening on UDP 500 and 4500, on TCP 4500 and for ESP." in said
    assert "bob: knocking at 192.168.77.2" in said
    assert "bob: 192.168.77.2 answered; the two sides chose aes256gcm16-prfsha384-x25519" in said
    assert "bob: authenticated as key:" in said
    assert (
        "bob: tunnel up, 10.0.1.1/32, fd00:1::1/128 <-> 10.0.1.2/32, fd00:1::2/128, "
        "aes256gcm16-esn (ESP, IP protocol 50)." in said
    )
    assert "Waiting for alice to begin." in programs[1].output


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_leaves_nothing_behind(
    topology: Topology, sig: signal.Signals
) -> None:
    alice, bob = sides(topology)
    first, second = both_up(alice, bob)
    before = {"lo", WIRE}
    first.send_signal(sig)
    assert "bob: tunnel closed, and the peer knows." in ends(first, 0)
    second.wait_for_line("alice: the peer closed the tunnel.")
    second.wait_for_line("trying again in 1 s")
    assert devices(topology, "alice") == before
    assert "10.0.1" not in topology.run("alice", ["ip", "route", "show", "table", "all"]).stdout
    left = topology.run("alice", ["find", "/run/hushwire", "-name", f"{TUNNEL}.sock"]).stdout
    bob_socket = [line for line in left.splitlines() if line]
    assert len(bob_socket) == 1  # bob's, in his own namespace's directory
    interrupt(second)
    assert devices(topology, "bob") == before


def test_it_keeps_trying_until_the_peer_is_there(topology: Topology) -> None:
    alice, bob = sides(topology)
    first = alice.run()
    first.wait_for_line("knocking")
    wait_until(lambda: alice.tunnel()["state"] == "connecting", "attempt")
    second = bob.run()
    for program in (first, second):
        program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)


def test_a_peer_that_was_killed_comes_back(topology: Topology) -> None:
    alice, bob = sides(topology)
    first, _ = both_up(alice, bob)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = alice.run()
    again.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)
    assert alice.tunnel()["spi_in"] == bob.tunnel()["spi_out"]


def test_both_may_start_at_the_same_moment(topology: Topology) -> None:
    alice, bob = sides(topology)
    for _ in range(5):
        programs = both_up(alice, bob)

        def one_tunnel() -> bool:
            a, b = alice.tunnel(), bob.tunnel()
            return (
                a["state"] == b["state"] == "up"
                and a["ike_spi"] == b["ike_spi"]
                and {a["role"], b["role"]} == {"initiator", "responder"}
                and (a["spi_in"], a["spi_out"]) == (b["spi_out"], b["spi_in"])
            )

        wait_until(one_tunnel, "single tunnel that both agree on")
        ping(topology, "alice", BOB.tunnel.ip)
        for program in programs:
            program.send_signal(signal.SIGTERM)
        for program in programs:
            ends(program, 0)


def test_a_shared_secret_works_too(topology: Topology) -> None:
    alice, bob = sides(topology)
    for side in (alice, bob):
        side.write(public_key=None, psk_file=str(side.write_psk()))
    programs = both_up(alice, bob)
    assert "authenticated as 192.168.77.2 by its shared secret" in programs[0].output
    ping(topology, "bob", alice.me.tunnel.ip)


def test_a_wrong_shared_secret_exits_with_4_on_both_sides(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(public_key=None, psk_file=str(alice.write_psk()))
    bob.write(public_key=None, psk_file=str(bob.write_psk("another one")), start="wait")
    responder = bob.run("--once")
    responder.wait_for_line("Waiting")
    said = ends(alice.run("--once"), 4)
    assert "bob: the peer does not accept our proof (AUTHENTICATION_FAILED)" in said
    assert "same psk_file content" in said
    said = ends(responder, 4)
    assert "alice: the peer at the other end says it is 192.168.77.1 but does not prove it" in said
    assert "its shared secret is not ours" in said


def test_an_unknown_key_is_refused_and_shown(topology: Topology) -> None:
    alice, bob = sides(topology)
    stranger = topology.run("bob", ["sh", "-c", "hushwire genkey | hushwire pubkey"]).stdout
    bob.write(public_key=stranger.strip(), start="wait")
    responder = bob.run()
    responder.wait_for_line("Waiting")
    said = ends(alice.run("--once"), 4)
    assert "Does the peer's file have our public_key" in said
    line = responder.wait_for_line("asked for a tunnel")
    key = topology.run("alice", ["hushwire", "pubkey", alice.file.with_name("alice.key")]).stdout
    assert f'public_key = "{key.strip()}"' in line


def test_no_proposal_in_common_exits_with_5_and_shows_both_lists(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(ike=["aes256gcm16-prfsha384-x25519"])
    bob.write(ike=["chacha20poly1305-prfsha256-ecp384"], start="wait")
    responder = bob.run()
    responder.wait_for_line("Waiting")
    said = ends(alice.run("--once"), 5)
    for text in (said, responder.output):
        assert "no IKE proposal in common" in text
        assert "aes256gcm16-prfsha384-x25519" in text
        assert "chacha20poly1305-prfsha256-ecp384" in text
    assert 'ike = ["chacha20poly1305-prfsha256-ecp384"]' in said


def test_no_esp_proposal_in_common_exits_with_5(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(esp=["aes256gcm16"])
    bob.write(esp=["chacha20poly1305"], start="wait")
    responder = bob.run()
    responder.wait_for_line("Waiting")
    assert "no ESP proposal in common" in ends(alice.run("--once"), 5)
    responder.wait_for_line("they offer     aes256gcm16")


def test_selectors_that_do_not_overlap_are_explained(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(networks=["10.0.2.0/24"])
    bob.write(start="wait")
    responder = bob.run()
    responder.wait_for_line("Waiting")
    said = ends(alice.run("--once"), 1)
    assert "networks of the two sides do not overlap (TS_UNACCEPTABLE)" in said
    assert "10.0.2.0/24" in said
    responder.wait_for_line("they ask for   10.0.2.0/24")


def test_a_silent_peer_exits_with_6_after_the_documented_time(topology: Topology) -> None:
    alice, _ = sides(topology)
    said = ends(alice.run("--once"), 6)
    assert "no answer from 192.168.77.2 to 6 IKE_SA_INIT messages in 32 seconds" in said
    assert "Inside TCP, which was tried as well: connection refused." in said
    assert "UDP 500 and 4500" in said


def test_json_says_the_same_for_a_script(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    program = alice.run("--json")
    program.wait_for_line("TunnelUp")
    events = [json.loads(line) for line in program.lines]
    (up,) = [event for event in events if event["event"] == "TunnelUp"]
    assert up["peer"] == "bob"
    assert up["remote"] == ["10.0.1.2/32", "fd00:1::2/128"]


def test_a_second_one_for_the_same_interface_is_refused(topology: Topology) -> None:
    alice, _ = sides(topology)
    alice.run().wait_for_line("knocking")
    said = ends(alice.run(), 1)
    assert "hushwire runs it already in this network namespace" in said


def test_status_without_any_interface_says_so(topology: Topology) -> None:
    done = topology.run("alice", ["hushwire", "status"])
    assert "No interface is up in this network namespace" in done.stdout
    assert topology.run("alice", ["hushwire", "status", "--json"]).stdout.strip() == "[]"


def test_status_for_a_person_names_the_peer_the_suite_and_the_drops(topology: Topology) -> None:
    alice, bob = sides(topology)
    both_up(alice, bob)
    ping(topology, "alice", BOB.tunnel.ip)
    text = topology.run("alice", ["hushwire", "status", TUNNEL]).stdout
    for part in ("bob: up for", "aes256gcm16-esn", "3 packets", "192.168.77.2:4500", "dropped"):
        assert part in text


def test_missing_privileges_exit_with_3_and_are_named(topology: Topology) -> None:
    alice, _ = sides(topology)
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "hushwire", "run"]
    done = topology.run("alice", [*bare, str(alice.file)], check=False)
    assert done.returncode == 3
    assert "CAP_NET_ADMIN is missing, to make the tunnel device and its routes" in done.stderr


def test_other_traffic_than_esp_and_ike_never_appears_even_when_bob_dies(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    recorder = Recorder(topology)
    _, second = both_up(alice, bob)
    ping(topology, "alice", BOB.tunnel.ip)
    second.send_signal(signal.SIGKILL)
    second.wait()
    topology.run(
        "alice", ["ping", "-c", "3", "-i", "0.2", "-W", "1", str(BOB.tunnel.ip)], check=False
    )
    recorder.stop()
    # bob's kernel may complain about ESP that nobody takes: that quotes only what was sealed.
    clear = [frame for frame in read(recorder.file) if frame.kind is Kind.CLEAR]
    assert all(frame.source == str(BOB.underlay) for frame in clear)
    assert tally(read(recorder.file))[Kind.ESP] >= 3


def test_traffic_starts_a_tunnel_that_waits_for_it(topology: Topology) -> None:
    alice, bob = sides(topology)
    alice.write(start="traffic")
    bob.write(start="wait")
    bob.run().wait_for_line("Waiting for alice to begin")
    program = alice.run()
    program.wait_for_line("Waiting for traffic to bob")
    assert alice.tunnel()["state"] == "idle"
    assert "knocking" not in program.output
    topology.run("alice", ["ping", "-c", "1", "-W", "1", str(BOB.tunnel.ip)], check=False)
    program.wait_for_line("tunnel up")
    ping(topology, "alice", BOB.tunnel.ip)


def test_who_waits_exits_with_the_reason_too_and_not_only_that_the_peer_closed(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    alice.write(esp=["aes256gcm16"], start="wait")
    bob.write(esp=["chacha20poly1305"])
    waiting = alice.run("--once")
    waiting.wait_for_line("Waiting for bob")
    bob.run()
    assert "no ESP proposal in common" in ends(waiting, 5)
