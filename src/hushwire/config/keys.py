"""The keys that a configuration refers to. Every function raises `BadValueError`.

A secret that others can read is no secret: such a file is refused, as ssh does.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hushwire.config.errors import BadValueError
from hushwire.config.files import read
from hushwire.crypto.errors import KeyFormatError
from hushwire.crypto.sign import PrivateKey, PublicKey

_MOST_OCTETS = 65536
_PUBLIC_TEXT = re.compile(r"\s*[a-z0-9-]+:[A-Za-z0-9+/=_-]+\s*")


def read_private_key(path: Path) -> PrivateKey:
    """A PEM file that only its owner can read."""
    try:
        octets = _read_secret(path)
    except FileNotFoundError:
        raise BadValueError(
            f"there is no file {path}", f"Make it: hushwire genkey -o {_shell(path)}"
        ) from None
    try:
        return private_key(octets.decode("ascii", errors="replace"))
    except BadValueError as error:
        raise BadValueError(f"{path}: {error.what}", error.cure) from error


def private_key(pem: str) -> PrivateKey:
    """A private key in PEM; says so when it is a public one."""
    if "BEGIN PUBLIC KEY" in pem or _PUBLIC_TEXT.fullmatch(pem):
        raise BadValueError(
            "this is a public key where a private key belongs",
            "The private key is what hushwire genkey writes.",
        )
    try:
        return PrivateKey.from_pem(pem)
    except KeyFormatError as error:
        raise BadValueError(str(error)) from error


def key_path(text: str, relative_to: Path) -> Path:
    """The file that is meant; says so when the key itself stands in its place."""
    if "BEGIN" in text or "\n" in text or _PUBLIC_TEXT.fullmatch(text):
        raise BadValueError(
            "here stands the name of a file, not a key",
            "Put the key into a file of its own, with mode 600, and its name here.",
        )
    return relative_to / text


def public_key(text: str) -> PublicKey:
    """A public key as `hushwire pubkey` prints it; says so when it is a private one."""
    if "PRIVATE KEY" in text:
        raise BadValueError(
            "this is a private key, which stays on its own host",
            "Make a new one there, and give here what hushwire pubkey makes of it.",
        )
    try:
        return PublicKey.from_text(text)
    except KeyFormatError as error:
        raise BadValueError(str(error)) from error


def read_psk(path: Path) -> bytes:
    """The octets of a pre-shared key's file, without the newline at its end."""
    try:
        octets = _read_secret(path)
    except FileNotFoundError:
        raise BadValueError(
            f"there is no file {path}",
            f"Make it, once for both hosts: hushwire genpsk -o {_shell(path)}",
        ) from None
    psk = octets.removesuffix(b"\n").removesuffix(b"\r")
    if not psk.strip():
        raise BadValueError(f"{path} is empty", "hushwire genpsk makes a strong shared secret.")
    if psk.startswith(b"-----BEGIN"):
        raise BadValueError(
            f"in {path} is a key in PEM where a shared secret belongs",
            "hushwire genpsk makes a strong shared secret.",
        )
    return psk


def _read_secret(path: Path) -> bytes:
    return read(path, _MOST_OCTETS, "any key", secret=True)


def _shell(path: Path) -> str:
    return shlex.quote(str(path))
