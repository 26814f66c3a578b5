from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hushwire.daemon.startup import Startup, notify
from hushwire.explain.outcome import Cause


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The service manager's end of sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "path":
            name = str(tmp_path / "notify")
            sock.bind(name)
        else:
            sock.bind("")  # the kernel chooses an abstract name
            name = "@" + sock.getsockname()[1:].decode()
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        sock.setblocking(False)
        yield sock


def _told(manager: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(manager.recv(4096).decode())
        except BlockingIOError:
            return told


def test_ready_is_when_every_tunnel_that_begins_by_itself_is_up(manager: socket.socket) -> None:
    startup = Startup(["bob", "carol"])
    startup.opened()
    startup.up("bob")
    startup.up("dave")
    startup.failed("carol", Cause.NOT_REACHED)
    startup.failed("carol", Cause.NO_PROPOSAL)
    assert _told(manager) == []
    assert startup.facts()["outcomes"] == {"bob": "up", "carol": "peer not reached"}
    startup.up("carol")
    startup.up("bob")
    assert _told(manager) == ["READY=1"]
    assert startup.facts()["ready"] is True


def test_where_all_wait_it_is_ready_when_it_listens(manager: socket.socket) -> None:
    startup = Startup([])
    assert _told(manager) == []
    startup.opened()
    assert _told(manager) == ["READY=1"]


def test_the_status_is_the_first_line_of_what_is_said(manager: socket.socket) -> None:
    startup = Startup(["bob"])
    startup.say("bob: no IKE proposal in common.\n    we accept  this")
    assert _told(manager) == ["STATUS=bob: no IKE proposal in common."]
    for number in range(1000):
        startup.say(f"bob: {number}")
    said = startup.facts()["said"]
    assert isinstance(said, list)
    assert len(said) < 1000


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
