"""Wireshark's reader, as an oracle."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path


def read(capture: Path, *settings: str, fields: tuple[str, ...]) -> list[dict[str, list[str]]]:
    """What tshark sees in each packet; a field may be there several times."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=a"]
    command += ["-E", "aggregator=|", "-E", "separator=,", "-E", "quote=d"]
    command += [word for setting in settings for word in ("-o", setting)]
    command += [word for field in fields for word in ("-e", field)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [
        {field: value.split("|") if value else [] for field, value in zip(fields, row, strict=True)}
        for row in csv.reader(result.stdout.splitlines())
    ]
