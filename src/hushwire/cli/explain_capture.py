"""`hushwire explain FILE.pcap`: what a capture of any two peers shows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from hushwire.explain.capture import Capture

_MOST_FRAMES = 2_000_000
_LARGEST_TABLE = 1 << 22


def explain(file: Path, keys: list[Path], *, as_json: bool) -> int:
    """Print it. Raises `UsageError` for a file that is no capture, and `OSError`."""
    from hushwire.explain import findings
    from hushwire.explain.ladder import ladder

    capture = _read(file, keys)
    if as_json:
        print(json.dumps(_facts(capture), indent=2, default=str))
        return ExitCode.FINE
    parts = []
    for conversation in capture.conversations.values():
        found = findings.of_conversation(capture, conversation)
        attempt = capture.attempt(conversation)
        head = f"{conversation.left} with {conversation.right}, IKE SA {conversation.spi.hex()}:"
        parts.append("\n".join([head, "", *ladder(attempt), "", *(f"  {line}" for line in found)]))
    if capture.streams:
        lines = [f"  {line}" for s in capture.streams.values() for line in findings.of_stream(s)]
        parts.append("\n".join(["ESP:", "", *lines]))
    if rest := findings.of_the_rest(capture):
        parts.append("\n".join(rest))
    print("\n\n".join(parts) or f"{file}: {capture.frames} frames, and neither IKE nor ESP.")
    return ExitCode.FINE


def _read(file: Path, keys: list[Path]) -> Capture:
    from hushwire.explain.capture import Capture
    from hushwire.explain.wireshark import (
        ESP_TABLE,
        IKE_TABLE,
        parse_esp_table,
        parse_ike_table,
    )
    from hushwire.wire.errors import WireError
    from hushwire.wire.pcap import frames

    folder = {path.name: path for given in keys for path in _tables(given)}
    capture = Capture(
        parse_ike_table(_text(folder.get(IKE_TABLE))), parse_esp_table(_text(folder.get(ESP_TABLE)))
    )
    if keys and not capture.has_keys:
        names = ", ".join(map(str, keys))
        raise UsageError(f"no keys in {names}: it has to hold {IKE_TABLE} or {ESP_TABLE}")
    with file.open("rb") as opened:
        try:
            for number, frame in enumerate(frames(opened.read)):
                if number == _MOST_FRAMES:
                    break
                capture.add(frame)
        except WireError as error:
            raise UsageError(f"{file}: {error}") from error
    return capture


def _tables(given: Path) -> list[Path]:
    return sorted(given.iterdir()) if given.is_dir() else [given]


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    with path.open(encoding="ascii", errors="replace") as file:
        return file.read(_LARGEST_TABLE)


def _facts(capture: Capture) -> dict[str, Any]:
    from hushwire.explain import findings

    return {
        "frames": capture.frames,
        "ike": [
            {
                "initiator": str(conversation.left),
                "responder": str(conversation.right),
                "spi": conversation.spi.hex(),
                "steps": [asdict(step) for step in capture.attempt(conversation).steps],
                "findings": findings.of_conversation(capture, conversation),
            }
            for conversation in capture.conversations.values()
        ],
        "esp": [
            {
                "source": stream.source,
                "target": stream.target,
                "spi": f"0x{stream.spi:08x}",
                "carrier": stream.carrier,
                "packets": stream.packets,
                "octets": stream.octets,
                "first": stream.lowest,
                "last": stream.highest,
                "missing": stream.missing,
                "repeated": stream.repeated,
                "late": stream.late,
                "opened": stream.opened,
                "refused": stream.refused,
                "inside": dict(stream.inside),
            }
            for stream in capture.streams.values()
        ],
        "not_looked_into": findings.of_the_rest(capture),
    }
