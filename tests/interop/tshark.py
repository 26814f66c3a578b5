"""Wireshark's reader, as an oracle."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from hushwire.sa.association import Path as Way

_NATT_PORT = 4500
_NON_ESP_MARKER = bytes(4)


def datagrams(sent: Iterable[tuple[object, bytes, Way]]) -> list[Packet]:
    """IKE messages as they are on the wire (RFC 3948 §2.2)."""
    return [
        IP(src=str(way.local.ip), dst=str(way.remote.ip))
        / UDP(sport=way.local.port, dport=way.remote.port)
        / Raw((_NON_ESP_MARKER if way.remote.port == _NATT_PORT else b"") + data)
        for _, data, way in sent
    ]


def read(
    capture: Path, *settings: str, fields: tuple[str, ...], config_home: Path | None = None
) -> list[dict[str, list[str]]]:
    """What tshark sees in each packet; a field may be there several times.

    In `config_home` is a folder `wireshark` with its tables.
    """
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=a"]
    command += ["-E", "aggregator=|", "-E", "separator=,", "-E", "quote=d"]
    command += [word for setting in settings for word in ("-o", setting)]
    command += [word for field in fields for word in ("-e", field)]
    home = {} if config_home is None else {"XDG_CONFIG_HOME": str(config_home)}
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | home)
    assert result.returncode == 0, result.stderr
    return [
        {field: value.split("|") if value else [] for field, value in zip(fields, row, strict=True)}
        for row in csv.reader(result.stdout.splitlines())
    ]
