"""What this host can and cannot do, as a list of findings with what mends each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from hushwire.config.errors import ConfigError
from hushwire.config.load import FOLDER, load
from hushwire.config.model import Config
from hushwire.daemon import control
from hushwire.daemon.sockets import IKE_PORT, NATT_PORT
from hushwire.records import dataclass
from hushwire.system import clsact, guard, interface, netns, nft, privileges
from hushwire.system.addresses import device_exists
from hushwire.system.core import kernel, may_not_load, why_missing, why_no_ebpf
from hushwire.system.errors import NotPermittedError, SystemFailureError
from hushwire.system.ports import Holder, holders
from hushwire.system.processes import Recorded
from hushwire.wire.tcpencap import TCP_PORT

_ENGINES_TO_COME = ("ebpf", "xfrm")
_DEVICES = Path("/proc/sys/net/ipv4/conf")
_STRICT = 1  # rp_filter (ip-sysctl); of "all" and the device the larger one counts


class Verdict(StrEnum):
    """`UNSEEN`: this user may not look; not a problem by itself."""

    FINE = "ok"
    UNSEEN = "not seen"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `cure` is the command that mends it, or empty."""

    about: str
    verdict: Verdict
    sentence: str
    cure: str = ""


def examine(*, root: bool, folder: Path = FOLDER) -> list[Finding]:
    """Everything, in the order in which it matters. `root`: what is missing is the host's fault."""
    configs: list[Config] = []
    parts: list[Callable[[], Iterator[Finding]]] = [
        _tun,
        lambda: _capabilities(root=root),
        _nftables,
        lambda: _files(folder, configs),
        lambda: _ports(configs),
        _engines,
        lambda: _ebpf(root=root),
        _reverse_path,
        lambda: _leftovers(configs),
    ]
    return [finding for part in parts for finding in part()]


def _tun() -> Iterator[Finding]:
    lacks = privileges.missing_tun()
    yield from (Finding("tun", Verdict.PROBLEM, lack) for lack in lacks)
    if not lacks:
        yield Finding("tun", Verdict.FINE, "/dev/net/tun can be opened.")


def _capabilities(*, root: bool) -> Iterator[Finding]:
    lacks = {lack.split()[0]: lack for lack in privileges.missing_capabilities()}
    for name in ("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"):
        if name in lacks:
            verdict = Verdict.PROBLEM if root else Verdict.WARNING
            yield Finding("capability", verdict, lacks[name])
        else:
            yield Finding("capability", Verdict.FINE, f"{name} is there, or not needed.")


def _nftables() -> Iterator[Finding]:
    sample = guard.Plan("doctor", (), (), ())
    try:
        nft.check(guard.script(sample))
    except NotPermittedError:
        yield Finding("nftables", Verdict.UNSEEN, "This user may not ask.", "sudo hushwire doctor")
    except SystemFailureError as error:
        cure = "sudo apt install nftables" if nft.program() is None else "nft list tables"
        yield Finding(
            "nftables",
            Verdict.PROBLEM,
            f"{error.why}: without it nothing keeps traffic from leaving in clear.",
            cure,
        )
    else:
        yield Finding("nftables", Verdict.FINE, "nft and the kernel can guard an interface.")


def _ports(configs: list[Config]) -> Iterator[Finding]:
    ours = {control.holder(name) for name in _answering()}
    in_tcp = {config.interface.tcp_port for config in configs if config.listens_in_tcp}
    wanted = [("udp", IKE_PORT), ("udp", NATT_PORT)]
    for protocol, port in [*wanted, *(("tcp", port) for port in sorted(in_tcp or {TCP_PORT}))]:
        about = f"{protocol.upper()} {port}"
        found = holders(protocol, port)
        others = [holder for holder in found if holder.pid not in ours]
        if others:
            names = ", ".join(map(_who, others))
            yield Finding(
                about,
                Verdict.PROBLEM,
                f"{names} has it: often another IPsec daemon, and only one can run.",
                f"ss -{protocol[0]}lpn sport = :{port}",
            )
        else:
            yield Finding(
                about, Verdict.FINE, "Hushwire itself has it." if found else "It is free."
            )


def _who(holder: Holder) -> str:
    if holder.pid:
        return f"{holder.name} (process {holder.pid})"
    return "a process that this user may not see"


def _engines() -> Iterator[Finding]:
    why = why_missing()
    native = f"native is not here: {why}." if why else "native is here."
    yield Finding("engine", Verdict.FINE, native)
    yield Finding("engine", Verdict.FINE, "python runs everywhere.")
    for name in _ENGINES_TO_COME:
        yield Finding("engine", Verdict.FINE, f"{name} is not in this version.")


def _ebpf(*, root: bool) -> Iterator[Finding]:
    """No tunnel needs it, so that it is missing is no problem."""
    if why := why_no_ebpf():
        sentence = f"`hushwire classroom` does not run here: {why}. Tunnels do not need it."
    elif lacks := may_not_load():
        if not root:
            yield Finding("eBPF", Verdict.UNSEEN, "This user may not look.", "sudo hushwire doctor")
            return
        sentence = f"`hushwire classroom` does not run here: {lacks[0]} Tunnels do not need it."
    else:
        sentence = f"kernel {kernel()} takes programs, and hushwire has them."
    yield Finding("eBPF", Verdict.FINE, sentence)


def _reverse_path() -> Iterator[Finding]:
    """RFC 3704: a strict filter refuses a packet whose answer would go by another device."""
    modes = {}
    for file in _DEVICES.glob("*/rp_filter"):
        try:
            modes[file.parent.name] = int(file.read_text())
        except OSError:
            continue  # a device that has just gone
    everywhere = modes.pop("all", 0)
    modes.pop("default", None)
    modes.pop("lo", None)
    strict = sorted(name for name, mode in modes.items() if max(mode, everywhere) == _STRICT)
    for name in strict:
        yield Finding(
            "reverse path",
            Verdict.WARNING,
            f"The filter on {name} is strict: when routes send a peer's address into the tunnel "
            "(0.0.0.0/0, or a network around its endpoint), what comes from the peer is dropped.",
            f"sudo sysctl -w net.ipv4.conf.{name.replace('.', '/')}.rp_filter=2",
        )
    if not strict:
        yield Finding("reverse path", Verdict.FINE, "No device filters strictly.")


def _files(folder: Path, configs: list[Config]) -> Iterator[Finding]:
    about = str(folder)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        files = []
    except PermissionError:
        yield Finding(about, Verdict.UNSEEN, "This user may not look.", "sudo hushwire doctor")
        return
    if not files:
        yield Finding(about, Verdict.FINE, "No interface is configured there.")
    for file in files:
        try:
            configs.append(load(file))
        except ConfigError as error:
            if isinstance(error.__cause__, PermissionError):
                yield Finding(
                    str(file), Verdict.UNSEEN, "This user may not read it.", "sudo hushwire doctor"
                )
            else:
                yield Finding(str(file), Verdict.PROBLEM, str(error))
        else:
            yield Finding(str(file), Verdict.FINE, "It can be used.")


def _leftovers(configs: list[Config]) -> Iterator[Finding]:
    """What a process that was killed has left."""
    try:
        found = [*_dead_guards(), *_dead_files(), *_dead_devices(configs), *_dead_filters()]
    except NotPermittedError:
        yield Finding(
            "leftovers", Verdict.UNSEEN, "This user may not look.", "sudo hushwire doctor"
        )
        return
    yield from found
    if not found:
        yield Finding("leftovers", Verdict.FINE, "Nothing is left of one that was killed.")


def _dead_guards() -> Iterator[Finding]:
    alive = control.answering()
    for standing in guard.standing():
        counts = f"{standing.dropped_out} packets out and {standing.dropped_in} in were dropped"
        about = f"guard of {standing.name}"
        if standing.name in alive:
            yield Finding(about, Verdict.FINE, f"It stands, and hushwire runs; {counts}.")
        else:
            yield Finding(
                about,
                Verdict.PROBLEM,
                f"It stands, and no hushwire runs: everything for {', '.join(standing.networks)} "
                f"is dropped ({counts}). `hushwire up {standing.name}` brings the tunnel back; "
                "the other command gives the tunnel up.",
                f"sudo hushwire down {standing.name}",
            )


def _dead_files() -> Iterator[Finding]:
    for name in sorted(set(control.running()) - set(control.answering())):
        yield Finding(
            f"{control.socket_path(name)}",
            Verdict.WARNING,
            "A control socket, and nobody behind it.",
            f"sudo hushwire down {name}",
        )
    for file in sorted(netns.runtime_dir().glob("*.pid")):
        recorded = Recorded.read(file)
        if recorded is None or not recorded.alive:
            yield Finding(
                str(file),
                Verdict.WARNING,
                "A pid file, and its process is gone.",
                f"sudo hushwire down {file.stem}",
            )


def _dead_devices(configs: list[Config]) -> Iterator[Finding]:
    alive = control.answering()
    for config in configs:
        name = config.interface.name
        if name not in alive and device_exists(name):
            yield Finding(
                f"device {name}",
                Verdict.WARNING,
                f"It exists, {config.path} names it, and no hushwire runs it.",
                f"sudo ip link delete {name}",
            )


def _dead_filters() -> Iterator[Finding]:
    """eBPF programs in tc, from before Linux 6.6: later ones end with their process."""
    for name in clsact.leftovers():
        if interface.is_claimed(clsact.claim_of(name)):
            continue  # it runs
        yield Finding(
            f"interface {name}",
            Verdict.PROBLEM,
            "eBPF programs of a `hushwire classroom` that was killed are attached to it, and drop "
            "or change messages.",
            f"sudo hushwire classroom --interface {name} --clean",
        )


def _answering() -> list[str]:
    try:
        return control.answering()
    except NotPermittedError:
        return []
