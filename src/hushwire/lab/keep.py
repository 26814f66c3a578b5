"""`hushwire lab up`, `shell` and `down`: a lab that stays, to play in."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import NoReturn

from hushwire.lab import tunnel
from hushwire.lab.network import LabError
from hushwire.lab.topology import ALICE, BOB, BRIDGE, EVE, Topology
from hushwire.lab.world import FILES, World, environment
from hushwire.system.errors import SystemFailureError
from hushwire.system.processes import began

HOSTS = (ALICE.name, EVE, BOB.name)

_HINTS = {
    ALICE.name: f"ping {BOB.tunnel.ip}      hushwire status      ls {FILES}/alice",
    BOB.name: f"ping {ALICE.tunnel.ip}      hushwire status      ls {FILES}/bob",
    EVE: f"tcpdump -ni {BRIDGE}      tcpdump -ni {BRIDGE} -X esp or port 4500",
}
_USE = f"""
  hushwire lab shell alice                 a shell on alice, bob or eve
  hushwire lab shell alice -- ping {BOB.tunnel.ip}
  hushwire lab shell eve -- tcpdump -ni {BRIDGE}
  hushwire lab down                        ends it"""
_COLOURS = {ALICE.name: 35, BOB.name: 34, EVE: 31}


def up(encap: str, mode: str) -> str:
    """Make it, with the tunnel up; returns what to tell.

    Raises as `World.begin`, and `LabError`.
    """
    standing = find()
    if standing is not None:
        standing.abandon()
        return f"The lab is up already.\n{_USE}"
    state = _state_file(create=True)
    world = World.begin(lasting=True)
    try:
        _remember(state, world)
        network = Topology(world)
        ends = tunnel.configure(network, encap, mode)
        for end in ends:
            tunnel.run_lasting(network, end)
        for end in ends:
            tunnel.wait_until_up(network, end)
    except BaseException:
        world.close()
        _forget()
        raise
    world.abandon()
    return f"The lab is up: alice and bob have a tunnel, and eve sits between.\n{_USE}"


def down() -> str:
    """End it; returns what to tell."""
    world = find()
    if world is None:
        return "No lab is up, so there is nothing to take down."
    world.close()
    _forget()
    return "The lab is gone, with everything in it."


def shell(host: str, command: list[str]) -> NoReturn:
    """Become a shell, or `command`, on the host. Raises `LabError` when no lab is up."""
    world = find()
    if world is None:
        raise LabError("No lab of yours is up. `hushwire lab up` makes one.")
    variables = environment()
    if not command:
        command = _interactive(world, host, variables)
        print(f"You are on {host}; `exit` leaves. Try:  {_HINTS[host]}", flush=True)
    argv = world.enter(host) + command
    os.execvpe(argv[0], argv, variables)


def find() -> World | None:
    """The lab that is up, if one is."""
    try:
        saved = json.loads(_state_file().read_text())
        pid, then, user = int(saved["pid"]), int(saved["began"]), bool(saved["user"])
        world = World(pid, user)
        # A PID may have come to a new owner since; its start tells.
        if began(pid) == then:
            return world
    except (OSError, ValueError, KeyError, TypeError):
        return None
    world.abandon()
    return None


def _remember(state: Path, world: World) -> None:
    facts = {"pid": world.pid, "began": began(world.pid), "user": world.user}
    state.write_text(json.dumps(facts))


def _forget() -> None:
    state = _state_file()
    state.unlink(missing_ok=True)
    state.parent.rmdir()


def _state_file(*, create: bool = False) -> Path:
    """In a directory of ours that nobody else can write. Raises `SystemFailureError`."""
    own = os.geteuid()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if own == 0:
        directory = Path("/run/hushwire/lab")
    elif runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == own:
        directory = runtime / "hushwire-lab"
    else:
        directory = Path(f"/tmp/hushwire-lab-{own}")
    if create:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != own or found.st_mode & 0o022:
        raise SystemFailureError(
            f"directory {directory}",
            "it is not a directory that only you can write",
            f"Look at it, and remove it: `rm -r {directory}`.",
        )
    return directory / "state.json"


def _interactive(world: World, host: str, variables: dict[str, str]) -> list[str]:
    prompt = rf"\[\e[1;{_COLOURS[host]}m\][{host}]\[\e[0m\] \w \$ "
    if not shutil.which("bash"):
        variables["PS1"] = f"[{host}] $ "
        return ["sh", "-i"]
    file = FILES / f"{host}.bashrc"
    lines = [
        "[ -f ~/.bashrc ] && . ~/.bashrc",
        f"PATH={FILES / 'bin'}:$PATH",
        f"PS1='{prompt}'",
        "unset PROMPT_COMMAND",
    ]
    world.path(file).write_text("\n".join(lines) + "\n")
    return ["bash", "--rcfile", str(file), "-i"]
