"""`hushwire up` and `down`: an interface behind one's back."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from hushwire.lab.topology import BOB, TUNNEL, WIRE, Topology
from tests.netns.inside import inside
from tests.netns.tunnels import Side, devices, ping, sides
from tests.netns.waiting import wait_until
from tests.netns.watched import guards, lead_everything_to_the_wire, watching

_Done = subprocess.CompletedProcess[str]


def hushwire(topology: Topology, *words: object, host: str = "alice") -> _Done:
    argv = ["hushwire", *map(str, words)]
    return topology.run(host, argv, check=False, seconds=120)


def _files(topology: Topology) -> set[str]:
    """What is in alice's runtime directory."""
    with inside(topology, "alice"):
        inode = Path("/proc/thread-self/ns/net").stat().st_ino
    folder = topology.world.path(Path("/run/hushwire")) / str(inode)
    return {file.name for file in folder.iterdir()} - {f"{TUNNEL}.lock"}


def _pid(topology: Topology) -> int:
    """Of what `up` has begun on alice, as the world counts."""
    text = topology.run("alice", ["sh", "-c", "cat /run/hushwire/*/hw0.pid"]).stdout
    return int(text.split()[0])


def _kill(topology: Topology, number: int = signal.SIGKILL) -> None:
    topology.run("alice", ["kill", f"-{int(number)}", str(_pid(topology))])


def test_up_waits_until_the_tunnel_is_up_and_down_leaves_nothing(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.write(start="wait")  # or both may begin at once, and one more line tell it
    bob.run().wait_for_line("Listening")
    done = hushwire(topology, "up", alice.file)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"{TUNNEL}: process " in lines[0]
    assert f"{TUNNEL}: guard up. Traffic for 10.0.1.2/32, " in lines[1]
    assert any(line.startswith("bob: tunnel up, ") for line in lines[2:-1])
    assert lines[-1].startswith(f"{TUNNEL} is up. ")
    ping(topology, "alice", BOB.tunnel.ip)
    assert _files(topology) == {f"{TUNNEL}.sock", f"{TUNNEL}.pid", f"{TUNNEL}.log"}
    done = hushwire(topology, "down", TUNNEL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tunnels closed, process " in done.stdout
    assert f"{TUNNEL}: guard removed" in done.stdout
    assert devices(topology, "alice") == {"lo", WIRE}
    assert guards(topology) == []
    assert _files(topology) == {f"{TUNNEL}.log"}
    assert bob.tunnel()["state"] == "waiting"


def test_up_twice_says_so_and_down_twice_too(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    assert hushwire(topology, "up", alice.file).returncode == 0
    first = _pid(topology)
    done = hushwire(topology, "up", alice.file)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"{TUNNEL} runs already.")
    assert _pid(topology) == first
    assert hushwire(topology, "down", alice.file).returncode == 0
    done = hushwire(topology, "down", alice.file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout


def test_names_that_nobody_knows_are_told(topology: Topology) -> None:
    for verb, said in (("up", "there is no such file"), ("down", 'nothing called "hw7" runs')):
        done = hushwire(topology, verb, "hw7")
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_what_waits_for_its_peer_is_up_when_it_listens(topology: Topology) -> None:
    alice, _ = sides(topology)
    alice.write(start="wait")
    done = hushwire(topology, "up", alice.file)
    assert done.returncode == 0, done.stderr
    assert "Waiting for bob to begin." in done.stdout


@pytest.mark.parametrize(
    ("theirs", "code", "said"),
    [
        ({"esp": ["chacha20poly1305"]}, 5, "no ESP proposal in common"),
        ({"public_key": None, "psk_file": "psk"}, 4, "AUTHENTICATION_FAILED"),
        (None, 6, "no answer from 192.168.77.2"),
    ],
    ids=["no proposal", "not authenticated", "not reached"],
)
def test_what_cannot_come_up_says_why_and_goes_on_trying(
    topology: Topology, theirs: dict[str, str | list[str] | None] | None, code: int, said: str
) -> None:
    alice, bob = sides(topology)
    alice.write(esp=["aes256gcm16"])
    if theirs is not None:
        bob.write_psk()
        peer = bob.write(**theirs, start="wait").run()
        peer.wait_for_line("Waiting")
    done = hushwire(topology, "up", alice.file)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert f"{TUNNEL} is not up. It goes on trying in the background" in done.stderr
    assert alice.tunnel()["state"] == "connecting"
    assert guards(topology) == [TUNNEL]
    if theirs is not None:
        peer.stop()
    bob.write(esp=["aes256gcm16"]).run()
    wait_until(lambda: alice.tunnel()["state"] == "up", "tunnel in the end")
    assert hushwire(topology, "down", TUNNEL).returncode == 0


def test_what_cannot_begin_ends_with_its_own_exit_code(topology: Topology) -> None:
    alice, _ = sides(topology)
    with inside(topology, "alice"), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 4500))
        done = hushwire(topology, "up", alice.file)
    assert done.returncode == 1
    assert "UDP port 4500 (IPv4): another program listens there already" in done.stdout
    assert f"`hushwire down {TUNNEL}` removes its guard" in done.stderr
    # It is kept: from `up` until `down` nothing leaves in clear.
    assert guards(topology) == [TUNNEL]
    done = hushwire(topology, "down", TUNNEL)
    assert (done.returncode, guards(topology)) == (0, [])


def test_a_mistake_in_the_file_begins_nothing(topology: Topology) -> None:
    alice, _ = sides(topology)
    alice.write(networks=["10.0.1.300/32"])
    done = hushwire(topology, "up", alice.file)
    assert (done.returncode, done.stdout) == (2, "")
    assert guards(topology) == []


def test_missing_privileges_are_named_before_anything_begins(topology: Topology) -> None:
    alice, _ = sides(topology)
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "hushwire", "up"]
    done = topology.run("alice", [*bare, alice.file], check=False)
    assert done.returncode == 3
    assert "CAP_NET_ADMIN is missing" in done.stderr


def test_nothing_leaves_from_up_until_down_and_after_down_everything_does(
    topology: Topology,
) -> None:
    alice, bob = sides(topology)
    lead_everything_to_the_wire(topology)
    bob.run()
    assert hushwire(topology, "up", alice.file).returncode == 0
    with watching(topology) as watch:
        _kill(topology)
        wait_until(lambda: _dropped(alice) > 20, "packets that the guard drops")
        done = hushwire(topology, "up", alice.file)
        assert done.returncode == 0, done.stderr
        ping(topology, "alice", BOB.tunnel.ip)
    watch.assert_nothing_in_clear()
    hushwire(topology, "down", TUNNEL)
    with watching(topology) as watch:
        topology.run("alice", ["ping", "-c", "3", "-i", "0.2", str(BOB.tunnel.ip)], check=False)
    assert watch.clear


def _dropped(alice: Side) -> int:
    return int(alice.status()["guard"]["dropped_out"])


def test_down_clears_away_what_one_that_was_killed_has_left(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    hushwire(topology, "up", alice.file)
    _kill(topology)
    done = hushwire(topology, "down", TUNNEL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{TUNNEL}: guard removed")
    assert _files(topology) == {f"{TUNNEL}.log"}
    assert "nothing called" in hushwire(topology, "down", TUNNEL).stderr


def test_down_does_not_end_a_process_that_only_has_the_number(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    hushwire(topology, "up", alice.file)
    _kill(topology)
    innocent = topology.start("alice", ["sleep", "1000"])
    script = (
        "cd /run/hushwire/*/ && pid=$(pgrep -x sleep) && "
        "echo $pid $(($(cut -d' ' -f22 /proc/$pid/stat) - 1)) >hw0.pid"
    )
    topology.run("alice", ["sh", "-c", script])
    assert hushwire(topology, "down", TUNNEL).returncode == 0
    assert innocent.poll() is None


def test_down_ends_one_that_hangs(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    hushwire(topology, "up", alice.file)
    _kill(topology, signal.SIGSTOP)
    done = hushwire(topology, "down", TUNNEL)
    assert done.returncode == 0
    assert "did not end by itself and was killed" in done.stdout
    assert guards(topology) == []
    assert devices(topology, "alice") == {"lo", WIRE}


def test_down_ends_a_run_in_the_foreground_too(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    program = alice.run()
    program.wait_for_line("tunnel up")
    assert hushwire(topology, "down", TUNNEL).returncode == 0
    program.finish()
    assert program.returncode == 0
    assert guards(topology) == []


def test_the_terminal_may_close(topology: Topology) -> None:
    alice, bob = sides(topology)
    bob.run()
    shell = ["setsid", "sh", "-c", f"hushwire up {alice.file}; kill -HUP 0"]
    topology.run("alice", shell, check=False)
    ping(topology, "alice", BOB.tunnel.ip)


def test_a_service_manager_is_told_how_it_goes(topology: Topology, tmp_path: Path) -> None:
    """sd_notify(3), as with Type=notify."""
    alice, bob = sides(topology)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(30)
    program = topology.start(
        "alice",
        ["env", f"NOTIFY_SOCKET={tmp_path}/notify", "hushwire", "run", alice.file, "--keep-guard"],
    )
    program.wait_for_line("knocking")
    bob.run()
    states = []
    while "READY=1" not in states:
        states.append(manager.recv(4096).decode())
    manager.close()
    assert any(state.startswith("STATUS=bob: knocking") for state in states)
    # Not before the tunnel is up.
    assert any(state.startswith("STATUS=bob: authenticated") for state in states)
