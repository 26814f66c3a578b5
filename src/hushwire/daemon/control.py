"""The control socket: `status` asks the daemon of the network namespace that it stands in.

One request and one response, each a JSON object on one line.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from hushwire.system import netns
from hushwire.system.errors import NotPermittedError, SystemFailureError

Facts = dict[str, object]
_LONGEST_REQUEST = 4096
_LONGEST_RESPONSE = 1 << 24
_ASK_SECONDS = 5.0
_UCRED = struct.Struct("3i")  # struct ucred of <sys/socket.h>: pid, uid, gid


def socket_path(name: str) -> Path:
    """Where the daemon of the interface `name` listens, in this network namespace."""
    return netns.runtime_dir() / f"{name}.sock"


class ControlServer:
    """Answers requests by `verbs`, each a function without arguments that gives facts."""

    def __init__(self, name: str, verbs: dict[str, Callable[[], Facts]]) -> None:
        self._name = name
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._lock: int | None = None

    def claim(self) -> None:
        """From now on this process, and no other, runs the interface, until `close` or its end.

        Raises `SystemFailureError` when another does.
        """
        # A lock, because of two that begin at the same moment one must not touch the other's guard.
        lock = netns.make_runtime_dir() / f"{self._name}.lock"
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise SystemFailureError(
                f"interface {self._name}",
                "hushwire runs it already in this network namespace",
                f"`hushwire status {self._name}` shows it; stop that one first.",
            ) from error

    async def open(self) -> None:
        """Answer from now on; only after `claim`."""
        path = socket_path(self._name)
        path.unlink(missing_ok=True)  # of one that was killed
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, path, limit=_LONGEST_REQUEST
            )
        finally:
            os.umask(before)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            socket_path(self._name).unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _allowed(writer.get_extra_info("socket")):
                request = await asyncio.wait_for(reader.readline(), _ASK_SECONDS)
                writer.write(json.dumps(self._answer(request), default=str).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), _ASK_SECONDS)
        except (OSError, ValueError, TimeoutError):
            pass  # a client that went away, or sent more than a request can be
        finally:
            writer.close()

    def _answer(self, request: bytes) -> Facts:
        try:
            verb = json.loads(request)["verb"]
        except (ValueError, KeyError, TypeError):
            return {"error": "a request is a JSON object with a verb"}
        handler = self._verbs.get(verb) if isinstance(verb, str) else None
        if handler is None:
            return {"error": f"no such verb; there are {', '.join(self._verbs)}"}
        return handler()


def running() -> list[str]:
    """Names of the interfaces that have a control socket in this network namespace."""
    try:
        return sorted(path.stem for path in netns.runtime_dir().glob("*.sock"))
    except PermissionError as error:
        raise _not_permitted() from error


def answering() -> list[str]:
    """Those of `running` behind whose socket there is somebody. Raises `NotPermittedError`."""
    return [name for name in running() if holder(name) is not None]


def ask(name: str, verb: str) -> Facts:
    """Put one request to the daemon of an interface.

    Raises `SystemFailureError` when none answers, `NotPermittedError` when it may not be asked.
    """
    path = socket_path(name)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_ASK_SECONDS)
            sock.connect(str(path))
            sock.sendall(json.dumps({"verb": verb}).encode() + b"\n")
            with sock.makefile("rb") as answer:
                facts = json.loads(answer.readline(_LONGEST_RESPONSE))
    except PermissionError as error:
        raise _not_permitted() from error
    except (OSError, ValueError) as error:
        raise SystemFailureError(
            f"interface {name}",
            "no hushwire runs it in this network namespace",
            f"Start it: hushwire up {name}",
        ) from error
    if not isinstance(facts, dict) or "error" in facts:
        raise SystemFailureError(
            f"interface {name}", f"its daemon answered {facts!r}", "Is it of the same version?"
        )
    return facts


def holder(name: str) -> int | None:
    """The process that listens on the control socket of an interface, even if it does not answer.

    Raises `NotPermittedError`.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_ASK_SECONDS)
            sock.connect(str(socket_path(name)))
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except PermissionError as error:
        raise _not_permitted() from error
    except OSError:
        return None
    pid, _, _ = _UCRED.unpack(credentials)
    return int(pid)


def _allowed(sock: socket.socket) -> bool:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return uid in {0, os.geteuid()}


def _not_permitted() -> NotPermittedError:
    return NotPermittedError(
        ["The control socket belongs to the user who runs hushwire. Ask with sudo."]
    )
