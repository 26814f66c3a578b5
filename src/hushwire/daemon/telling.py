"""What `hushwire explain` asks for: the last attempts with each peer, and what disturbed them."""

from __future__ import annotations

import json
import os
import time
from asyncio import AbstractEventLoop
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import socket

from hushwire.config.model import Config, IpAddress
from hushwire.daemon.sockets import IKE_PORT, NATT_PORT
from hushwire.ike.endpoint import Endpoint
from hushwire.system import netns
from hushwire.system.unreachable import open_unreachable, receive_unreachable

Facts = dict[str, object]
_ERRORS_AT_ONCE = 16
_CANNOT = "{}: {} is protected with {}, which Wireshark cannot decrypt: no keys for it."
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Telling:
    """Hears ICMP errors about IKE, and answers the verb `explain`."""

    def __init__(self, config: Config, endpoint: Endpoint, loop: AbstractEventLoop) -> None:
        self._config = config
        self._endpoint = endpoint
        self._loop = loop

    def listen(self, families: list[int], device: str | None, opened: ExitStack) -> None:
        """From now on. Raises `SystemFailureError` and `NotPermittedError`."""
        for family in families:
            sock = open_unreachable(family, device)
            opened.callback(sock.close)
            self._loop.add_reader(sock, self._readable, sock)
            opened.callback(self._loop.remove_reader, sock)

    def unsent(self, remote: IpAddress, reason: str) -> None:
        """The kernel did not take an IKE message."""
        self._endpoint.trace.remark(remote, f"sending failed: {reason}", self._loop.time())

    def facts(self) -> Facts:
        """Everything, as plain JSON values; the oldest attempt first."""
        from hushwire.daemon.attempt_facts import attempt_facts  # slow to load

        since = time.time() - self._loop.time()
        return {
            "interface": self._config.interface.name,
            "file": str(self._config.path),
            "peers": [peer.name for peer in self._config.peers],
            "attempts": [
                attempt_facts(attempt, self._config, since)
                for attempt in self._endpoint.trace.attempts()
            ],
        }

    def keys(self) -> Facts:
        """The tables for Wireshark, and sentences about what it cannot read."""
        from hushwire.explain.wireshark import ESP_TABLE, IKE_TABLE, esp_lines, ike_line, readable

        ike: list[str] = []
        esp: list[str] = []
        unreadable: list[str] = []
        for live in self._endpoint.live_keys():
            if readable(live.ike.cipher):
                ike.append(ike_line(live.ike))
            else:
                unreadable.append(_CANNOT.format(live.peer, "IKE", live.ike.cipher.name))
            for child in live.children:
                if readable(child.suite.cipher):
                    esp += esp_lines(child)
                else:
                    unreadable.append(_CANNOT.format(live.peer, "ESP", child.suite.cipher.name))
        return {
            "tables": {IKE_TABLE: ike, ESP_TABLE: esp},
            "unreadable": list(dict.fromkeys(unreadable)),
        }

    def _readable(self, sock: socket) -> None:
        for _ in range(_ERRORS_AT_ONCE):
            got = receive_unreachable(sock)
            if got is None:
                return
            error, sender = got
            if error.source_port in (IKE_PORT, NATT_PORT):
                self._endpoint.trace.icmp(
                    error.destination, error.port, sender, error.kind, self._loop.time()
                )


# After the end: so that `explain` can still tell.


def last_words(name: str) -> Path:
    """Where a daemon that has failed leaves what it would have told."""
    return netns.runtime_dir() / f"{name}.ended.json"


def leave(name: str, facts: Facts, how: str) -> None:
    """For `explain`, after this process; `how` it ended, in a sentence."""
    text = json.dumps({**facts, "ended": how, "ended_at": round(time.time())}, default=str)
    with suppress(OSError):
        path = last_words(name)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, _NEW, 0o600), "w") as file:
            file.write(text)


def forget(name: str) -> None:
    """A new process runs the interface, or the last one ended as it was asked to."""
    with suppress(OSError):
        last_words(name).unlink(missing_ok=True)


def left_behind(name: str) -> Facts | None:
    """What the last process has left, if it failed. Raises `PermissionError`."""
    try:
        facts = json.loads(last_words(name).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
