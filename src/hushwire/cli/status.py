"""`hushwire status`: tunnels, suites, bytes, and drops by their cause."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from hushwire.cli.exit_code import ExitCode
from hushwire.cli.interface import interface_name

if TYPE_CHECKING:
    from hushwire.system.guard import Standing

_HELP = """\
Shows what the hushwire of this network namespace is doing: its peers, what was
agreed with each, traffic, and every packet that went no further, by cause.

  sudo hushwire status                 every interface
  sudo hushwire status hw0             one of them
  sudo hushwire status --json          for a script: a list of objects
"""
_CARRIERS = {"esp": "IP protocol 50", "udp": "in UDP 4500", "tcp": "in TCP"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "status", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="the interface, or its .toml file; default: all"
    )
    parser.add_argument("--json", action="store_true", help="the same facts as a JSON list")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.daemon import control
    from hushwire.system import guard

    guards = {standing.name: _guard_facts(standing) for standing in guard.standing()}
    answering = control.answering()
    # Whose process has died still shows by its guard.
    dead = sorted(guards.keys() - set(answering))
    names = [interface_name(arguments.name)] if arguments.name else [*answering, *dead]
    every = [control.ask(name, "status") for name in names if name not in dead]
    every = [facts | {"guard": guards.get(str(facts["interface"]))} for facts in every]
    every += [
        {"interface": name, "state": "dead", "guard": guards[name]}
        for name in names
        if name in dead
    ]
    if arguments.json:
        print(json.dumps(every, indent=2))
    elif every:
        print("\n\n".join(_text(facts) for facts in every))
    else:
        print(
            "No interface is up in this network namespace. Start one: sudo hushwire run FILE.toml"
        )
    return ExitCode.FINE


def _text(facts: dict[str, Any]) -> str:
    if facts.get("state") == "dead":
        return _dead(facts["interface"], facts["guard"])
    lines = [
        f"{facts['interface']}: {', '.join(facts['address']) or 'no address'}, MTU {facts['mtu']}, "
        f"{facts['engine']} engine, {facts['file']}",
        *_features(facts.get("engine_features", {})),
    ]
    for peer in facts["peers"]:
        lines += ["", *_peer(peer)]
    lines += ["", *_guard(facts["guard"]), *_drops(facts)]
    return "\n".join(lines)


def _features(features: dict[str, bool]) -> list[str]:
    """What the kernel does for the engine; what it does not costs speed alone."""
    on = [name for name, is_on in features.items() if is_on]
    off = [name for name, is_on in features.items() if not is_on]
    words = [f"on: {', '.join(on)}"] if on else []
    words += [f"off: {', '.join(off)}"] if off else []
    return [f"  offloads {'; '.join(words)}"] if words else []


def _guard_facts(standing: Standing) -> dict[str, Any]:
    return {
        "networks": list(standing.networks),
        "dropped_out": standing.dropped_out,
        "dropped_in": standing.dropped_in,
    }


def _dead(name: str, guard: dict[str, Any]) -> str:
    return (
        f"{name}: no hushwire runs it, and its guard stands: everything for "
        f"{', '.join(guard['networks'])} is dropped\n  ({_counts(guard)}).\n"
        f"  hushwire up {name}      (or run it again) brings the tunnel back\n"
        f"  hushwire down {name}    removes the guard; then traffic can leave in clear"
    )


def _guard(guard: dict[str, Any] | None) -> list[str]:
    if guard is None:
        return ["  guard: none, so without a tunnel packets can leave in clear"]
    return [f"  guard: {', '.join(guard['networks'])}; {_counts(guard)}"]


def _counts(guard: dict[str, Any]) -> str:
    return (
        f"{guard['dropped_out']} packets kept from leaving in clear, "
        f"{guard['dropped_in']} refused that came so"
    )


def _peer(peer: dict[str, Any]) -> list[str]:
    if peer["state"] != "up":
        where = f" {peer['endpoint']}" if peer["endpoint"] else ""
        doing = {
            "connecting": f"connecting to{where}",
            "idle": "waiting for traffic",
            "waiting": "waiting for it to begin",
        }
        return [f"  {peer['name']}: {doing[peer['state']]}, for {', '.join(peer['networks'])}"]
    rows = [
        ("is", f"{peer['identity']}, by its {peer['authenticated_by']}"),
        ("endpoint", f"{peer['remote_endpoint']} (we are {peer['local_endpoint']})"),
        ("IKE", f"{peer['ike_suite']}, {peer['role']}"),
    ]
    if "esp_suite" in peer:
        carrier = _CARRIERS[peer["encapsulation"]]
        rows += [
            ("ESP", f"{peer['esp_suite']}, {carrier}, in {peer['spi_in']}, out {peer['spi_out']}"),
            ("mode", peer["mode"]),
            ("carries", f"{', '.join(peer['local'])} <-> {', '.join(peer['remote'])}"),
        ]
    if peer.get("path_mtu"):
        rows.append(("path", f"{peer['path_mtu']} octets in one piece"))
    if "packets_in" in peer:
        last = peer["last_in"]
        heard = "nothing heard yet" if last is None else f"last heard {_duration(last)} ago"
        rows += [
            ("in", f"{_bytes(peer['bytes_in'])}, {peer['packets_in']} packets, {heard}"),
            ("out", f"{_bytes(peer['bytes_out'])}, {peer['packets_out']} packets"),
        ]
    if "esp_age" in peer:
        rows.append(("keys", f"{_keys('ESP', peer, 'esp_')}; {_keys('IKE', peer, 'ike_')}"))
    head = f"  {peer['name']}: up for {_duration(peer['age'])}"
    return [head, *(f"    {label:9}{text}" for label, text in rows)]


def _keys(what: str, peer: dict[str, Any], prefix: str) -> str:
    rekey = peer[f"{prefix}rekey_in"]
    following = "no others planned" if rekey is None else f"new ones in {_duration(max(rekey, 0))}"
    return f"{what} {_duration(peer[f'{prefix}age'])} old, {following}"


def _drops(facts: dict[str, Any]) -> list[str]:
    from hushwire.engines.base import Drop

    packets = {cause: count for cause, count in facts["drops"].items() if count}
    messages = {cause: count for cause, count in facts["ike_drops"].items() if count}
    if not packets and not messages:
        return ["  dropped: nothing"]
    lines = ["  dropped:"]
    lines += [f"    {count:8} {cause}: {Drop(cause).meaning}" for cause, count in packets.items()]
    lines += [f"    {count:8} IKE messages, {cause}" for cause, count in messages.items()]
    return lines


def _bytes(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
