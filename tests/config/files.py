"""Alice's folder: a configuration that is right, with its keys, to be made wrong by a test."""

from __future__ import annotations

from pathlib import Path

from hushwire.config.errors import ConfigError
from hushwire.config.load import load
from hushwire.config.model import Config
from hushwire.crypto.sign import PrivateKey

ALICE_KEY = PrivateKey.generate("ed25519", lambda count: bytes(range(count)))
BOB_KEY = PrivateKey.generate("ed25519", lambda count: bytes(range(1, count + 1)))
ALICE, BOB = ALICE_KEY.public, BOB_KEY.public

RIGHT = f"""\
[interface]
name = "hw0"
address = ["10.0.1.1/24"]
private_key_file = "alice.key"

[peer.bob]
endpoint = "192.168.77.2"
public_key = "{BOB.to_text()}"
networks = ["10.0.1.2/32"]
"""
"""Line 1 is [interface], line 6 [peer.bob], each of their keys on the lines after it."""


def write_keys(folder: Path) -> None:
    secrets = {
        "alice.key": ALICE_KEY.to_pem(),
        "bob.psk": "c2VjcmV0\n",
        "open.key": ALICE_KEY.to_pem(),
        "open.psk": "c2VjcmV0\n",
        "public.key": ALICE.to_text() + "\n",
        "empty": "\n",
        "long": "x" * 65537,
    }
    for name, text in secrets.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o640 if name.startswith("open") else 0o600)


def changed(old: str, new: str) -> str:
    """`RIGHT` with one thing replaced."""
    if RIGHT.count(old) != 1:
        raise ValueError(f"{old!r} is not once in it")
    return RIGHT.replace(old, new)


def load_text(text: str, name: str = "alice.toml") -> Config:
    """Loads it from a file in the working folder."""
    Path(name).write_text(text)
    return load(Path(name))


def complaint(text: str, name: str = "alice.toml") -> str:
    """What is said about it; raises `ValueError` when nothing is wrong with it."""
    try:
        load_text(text, name)
    except ConfigError as error:
        return str(error)
    raise ValueError("it was accepted")
