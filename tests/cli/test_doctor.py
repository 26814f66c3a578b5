"""`hushwire doctor`: what it finds, and that its cures cure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hushwire.lab.topology import TUNNEL, Topology
from hushwire.lab.world import FILES
from hushwire.system.core import why_missing
from tests.netns.etc import own_etc
from tests.netns.ordinary import as_ordinary_user, really_root
from tests.netns.tunnels import both_up, sides
from tests.netns.watched import kill

_DOCTOR = [sys.executable, "-m", "hushwire.cli.main", "doctor"]


@pytest.fixture
def etc(topology: Topology) -> Path:
    """alice's /etc/hushwire, empty yet."""
    return own_etc(topology)


def examine(topology: Topology) -> tuple[int, list[dict[str, Any]]]:
    """The exit code on alice, and what is not fine."""
    done = topology.run("alice", ["hushwire", "doctor", "--json"], check=False)
    findings = json.loads(done.stdout)
    return done.returncode, [one for one in findings if one["verdict"] != "ok"]


def cure(topology: Topology, finding: dict[str, Any]) -> None:
    """Do what it says, as root already."""
    topology.run("alice", finding["cure"].removeprefix("sudo ").split())


def test_a_host_that_lacks_nothing_is_fine(topology: Topology, etc: Path) -> None:
    assert examine(topology) == (0, [])
    done = topology.run("alice", ["hushwire", "doctor"])
    for text in (
        "/dev/net/tun can be opened.",
        "CAP_NET_ADMIN is there",
        "nft and the kernel can guard an interface.",
        "UDP 4500: It is free.",
        "TCP 4500: It is free.",
        "python runs everywhere.",
        "native is not here" if why_missing() else "native is here.",
        "No device filters strictly.",
        "/etc/hushwire: No interface is configured there.",
        "Nothing is left",
    ):
        assert text in done.stdout


def test_it_changes_nothing(topology: Topology, etc: Path) -> None:
    before = topology.run("alice", ["nft", "list", "ruleset"]).stdout
    examine(topology)
    assert topology.run("alice", ["nft", "list", "ruleset"]).stdout == before == ""


def test_one_that_runs_is_no_problem_of_its_own(topology: Topology, etc: Path) -> None:
    both_up(*sides(topology))
    assert examine(topology) == (0, [])
    text = topology.run("alice", ["hushwire", "doctor"]).stdout
    assert "UDP 500: Hushwire itself has it." in text
    assert "TCP 4500: Hushwire itself has it." in text
    assert f"guard of {TUNNEL}: It stands, and hushwire runs" in text


def test_what_one_that_was_killed_has_left_is_cleared_by_the_command_it_names(
    topology: Topology, etc: Path
) -> None:
    alice, bob = sides(topology)
    program, _ = both_up(alice, bob)
    kill(program)
    code, findings = examine(topology)
    assert code == 1
    guard, socket = findings
    assert (guard["verdict"], guard["cure"]) == ("problem", f"sudo hushwire down {TUNNEL}")
    assert "everything for 10.0.1.2/32, fd00:1::2/128 is dropped" in guard["sentence"]
    assert socket["verdict"] == "warning"
    assert "nobody behind it" in socket["sentence"]
    cure(topology, guard)
    assert examine(topology) == (0, [])


def test_a_pid_file_of_a_process_that_is_gone_is_found(topology: Topology, etc: Path) -> None:
    alice, bob = sides(topology)
    bob.run()
    topology.run("alice", ["hushwire", "up", alice.file])
    topology.run("alice", ["sh", "-c", "kill -9 $(cut -d' ' -f1 /run/hushwire/*/hw0.pid)"])
    _, findings = examine(topology)
    assert any("its process is gone" in finding["sentence"] for finding in findings)
    cure(topology, findings[-1])
    assert examine(topology) == (0, [])


@pytest.mark.parametrize(
    ("port", "opening"),
    [
        ("UDP 4500", "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', 4500))"),
        ("TCP 4500", "s = socket.create_server(('::', 4500), family=socket.AF_INET6)"),
    ],
)
def test_who_has_the_ports_is_named(topology: Topology, etc: Path, port: str, opening: str) -> None:
    script = FILES / "charon"
    topology.world.path(script).write_text(
        "import ctypes, socket, time\n"
        "ctypes.CDLL(None).prctl(15, b'charon')\n"  # PR_SET_NAME
        f"{opening}\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    other = topology.start("alice", [sys.executable, script])
    other.wait_for_line("ready")
    code, (finding,) = examine(topology)
    assert (code, finding["about"], finding["verdict"]) == (1, port, "problem")
    assert finding["sentence"].startswith("charon (process ")
    other.stop()
    assert examine(topology) == (0, [])


def test_a_program_on_the_port_for_tcp_is_named_and_a_connection_from_it_is_not(
    topology: Topology, etc: Path
) -> None:
    script = FILES / "web"
    topology.world.path(script).write_text(
        "import socket, sys, time\n"
        "s = socket.create_server(('0.0.0.0', 4500 if sys.argv[1] == 'listen' else 0))\n"
        "c = socket.socket(); c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "c.bind(('127.0.0.1', 0 if sys.argv[1] == 'listen' else 4500))\n"
        "c.connect(s.getsockname())\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    topology.start("alice", [sys.executable, script, "connect"]).wait_for_line("ready")
    assert examine(topology) == (0, [])
    topology.start("alice", [sys.executable, script, "listen"]).wait_for_line("ready")
    code, (finding,) = examine(topology)
    assert (code, finding["about"], finding["verdict"]) == (1, "TCP 4500", "problem")
    assert finding["cure"] == "ss -tlpn sport = :4500"


def test_a_strict_reverse_path_filter_is_a_warning(topology: Topology, etc: Path) -> None:
    topology.run("alice", ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"])
    code, findings = examine(topology)
    assert code == 0
    (finding,) = findings
    assert (finding["about"], finding["verdict"]) == ("reverse path", "warning")
    assert "on eth0 is strict" in finding["sentence"]
    cure(topology, finding)
    assert examine(topology) == (0, [])


def test_files_are_looked_at_and_a_mistake_is_told_with_its_line(
    topology: Topology, etc: Path
) -> None:
    alice, _ = sides(topology)
    right = topology.world.path(alice.file).read_text()
    key = topology.world.path(alice.file.with_name("alice.key"))
    (etc / "alice.key").touch(mode=0o600)
    (etc / "alice.key").write_bytes(key.read_bytes())
    (etc / "hw0.toml").write_text(right)
    assert examine(topology) == (0, [])
    (etc / "hw1.toml").write_text(right.replace("networks", "netwroks"))
    code, (finding,) = examine(topology)
    assert (code, finding["verdict"], finding["about"]) == (
        1, "problem", "/etc/hushwire/hw1.toml",
    )  # fmt: skip
    assert 'hw1.toml:7: unknown key "netwroks"' in finding["sentence"]


def test_a_device_that_nobody_runs_is_found(topology: Topology, etc: Path) -> None:
    alice, _ = sides(topology)
    key = topology.world.path(alice.file.with_name("alice.key"))
    (etc / "alice.key").touch(mode=0o600)
    (etc / "alice.key").write_bytes(key.read_bytes())
    (etc / "hw0.toml").write_text(topology.world.path(alice.file).read_text())
    topology.run("alice", ["ip", "tuntap", "add", "dev", TUNNEL, "mode", "tun"])
    code, (finding,) = examine(topology)
    assert (code, finding["verdict"], finding["about"]) == (0, "warning", f"device {TUNNEL}")
    cure(topology, finding)
    assert examine(topology) == (0, [])


def test_without_nft_or_capabilities_there_are_problems(topology: Topology, etc: Path) -> None:
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "hushwire", "doctor"]
    done = topology.run("alice", bare, check=False)
    assert done.returncode == 1
    for name in ("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"):
        assert f"problem   capability: {name} is missing" in done.stdout
    for place in ("/usr/sbin/nft", "/usr/local/sbin/nft", "/sbin/nft"):
        if Path(place).exists():
            topology.run(None, ["mount", "--bind", "/dev/null", Path(place).resolve()])
    code, (finding,) = examine(topology)
    assert (code, finding["about"], finding["cure"]) == (
        1, "nftables", "sudo apt install nftables",
    )  # fmt: skip


@really_root
@pytest.mark.parametrize("tun", [True, False])
def test_an_ordinary_user_is_told_what_could_not_be_seen(tun: bool) -> None:
    done = subprocess.run(as_ordinary_user(*_DOCTOR, tun=tun), capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == (0 if tun else 1)
    assert "warning   capability: CAP_NET_ADMIN is missing" in done.stdout
    assert "not seen  nftables: This user may not ask.\n" in done.stdout
    assert ("problem   tun: /dev/net/tun may not be opened" in done.stdout) is not tun
