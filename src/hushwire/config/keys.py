"""The keys that a configuration refers to. Every function raises `BadValueError`.

A secret that others can read is no secret: such a file is refused, as ssh does.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from pathlib import Path

from hushwire.config.errors import BadValueError
from hushwire.config.table import quote
from hushwire.crypto.errors import KeyFormatError
from hushwire.crypto.sign import PrivateKey, PublicKey

_MOST_OCTETS = 65536
_PUBLIC_TEXT = re.compile(r"\s*[a-z0-9-]+:[A-Za-z0-9+/=_-]+\s*")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


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
    """Raises `FileNotFoundError` too: its cure is the caller's to name."""
    try:
        # O_NONBLOCK: a FIFO is refused below, instead of waiting for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadValueError(
            f"{path} cannot be read: {error.strerror}", "Run as the user whose file it is."
        ) from error
    except ValueError as error:
        raise BadValueError(f"{quote(str(path))} cannot be the name of a file") from error
    try:
        # One open file is checked and read: nobody can put another in its place in between.
        _check_secret(path, os.fstat(descriptor).st_mode)
        octets = os.read(descriptor, _MOST_OCTETS + 1)
    except OSError as error:
        raise BadValueError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(octets) > _MOST_OCTETS:
        raise BadValueError(f"{path} is longer than any key")
    return octets


def _check_secret(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadValueError(f"{path} is not a plain file")
    if mode & _OTHERS:
        raise BadValueError(
            f"{path} holds a secret, and others than its owner can use it "
            f"(mode {stat.S_IMODE(mode):04o})",
            f"Run: chmod 600 {_shell(path)}",
        )


def _shell(path: Path) -> str:
    return shlex.quote(str(path))
