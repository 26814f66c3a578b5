"""hushwire@NAME.service, run by a systemd of alice's own: PID 1 of namespaces inside the lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hushwire.lab.topology import BOB, TUNNEL, Topology
from tests.netns.etc import own_etc
from tests.netns.ordinary import really_root
from tests.netns.tunnels import Side, ping, sides
from tests.netns.waiting import wait_until
from tests.netns.watched import guards, lead_everything_to_the_wire, watching

_UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "hushwire@.service"
_SERVICE = f"hushwire@{TUNNEL}.service"
_SYSTEMD = Path("/lib/systemd/systemd")

# A control group of its own, which is the root of all groups to systemd, and which stays behind.
_IN_GROUP = """
set -e
mount -t cgroup2 cgroup2 /mnt
mkdir "/mnt/$0"
echo $$ >"/mnt/$0/cgroup.procs"
umount /mnt
exec "$@"
"""
_WITHOUT_GROUP = """
mount -t cgroup2 cgroup2 /mnt
for _ in 1 2 3 4 5; do
    find "/mnt/$0" -depth -type d -exec rmdir {} + && exit || sleep 0.2
done
exit 1
"""

# systemd is given no unit and no generator but these, and nothing of the host that it could write:
# it would carry out all that the host's own boot consists of, with the host's files.
_BOOT = f"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in /tmp /var/tmp /var/log /usr/local/bin; do
    mount -t tmpfs none $place
done
install -m 755 /run/lab/hushwire /usr/local/bin/hushwire
mkdir -p /run/lab/units /run/lab/none
cp /run/lab/hushwire@.service /run/lab/units
for target in bare sysinit basic shutdown; do
    printf '[Unit]\\nDefaultDependencies=no\\nAllowIsolate=yes\\n' >/run/lab/units/$target.target
done
mount -o remount,bind,ro /
cd /
exec env -i PATH="$PATH" container=lab SYSTEMD_UNIT_PATH=/run/lab/units \\
    SYSTEMD_GENERATOR_PATH=/run/lab/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/lab/none \\
    {_SYSTEMD} --system --unit=bare.target
"""

needs_systemd = pytest.mark.skipif(not _SYSTEMD.exists(), reason="systemd is not installed")


class Systemd:
    """alice's, and programs that it could have started."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        lab = topology.world.path(Path("/run/lab"))
        shutil.copy(_UNIT, lab)
        (lab / "hushwire").write_text(
            f"#!/bin/sh\nexport PYTHONPATH={os.environ.get('PYTHONPATH', '')}\n"
            f'exec {sys.executable} -m hushwire.cli.main "$@"\n'
        )
        (lab / "boot").write_text(_BOOT)
        spaces = ["--pid", "--mount", "--cgroup", "--uts", "--ipc"]
        begin = ["unshare", *spaces, "--fork", "--kill-child", "sh", "/run/lab/boot"]
        self._group = f"hushwire-test-{os.getpid()}"
        self._program = topology.start("alice", ["sh", "-c", _IN_GROUP, self._group, *begin])

    def wait_until_booted(self) -> None:
        self._pid = wait_until(self._find, "systemd")
        # Its first answers come when it listens, and "starting" ends with its one target.
        wait_until(lambda: self.run("systemctl", "is-system-running").stdout == "running\n", "boot")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--cgroup", "--"]
        return self._topology.run("alice", [*enter, *argv], check=False, seconds=120)

    def show(self, fact: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={fact}", _SERVICE).stdout[:-1]

    def end(self) -> None:
        self._program.kill()
        self._program.wait()
        wait_until(lambda: not self._find(), "end of systemd")
        self._topology.run("alice", ["sh", "-c", _WITHOUT_GROUP, self._group])

    def _find(self) -> str:
        found = self._topology.run("alice", ["pgrep", "-f", f"^{_SYSTEMD} --system"], check=False)
        return found.stdout.strip()


@pytest.fixture
def booted(topology: Topology) -> Iterator[tuple[Systemd, Side, Side]]:
    etc = own_etc(topology)
    alice, bob = sides(topology)
    for file in (alice.file, alice.file.with_name("alice.key")):
        shutil.copy(topology.world.path(file), etc)
    systemd = Systemd(topology)
    try:
        systemd.wait_until_booted()
        yield systemd, alice, bob
    finally:
        systemd.end()


def _is_up(systemd: Systemd) -> bool:
    return systemd.show("ActiveState") == "active"


@really_root
@needs_systemd
def test_up_starts_the_unit_and_down_stops_it(
    topology: Topology, booted: tuple[Systemd, Side, Side]
) -> None:
    systemd, _, bob = booted
    bob.write(start="wait")  # the tunnel is alice's alone: the last that she says is that it is up
    second = bob.run()
    done = systemd.run("hushwire", "up", TUNNEL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{_SERVICE} runs it" in done.stdout
    assert _is_up(systemd)
    ping(topology, "alice", BOB.tunnel.ip)
    assert systemd.show("StatusText").startswith("bob: tunnel up")
    done = systemd.run("hushwire", "down", TUNNEL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{_SERVICE} stopped" in done.stdout
    assert "guard removed" in done.stdout
    assert systemd.show("ActiveState") == "inactive"
    assert guards(topology) == []
    second.wait_for_line("the peer closed the tunnel")


@really_root
@needs_systemd
def test_the_unit_is_active_only_with_its_tunnel_and_comes_back_after_a_crash(
    topology: Topology, booted: tuple[Systemd, Side, Side]
) -> None:
    systemd, _, bob = booted
    lead_everything_to_the_wire(topology)
    assert systemd.run("systemctl", "start", "--no-block", _SERVICE).returncode == 0
    wait_until(lambda: systemd.show("StatusText").startswith("bob: knocking"), "knock")
    with watching(topology) as watch:
        assert systemd.show("ActiveState") == "activating"
        bob.run()
        wait_until(lambda: _is_up(systemd), "active unit")
        first = systemd.show("MainPID")
        systemd.run("kill", "-9", first)
        wait_until(lambda: systemd.show("MainPID") not in ("0", first), "restart")
        assert guards(topology) == [TUNNEL]
        wait_until(lambda: _is_up(systemd), "active unit")
        ping(topology, "alice", BOB.tunnel.ip)
        # Stopped by systemd and not by `hushwire down`, it leaves its guard.
        assert systemd.run("systemctl", "stop", _SERVICE).returncode == 0
        assert guards(topology) == [TUNNEL]
    watch.assert_nothing_in_clear()
    assert watch.sealed


@really_root
@needs_systemd
def test_in_another_network_namespace_than_systemds_up_makes_a_process_of_its_own(
    topology: Topology, booted: tuple[Systemd, Side, Side]
) -> None:
    _, _, bob = booted
    bob.write(endpoint=None)
    folder = "/etc/hushwire"
    topology.run("bob", ["cp", bob.file, bob.file.with_name("bob.key"), folder])
    assert topology.world.path(Path("/run/systemd/system")).is_dir()
    done = topology.run("bob", ["hushwire", "up", TUNNEL])
    assert f"{TUNNEL}: process " in done.stdout
    topology.run("bob", ["hushwire", "down", TUNNEL])


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / _SERVICE
    text = _UNIT.read_text()
    assert "\nExecStart=/usr/local/bin/hushwire run /etc/hushwire/%i.toml --keep-guard\n" in text
    unit.write_text(text.replace("/usr/local/bin/hushwire", "/bin/true"))
    argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
